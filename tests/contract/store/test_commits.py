"""Changes that are committed together: each answer is what it would be alone, whatever becomes of the others."""

import asyncio

from replicator.errors import StoreError
from replicator.heard import Heard
from replicator.model import Change, ChangeKind, Intent, IntentKey, Recorded, Tag
from replicator.store.outcome import Done, Result
from replicator.store.store import Store
from tests.contract.store.life import REPOSITORY, TAG, A, B, C, Life, copied

_NEVER = float("nan")  # a time that no engine keeps


def _key(tag: str, replica: str = "eu") -> IntentKey:
    return IntentKey(replica, REPOSITORY, Tag(tag))


def _impossible(tag: str) -> Intent:
    return Intent(key=_key(tag), digest=None, since=_NEVER, due_at=0.0)


def _heard(tag: str, made: int) -> Heard:
    change = Change(kind=ChangeKind.PUSH, repository=REPOSITORY, reference=Tag(tag))
    return Heard(change=change, endpoint="primary", at=1.0, made=made)


async def test_what_cannot_be_kept_takes_nothing_else_with_it(store: Store, life: Life) -> None:
    """Not the changes beside it, nor what was heard of them; and nothing of its own is left."""

    async def send(number: int) -> tuple[Recorded, ...]:
        bad = [_impossible(f"bad{number}")] if number % 3 == 0 else []
        intents = [life.intent(_key(f"t{number}")), life.intent(_key(f"t{number}", "us")), *bad]
        return await store.record(intents, [_heard(f"t{number}", len(intents))])

    answers = await asyncio.gather(*(send(number) for number in range(12)), return_exceptions=True)
    for number, answer in enumerate(answers):
        assert isinstance(answer, StoreError) if number % 3 == 0 else answer == (Recorded.ACCEPTED,) * 2
    store = await life.start()
    kept = {str(row.key.reference) for row in await store.rows()}
    assert kept == {f"t{number}" for number in range(12) if number % 3}
    for number in range(12):
        told = [one.owed for one in await store.events(REPOSITORY, Tag(f"t{number}"), 5)]
        assert told == ([2] if number % 3 else [])


async def test_changes_of_one_reference_are_merged_in_the_order_they_came(store: Store, life: Life) -> None:
    changes = [store.record([life.intent(digest=digest), life.intent(_key("other"), digest)]) for digest in (A, B, C)]
    first, *later = await asyncio.gather(*changes)
    assert (first, later) == ((Recorded.ACCEPTED,) * 2, [(Recorded.COALESCED,) * 2] * 2)
    row = await store.row(TAG)
    assert row is not None
    assert (row.want, row.generation) == (C, 3)


async def test_a_decision_covers_one_change_and_ends_with_another_beside_it(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    assert await store.ignore([TAG], A) == (TAG,)
    answers = await asyncio.gather(*(store.record([life.intent(digest=digest)]) for digest in (A, B, A)))
    assert answers == [(Recorded.KNOWN,), (Recorded.ACCEPTED,), (Recorded.COALESCED,)]


async def test_what_was_leased_beside_something_refused_is_leased_once(store: Store, life: Life) -> None:
    """All runs anew by itself: the lease that is given out is the one that counts."""
    await copied(store, life)
    await store.record([life.intent(digest=B)])
    good, bad, leases = await asyncio.gather(
        store.record([life.intent(_key("v2"))]),
        store.record([_impossible("bad")]),
        store.lease("eu", 5, 60.0),
        return_exceptions=True,
    )
    assert (good, isinstance(bad, StoreError)) == ((Recorded.ACCEPTED,), True)
    assert not isinstance(leases, BaseException)
    assert {lease.key for lease in leases} >= {TAG}
    (lease,) = [one for one in leases if one.key == TAG]
    assert await store.settle(lease, Done(result=Result.COPIED, digest=B))
    row = await store.row(TAG)
    assert row is not None
    assert (row.owed, row.have) == (False, B)
