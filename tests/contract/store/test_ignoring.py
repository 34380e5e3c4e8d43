"""What an operator decides a replica need not have: no lag, no work, until something new comes."""

import pytest

from replicator.model import Digest, IntentKey, Recorded, Tag
from replicator.store.outcome import Done, Result
from replicator.store.store import Store
from tests.contract.store.life import CHILD, REPOSITORY, TAG, A, B, C, Life, copied, failed, leased, parked

OTHER = IntentKey("eu", REPOSITORY, Tag("v2"))


async def fails(store: Store, life: Life, digest: Digest | None = B) -> float:
    """Have the row of TAG, which holds A, fail to become `digest`; return since when it is owed."""
    await copied(store, life, A)
    since = life.clock.now()
    await store.record([life.intent(digest=digest)])
    await store.settle(await leased(store), parked(life))
    return since


async def test_an_ignored_row_is_no_lag_and_not_worked_on(store: Store, life: Life) -> None:
    await fails(store, life)
    await store.record([life.intent(OTHER)])
    life.clock.advance(5000)
    assert await store.ignore([TAG], None) == (TAG,)
    summary = (await store.summary()).replica("eu")
    assert (summary.owed, summary.parked, summary.failing, summary.ignored) == (1, 0, {}, 1)
    row = await store.row(TAG)
    assert row is not None
    assert (row.owed, row.parked, row.reason, row.attempts, row.have) == (False, False, None, 0, A)
    assert row.ignored_at == life.clock.now()
    await leased(store, OTHER)
    assert await store.lease("eu", 5, 60) == ()
    assert await store.count_deadline_missed(1.0) == {"eu": 1}, "the other one's alone"
    assert await store.make_due("eu") == 0


async def test_only_what_is_owed_can_be_ignored(store: Store, life: Life) -> None:
    assert await store.ignore([TAG], A) == ()
    await copied(store, life)
    assert await store.ignore([TAG], A) == ()
    assert (await store.summary()).replica("eu").ignored == 0


@pytest.mark.parametrize("named", [B, None])
async def test_the_same_change_told_again_is_known(store: Store, life: Life, named: Digest | None) -> None:
    """As a webhook that is delivered twice, or a comparison that finds the difference anew."""
    await fails(store, life)
    await store.ignore([TAG], named)
    assert await store.record([life.intent(digest=B), life.intent(digest=B, fingerprint="other")]) == (
        Recorded.KNOWN,
        Recorded.KNOWN,
    )
    assert (await store.summary()).replica("eu").owed == 0


@pytest.mark.parametrize("new", [C, None])
async def test_a_new_push_is_owed_since_it_was_made(store: Store, life: Life, new: Digest | None) -> None:
    """Nobody decided about it; one whose sender names no digest may be one."""
    await fails(store, life)
    await store.ignore([TAG], None)
    life.clock.advance(100)
    assert await store.record([life.intent(digest=new)]) == (Recorded.ACCEPTED,)
    summary = (await store.summary()).replica("eu")
    assert (summary.owed, summary.since, summary.ignored) == (1, life.clock.now(), 0)
    row = await store.row(TAG)
    assert row is not None
    assert row.ignored_at is None


async def test_a_tag_that_goes_back_to_what_the_replica_has_ends_the_decision(store: Store, life: Life) -> None:
    await fails(store, life, B)
    await store.ignore([TAG], None)
    assert await store.record([life.intent(digest=A)]) == (Recorded.KNOWN,)
    assert (await store.summary()).replica("eu").ignored == 0
    assert await store.record([life.intent(digest=B)]) == (Recorded.ACCEPTED,)


async def test_a_decision_about_a_row_whose_change_named_no_digest_is_about_what_the_primary_names(
    store: Store, life: Life
) -> None:
    await fails(store, life, None)
    await store.ignore([TAG], B)
    assert await store.record([life.intent(digest=B)]) == (Recorded.KNOWN,)
    assert await store.record([life.intent(digest=C)]) == (Recorded.ACCEPTED,)


async def test_a_decision_that_is_taken_back_is_lag_from_when_it_began(store: Store, life: Life) -> None:
    since = await fails(store, life)
    await store.ignore([TAG], None)
    life.clock.advance(1000)
    assert await store.heed([TAG, OTHER]) == {TAG: Recorded.ACCEPTED}
    summary = (await store.summary()).replica("eu")
    assert (summary.owed, summary.since, summary.ignored) == (1, since, 0)
    lease = await leased(store)
    assert (lease.digest, lease.have, lease.attempts, lease.since) == (B, A, 0, since)
    assert await store.heed([TAG]) == {}


async def test_a_decision_outlives_the_daemon(life: Life) -> None:
    store = await life.start()
    await fails(store, life)
    await store.ignore([TAG], None)
    store = await life.start()
    assert await store.record([life.intent(digest=B)]) == (Recorded.KNOWN,)
    assert [row.key for row in await store.rows(only_ignored=True)] == [TAG]
    assert await store.heed([TAG]) == {TAG: Recorded.ACCEPTED}


async def test_whoever_works_on_it_has_no_right_to_put_it(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    lease = await leased(store)
    await store.ignore([TAG], None)
    assert await store.renew([lease], 60) == set()
    assert not await store.settle(lease, failed(life))
    assert (await store.summary()).replica("eu").owed == 0


async def test_a_put_that_came_through_after_all_is_looked_at(store: Store, life: Life) -> None:
    """What the replica shows is not what was decided about: the row is owed, and found equal."""
    await store.record([life.intent()])
    lease = await leased(store)
    await store.ignore([TAG], None)
    assert not await store.settle(lease, Done(result=Result.COPIED, digest=A))
    summary = (await store.summary()).replica("eu")
    assert (summary.owed, summary.ignored) == (1, 0)
    assert await store.settle(await leased(store), Done(result=Result.ALREADY_PRESENT, digest=A))
    assert (await store.summary()).replica("eu").owed == 0


async def test_a_digest_that_arrives_with_its_index_is_ignored_no_more(store: Store, life: Life) -> None:
    await store.record([life.intent(CHILD, C)])
    await store.ignore([CHILD], C)
    await store.record([life.intent()])
    assert await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, covered=(C,)))
    assert await store.row(CHILD) is None
    assert (await store.summary()).replica("eu").ignored == 0


async def test_what_is_ignored_is_listed_page_by_page(store: Store, life: Life) -> None:
    keys = [IntentKey(name, REPOSITORY, Tag(f"t{n}")) for name in ("eu", "us") for n in range(3)]
    await store.record([life.intent(key) for key in [*keys, TAG, OTHER]])
    await store.ignore(keys, None)
    seen: list[IntentKey] = []
    while page := await store.rows(only_ignored=True, after=seen[-1] if seen else None, limit=2):
        assert len(page) <= 2
        seen.extend(row.key for row in page)
    assert seen == keys
    assert [row.key for row in await store.rows(replica="us", only_ignored=True)] == keys[3:]


async def test_listeners_hear_of_decisions(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    heard: list[object] = []
    store.listen(heard.append)
    await store.ignore([TAG, OTHER], None)
    await store.heed([TAG])
    assert heard == [(TAG,), (TAG,)]
