"""What told of a reference is remembered, newest first, with what came of it; never without bound."""

import asyncio
from dataclasses import replace

import pytest

from replicator.correlation import delivery_id
from replicator.deletion import Deletion
from replicator.errors import StoreError
from replicator.heard import Event, Heard, Unheeded
from replicator.model import Change, ChangeKind, Digest, IntentKey, Reference, Repository, Tag
from replicator.store import changes
from replicator.store.session import Session
from replicator.store.store import Store
from replicator.store.sweeps import Sweeps
from tests.contract.store.life import REPOSITORY, TAG, A, B, Life, copied

US = IntentKey("us", TAG.repository, TAG.reference)


def heard(
    life: Life,
    digest: Digest | None = A,
    *,
    made: int = 1,
    reference: Reference = TAG.reference,
    kind: ChangeKind = ChangeKind.PUSH,
) -> Heard:
    change = Change(
        kind=kind,
        repository=REPOSITORY,
        reference=reference,
        digest=digest,
        happened_at=life.clock.now() - 2,
        delivery=delivery_id(),
    )
    return Heard(change=change, endpoint="primary", at=life.clock.now(), made=made)


async def events(store: Store) -> tuple[Event, ...]:
    return await store.events(REPOSITORY, TAG.reference, 10)


async def test_an_event_is_on_the_disk_with_the_intents_that_it_made(store: Store, life: Life) -> None:
    first = heard(life, made=2)
    await store.record([life.intent(), life.intent(US)], [first])
    life.clock.advance(5)
    other = heard(life, reference=Tag("v2"))
    second = heard(life, B)
    await store.record([life.intent(IntentKey("eu", REPOSITORY, Tag("v2"))), life.intent(digest=B)], [other, second])
    store = await life.start()
    newest, oldest = await events(store)
    assert (oldest.owed, oldest.merged, oldest.known) == (2, 0, 0)
    assert (newest.owed, newest.merged, newest.known) == (0, 1, 0), "its share of the answers, not that of v2"
    assert (newest.digest, newest.delivery, newest.endpoint) == (B, second.change.delivery, "primary")
    assert (newest.kind, newest.reference) == (ChangeKind.PUSH, TAG.reference)
    assert (newest.received_at, newest.happened_at) == (life.clock.now(), life.clock.now() - 2)
    assert [one.digest for one in await store.events(REPOSITORY, TAG.reference, 1)] == [B]


async def test_what_made_nothing_owed_waits_for_the_next_commit(store: Store, life: Life) -> None:
    await copied(store, life)
    await store.record([life.intent()], [heard(life)])
    store.overhear([replace(heard(life, None, made=0), unheeded=Unheeded.OTHER_HOST)])
    seen = [(one.known, one.digest, one.unheeded) for one in await events(store)]
    assert seen == [(0, None, Unheeded.OTHER_HOST), (1, A, None)]
    await store.record([life.intent(digest=B)], [heard(life, B)])
    store = await life.start()
    assert [one.digest for one in await events(store)] == [B, None, A]


async def test_a_delete_is_told_of_with_what_it_dooms(store: Store, life: Life) -> None:
    await copied(store, life)
    now = life.clock.now()
    gone = heard(life, None, kind=ChangeKind.DELETE, made=2)
    doomed = [Deletion(key=key, found_at=now, due_at=now + 60) for key in (TAG, US)]
    assert await store.add_deletions(doomed, [gone]) == (1, 0)
    store = await life.start()
    (event,) = await events(store)
    assert (event.kind, event.owed, event.known) == (ChangeKind.DELETE, 1, 1)


async def test_a_change_that_is_not_kept_leaves_no_event(store: Store, life: Life) -> None:
    unkept = replace(life.intent(), since=float("nan"))  # no lag can be counted from there
    with pytest.raises(StoreError):
        await store.record([life.intent(), unkept], [heard(life, made=2)])
    await store.record([life.intent(digest=B)], [heard(life, B)])
    assert [one.digest for one in await events(store)] == [B]


async def test_what_waits_in_memory_goes_with_the_next_commit_where_one_is_not_kept(store: Store, life: Life) -> None:
    def fail(session: Session) -> None:
        changes.Record([life.intent()], [heard(life)])(session)
        session.connection.execute("CREATE TABLE there (id bigint PRIMARY KEY)")
        deferred = "id bigint REFERENCES there (id) DEFERRABLE INITIALLY DEFERRED"
        session.connection.execute(f"CREATE TABLE not_there ({deferred})")
        session.connection.execute("INSERT INTO not_there VALUES (1)")

    store.overhear([heard(life, None, made=0)])
    with pytest.raises(StoreError):
        await store.submit(fail)  # not before the COMMIT
    assert [one.digest for one in await events(store)] == [None]
    await store.record([life.intent(digest=B)], [heard(life, B)])
    store = await life.start()
    assert [one.digest for one in await events(store)] == [B, None]


async def test_a_thousand_may_wait_in_memory(store: Store, life: Life) -> None:
    await asyncio.gather(*(store.record([life.intent()], [heard(life)]) for _ in range(20)))
    store.overhear([heard(life, made=0) for _ in range(5000)])
    assert len(await store.events(REPOSITORY, TAG.reference, 10_000)) == 1020


async def test_the_newest_events_tell_when_repositories_last_changed(store: Store, life: Life) -> None:
    other = Repository("team/other")
    change = replace(heard(life).change, repository=other)
    await store.record([life.intent()], [heard(life)])
    life.clock.advance(5)
    await store.record([life.intent(digest=B)], [heard(life, B)])
    await store.record([life.intent(digest=B)], [heard(life, B)])
    at = life.clock.now()
    life.clock.advance(5)
    elsewhere = IntentKey("eu", other, TAG.reference)
    await store.record([life.intent(elsewhere)], [replace(heard(life), change=change)])
    store = await life.start()
    assert await Sweeps(store).told_lately() == {REPOSITORY: at, other: at + 5}
