"""What a store makes of changes, and how it counts lag (DESIGN 1 and 2.4; reliability.md 1.1)."""

import asyncio

import pytest

from replicator.errors import Reason
from replicator.model import Digest, Intent, IntentKey, Priority, Recorded, Tag
from replicator.store.outcome import Done, Result
from replicator.store.store import Store
from tests.contract.store.life import CHILD, REPOSITORY, TAG, A, B, C, Life, copied, failed, leased, parked


async def test_a_first_change_is_accepted_and_owed_since_it_happened(store: Store, life: Life) -> None:
    assert await store.record([life.intent(wait=5)]) == (Recorded.ACCEPTED,)
    row = await store.row(TAG)
    assert row is not None
    assert (row.key, row.owed, row.generation, row.observed_generation) == (TAG, True, 1, 0)
    assert (row.want, row.have, row.fingerprint, row.priority) == (A, None, "policy", Priority.NORMAL)
    assert row.dirty_since == life.clock.now()
    assert row.due_at == life.clock.now() + 5


async def test_changes_of_an_owed_row_coalesce_into_it_and_its_lag_goes_on(store: Store, life: Life) -> None:
    first = life.clock.now()
    await store.record([life.intent(digest=A)])
    life.clock.advance(100)
    assert await store.record([life.intent(digest=B)]) == (Recorded.COALESCED,)
    row = await store.row(TAG)
    assert row is not None
    assert (row.generation, row.want, row.dirty_since) == (2, B, first)


async def test_ten_thousand_events_of_a_hundred_tags_leave_a_hundred_rows_per_replica(
    store: Store, life: Life
) -> None:
    keys = [[IntentKey(replica, REPOSITORY, Tag(f"t{tag}")) for replica in ("eu", "us")] for tag in range(100)]
    for _ in range(100):
        await asyncio.gather(*(store.record([life.intent(key, None) for key in event]) for event in keys))
    summary = await store.summary()
    assert {name: replica.owed for name, replica in summary.replicas.items()} == {"eu": 100, "us": 100}
    assert len(await store.rows(limit=1000)) == 200
    row = await store.row(keys[0][0])
    assert row is not None
    assert row.generation == 100


async def test_one_call_can_name_the_same_row_twice(store: Store, life: Life) -> None:
    assert await store.record([life.intent(), life.intent(digest=B)]) == (Recorded.ACCEPTED, Recorded.COALESCED)


async def test_recording_nothing_is_nothing(store: Store) -> None:
    assert await store.record([]) == ()


async def test_what_the_replica_holds_already_is_known(store: Store, life: Life) -> None:
    await copied(store, life)
    before = await store.row(TAG)
    life.clock.advance(50)
    assert await store.record([life.intent(digest=A)]) == (Recorded.KNOWN,)
    assert await store.row(TAG) == before


@pytest.mark.parametrize(
    ("digest", "fingerprint"),
    [(B, "policy"), (None, "policy"), (A, "another policy")],
    ids=["moved", "unsaid", "rule"],
)
async def test_a_clean_row_is_owed_again_when_the_digest_or_the_policy_differs(
    store: Store, life: Life, digest: Digest | None, fingerprint: str
) -> None:
    await copied(store, life)
    life.clock.advance(50)
    assert await store.record([life.intent(digest=digest, fingerprint=fingerprint)]) == (Recorded.ACCEPTED,)
    row = await store.row(TAG)
    assert row is not None
    assert (row.dirty_since, row.have, row.fingerprint) == (life.clock.now(), A, fingerprint)


@pytest.mark.parametrize("digest", [A, None], ids=["said", "unsaid"])
async def test_nothing_is_known_of_a_replica_that_holds_nothing(
    store: Store, life: Life, digest: Digest | None
) -> None:
    await store.record([life.intent()])
    await store.settle(await leased(store), Done(result=Result.GONE, digest=None))
    assert await store.record([life.intent(digest=digest)]) == (Recorded.ACCEPTED,)


async def test_a_change_during_a_look_is_never_known_since_the_look_may_put_what_it_read_before(
    store: Store, life: Life
) -> None:
    await store.record([life.intent()])
    await store.settle(
        await leased(store), Done(result=Result.COPIED, digest=A, look_at=life.clock.now() + 2, looks=1)
    )
    life.clock.advance(2)
    look = await leased(store)
    assert look.look
    assert await store.record([life.intent(digest=A)]) == (Recorded.ACCEPTED,)
    assert await store.settle(look, Done(result=Result.COPIED, digest=B))
    row = await store.row(TAG)
    assert row is not None
    assert (row.owed, row.have) == (True, B)


async def test_several_intents_are_kept_all_or_not_at_all(store: Store, life: Life) -> None:
    heard: list[IntentKey] = []
    store.listen(heard.extend)
    impossible = Intent(key=CHILD, digest=A, since=float("nan"), due_at=0.0)
    with pytest.raises(Exception, match="store"):
        await store.record([life.intent(), impossible])
    assert await store.row(TAG) is None
    assert heard == []
    assert await store.record([life.intent()]) == (Recorded.ACCEPTED,)


async def test_an_earlier_due_time_and_a_higher_priority_win_over_those_of_an_owed_row(
    store: Store, life: Life
) -> None:
    now = life.clock.now()
    await store.record([life.intent(wait=5, priority=Priority.NORMAL)])
    await store.record([life.intent(wait=30, priority=Priority.LOW)])
    row = await store.row(TAG)
    assert row is not None
    assert (row.due_at, row.priority) == (now + 5, Priority.NORMAL)
    await store.record([life.intent(wait=1, priority=Priority.HIGH)])
    row = await store.row(TAG)
    assert row is not None
    assert (row.due_at, row.priority) == (now + 1, Priority.HIGH)


async def test_a_new_change_makes_a_failing_row_fresh_but_not_its_lag(store: Store, life: Life) -> None:
    first = life.clock.now()
    await store.record([life.intent()])
    await store.settle(await leased(store), parked(life))
    life.clock.advance(60)
    await store.record([life.intent(digest=B)])
    row = await store.row(TAG)
    assert row is not None
    assert (row.attempts, row.failing_since, row.parked, row.looks) == (0, None, False, 0)
    assert (row.due_at, row.dirty_since) == (life.clock.now(), first)
    assert row.reason is Reason.AUTH, "it goes on counting as failing until an attempt says otherwise"


async def test_nothing_but_success_ends_lag(store: Store, life: Life) -> None:
    first = life.clock.now()
    await store.record([life.intent()])
    for outcome in (failed(life), parked(life), Done(result=Result.SUPERSEDED, digest=None)):
        life.clock.advance(4000)
        assert await store.settle(await leased(store), outcome)
        assert (await store.summary()).replica("eu").since == first
    life.clock.advance(4000)
    await store.release([await leased(store)])
    await leased(store, seconds=5)
    life.clock.advance(10)
    assert (await store.summary()).replica("eu").since == first
    await store.settle(await leased(store), Done(result=Result.ALREADY_PRESENT, digest=A))
    assert (await store.summary()).replica("eu").since is None


async def test_lag_survives_a_restart(store: Store, life: Life) -> None:
    first = life.clock.now()
    await store.record([life.intent()])
    await leased(store)
    life.clock.advance(1000)
    store = await life.start()
    assert (await store.summary()).replica("eu").since == first


async def test_a_change_during_a_successful_copy_starts_the_lag_that_is_left(store: Store, life: Life) -> None:
    await store.record([life.intent(digest=A)])
    life.clock.advance(10)
    await store.record([life.intent(digest=B)])  # before the lease: this work answers it
    lease = await leased(store)
    life.clock.advance(10)
    second = life.clock.now()
    await store.record([life.intent(digest=C)])
    life.clock.advance(10)
    await store.record([life.intent(digest=A)])
    assert await store.settle(lease, Done(result=Result.COPIED, digest=B))
    row = await store.row(TAG)
    assert row is not None
    assert (row.owed, row.observed_generation, row.generation) == (True, 2, 4)
    assert (row.dirty_since, row.have, row.due_at) == (second, B, lease.since)


async def test_a_change_during_an_earlier_lease_is_answered_by_the_next(store: Store, life: Life) -> None:
    """next_dirty_since belongs to the current lease only."""
    await store.record([life.intent()])
    lease = await leased(store)
    life.clock.advance(10)
    await store.record([life.intent(digest=B)])
    await store.settle(lease, failed(life))
    lease = await leased(store)
    life.clock.advance(10)
    third = life.clock.now()
    await store.record([life.intent(digest=C)])
    await store.settle(lease, Done(result=Result.COPIED, digest=B))
    assert (await store.summary()).replica("eu").since == third


async def test_a_superseded_copy_leaves_the_row_owed_and_due_at_once(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    lease = await leased(store)
    await store.record([life.intent(digest=B)])
    assert await store.settle(lease, Done(result=Result.SUPERSEDED, digest=None))
    again = await leased(store)
    assert (again.since, again.generation, again.attempts) == (lease.since, 2, 0)


async def test_rows_that_cross_the_objective_are_counted_once(store: Store, life: Life) -> None:
    us = IntentKey("us", REPOSITORY, Tag("v1"))
    await store.record([life.intent(TAG), life.intent(us)])
    life.clock.advance(10)
    await store.record([life.intent(CHILD)])
    assert await store.count_deadline_missed(900) == {}
    life.clock.advance(895)
    assert await store.count_deadline_missed(900) == {"eu": 1, "us": 1}
    assert await store.count_deadline_missed(900) == {}
    store = await life.start()
    assert await store.count_deadline_missed(900) == {}, "the mark survives restarts"
    life.clock.advance(10)
    assert await store.count_deadline_missed(900) == {"eu": 1}


async def test_a_row_whose_lag_starts_anew_can_miss_anew(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    life.clock.advance(1000)
    assert await store.count_deadline_missed(900) == {"eu": 1}
    lease = await leased(store)
    life.clock.advance(1)
    await store.record([life.intent(digest=B)])
    await store.settle(lease, Done(result=Result.COPIED, digest=A))
    assert await store.count_deadline_missed(900) == {}
    life.clock.advance(1000)
    assert await store.count_deadline_missed(900) == {"eu": 1}


async def test_a_row_that_was_late_before_its_look_ended_is_not_counted_again(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    look_at = life.clock.now() + 1
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, look_at=look_at, looks=1))
    life.clock.advance(1)
    look = await leased(store)
    await store.record([life.intent(digest=B)])
    life.clock.advance(1000)
    assert await store.count_deadline_missed(900) == {"eu": 1}
    assert await store.settle(look, Done(result=Result.ALREADY_PRESENT, digest=A))
    assert await store.count_deadline_missed(900) == {}


async def test_many_late_rows_are_all_counted(store: Store, life: Life) -> None:
    await store.record([life.intent(IntentKey("eu", REPOSITORY, Tag(f"t{tag}"))) for tag in range(2500)])
    life.clock.advance(1000)
    assert await store.count_deadline_missed(900) == {"eu": 2500}
