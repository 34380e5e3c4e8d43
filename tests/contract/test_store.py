"""What every store must do (DESIGN 1, 3, 4; reliability.md 1.1 and 2.5). Each engine runs the whole suite."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from replicator.clock import Clock
from replicator.errors import Reason
from replicator.model import Digest, Intent, IntentKey, Lease, Priority, Recorded, Repository, Tag
from replicator.store.outcome import Done, Parked, Result, Retry
from replicator.store.rows import ReplicaSummary
from replicator.store.sqlite import SqliteStore
from tests.support.fake_clock import FakeClock

Store = SqliteStore
ENGINES: Mapping[str, Callable[[Path, Clock], Awaitable[Store]]] = {
    "sqlite": lambda directory, clock: SqliteStore.open(directory / "state" / "replicator.db", clock=clock),
}

A, B, C = (Digest.of(letter) for letter in (b"a", b"b", b"c"))
REPOSITORY = Repository("team/app")
TAG = IntentKey("eu", REPOSITORY, Tag("v1"))
CHILD = IntentKey("eu", REPOSITORY, C)


class Life:
    """One store over its restarts, on a clock that the test moves."""

    def __init__(self, engine: str, directory: Path) -> None:
        self.clock = FakeClock()
        self._engine = engine
        self._directory = directory
        self._store: Store | None = None

    async def start(self) -> Store:
        """Open the store, closing it first if it was open."""
        await self.stop()
        self._store = await ENGINES[self._engine](self._directory, self.clock)
        return self._store

    async def stop(self) -> None:
        """Close the store if it is open."""
        if self._store is not None:
            await self._store.close()
            self._store = None

    def intent(
        self,
        key: IntentKey = TAG,
        digest: Digest | None = A,
        *,
        wait: float = 0.0,
        priority: Priority = Priority.NORMAL,
        fingerprint: str = "policy",
    ) -> Intent:
        """Return an intent of a change that happens now."""
        now = self.clock.now()
        return Intent(
            key=key, digest=digest, since=now, due_at=now + wait, priority=priority, fingerprint=fingerprint
        )


@pytest.fixture(params=ENGINES)
async def life(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Life]:
    async with AsyncExitStack() as stack:
        life = Life(request.param, tmp_path)
        stack.push_async_callback(life.stop)
        yield life


@pytest.fixture
async def store(life: Life) -> Store:
    return await life.start()


async def leased(store: Store, key: IntentKey = TAG, seconds: float = 60.0) -> Lease:
    """Lease exactly the row of `key`."""
    (lease,) = await store.lease(key.replica, 1, seconds)
    assert lease.key == key
    return lease


async def copied(store: Store, life: Life, digest: Digest = A, key: IntentKey = TAG) -> None:
    """Record a change and settle it."""
    await store.record([life.intent(key, digest)])
    assert await store.settle(await leased(store, key), Done(result=Result.COPIED, digest=digest))


def failed(life: Life, seconds: float = 10.0, *, wrote: bool = False) -> Retry:
    return Retry(at=life.clock.now() + seconds, reason=Reason.NETWORK, message="no answer", wrote=wrote)


def parked(life: Life, seconds: float = 3600.0) -> Parked:
    return Parked(at=life.clock.now() + seconds, reason=Reason.AUTH, message="denied")


# --- what is recorded -------------------------------------------------------------------------------------------


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


async def test_nothing_is_known_of_a_replica_that_holds_nothing(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(await leased(store), Done(result=Result.GONE, digest=None))
    assert await store.record([life.intent(digest=None)]) == (Recorded.ACCEPTED,)


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


# --- lag --------------------------------------------------------------------------------------------------------


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


async def test_many_late_rows_are_all_counted(store: Store, life: Life) -> None:
    await store.record([life.intent(IntentKey("eu", REPOSITORY, Tag(f"t{tag}"))) for tag in range(2500)])
    life.clock.advance(1000)
    assert await store.count_deadline_missed(900) == {"eu": 2500}


# --- leases -----------------------------------------------------------------------------------------------------


async def test_a_lease_says_what_the_work_needs(store: Store, life: Life) -> None:
    await copied(store, life, A)
    life.clock.advance(10)
    since = life.clock.now()
    await store.record([life.intent(digest=B, priority=Priority.HIGH, fingerprint="rule 2")])
    await store.settle(await leased(store), failed(life))
    life.clock.advance(10)
    lease = await leased(store)
    assert (lease.key, lease.generation, lease.digest, lease.have) == (TAG, 2, B, A)
    assert (lease.since, lease.attempts, lease.failing_since, lease.look) == (since, 1, since, False)
    assert (lease.fingerprint, lease.priority) == ("rule 2", Priority.HIGH)


async def test_due_rows_are_leased_by_priority_and_then_by_age_of_their_due_time(store: Store, life: Life) -> None:
    def key(name: str) -> IntentKey:
        return IntentKey("eu", REPOSITORY, Tag(name))

    await store.record([life.intent(key("low"), priority=Priority.LOW)])
    await store.record([life.intent(key("second"), wait=2), life.intent(key("first"), wait=1)])
    await store.record([life.intent(key("later"), wait=100), life.intent(IntentKey("us", REPOSITORY, Tag("other")))])
    life.clock.advance(3)
    await store.record([life.intent(key("high"), priority=Priority.HIGH)])
    assert [lease.key.reference for lease in await store.lease("eu", 3, 60)] == ["high", "first", "second"]
    assert [lease.key.reference for lease in await store.lease("eu", 3, 60)] == ["low"]


async def test_a_held_row_is_not_leased_again_until_its_lease_ends(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    first = await leased(store, seconds=60)
    life.clock.advance(59)
    assert await store.lease("eu", 5, 60) == ()
    life.clock.advance(1)
    second = await leased(store)
    assert second.epoch > first.epoch


async def test_renewing_keeps_a_lease_and_names_what_is_still_held(store: Store, life: Life) -> None:
    await store.record([life.intent(TAG), life.intent(CHILD)])
    first, second = sorted(await store.lease("eu", 2, 60), key=lambda lease: str(lease.key))
    life.clock.advance(50)
    assert await store.renew([first], 60) == {first.key}
    life.clock.advance(50)
    (taken_over,) = await store.lease("eu", 2, 60)
    assert taken_over.key == second.key
    assert await store.renew([first, second], 60) == {first.key}


async def test_leases_live_on_monotonic_time(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await leased(store, seconds=60)
    life.clock.set_wall(life.clock.now() + 7200)
    assert await store.lease("eu", 1, 60) == ()


async def test_a_released_row_is_due_at_once_and_no_attempt_is_counted(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.release([await leased(store)])
    assert (await leased(store)).attempts == 0


async def test_a_lease_ends_with_its_settling(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    lease = await leased(store)
    assert await store.settle(lease, failed(life))
    assert not await store.settle(lease, failed(life))
    assert await store.renew([lease], 60) == frozenset()


OUTCOMES: Sequence[tuple[str, bool]] = [("done", False), ("copied", True), ("retry", False), ("lost 201", True)]


def outcome_of(life: Life, name: str) -> Done | Retry:
    match name:
        case "done":
            return Done(result=Result.ALREADY_PRESENT, digest=B)
        case "copied":
            return Done(result=Result.COPIED, digest=B)
        case _:
            return failed(life, wrote=name == "lost 201")


@pytest.mark.parametrize(("name", "taints"), OUTCOMES)
@pytest.mark.parametrize("holder", ["working", "finished"])
async def test_who_was_fenced_off_changes_nothing_but_taints_what_it_put(
    store: Store, life: Life, name: str, holder: str, *, taints: bool
) -> None:
    await store.record([life.intent()])
    late = await leased(store, seconds=5)
    life.clock.advance(10)
    current = await leased(store)
    if holder == "finished":
        await store.settle(current, Done(result=Result.COPIED, digest=A))
    before = await store.row(TAG)
    assert before is not None
    assert not await store.settle(late, outcome_of(life, name))
    row = await store.row(TAG)
    assert row is not None
    assert row.generation == before.generation + taints
    if not taints:
        assert row == before
        return
    assert (row.owed, row.have, row.attempts) == (True, before.have, 0)
    if holder == "finished":
        assert (row.dirty_since, row.due_at) == (life.clock.now(), life.clock.now())
    else:
        assert await store.settle(current, Done(result=Result.COPIED, digest=A)), "the holder's lease is not touched"
        again = await store.row(TAG)
        assert again is not None
        assert again.owed


async def test_a_row_that_was_dropped_and_made_anew_does_not_take_its_former_holder(store: Store, life: Life) -> None:
    await store.record([life.intent(CHILD, C)])
    late = await leased(store, CHILD, seconds=5)
    life.clock.advance(10)
    await store.settle(await leased(store, CHILD), Done(result=Result.COPIED, digest=C))
    assert await store.row(CHILD) is None
    await store.record([life.intent(CHILD, C)])
    current = await leased(store, CHILD)
    assert not await store.settle(late, failed(life))
    assert await store.renew([late, current], 60) == {CHILD}
    assert await store.settle(current, Done(result=Result.COPIED, digest=C))


async def test_a_late_put_of_a_dropped_row_is_nothing(store: Store, life: Life) -> None:
    await store.record([life.intent(CHILD, C)])
    late = await leased(store, CHILD, seconds=5)
    life.clock.advance(10)
    await store.settle(await leased(store, CHILD), Done(result=Result.COPIED, digest=C))
    assert not await store.settle(late, Done(result=Result.COPIED, digest=C))
    assert await store.rows() == ()


async def test_a_restart_ends_all_leases_and_leaves_a_look_for_the_puts_on_their_way(
    store: Store, life: Life
) -> None:
    await store.record([life.intent(TAG), life.intent(CHILD, C)])
    former = {lease.key: lease for lease in await store.lease("eu", 2, 3600)}
    store = await life.start()
    assert not await store.settle(former[TAG], Done(result=Result.ALREADY_PRESENT, digest=A))
    now = {lease.key: lease for lease in await store.lease("eu", 2, 60)}
    assert now.keys() == {TAG, CHILD}, "their leases are over, though they had an hour to go"
    assert not await store.settle(former[CHILD], failed(life)), (
        "the epochs of a former life are never given out again"
    )
    for key, lease in now.items():
        assert await store.settle(lease, Done(result=Result.ALREADY_PRESENT, digest=A if key == TAG else C))
    assert [row.key for row in await store.rows()] == [TAG], "a put under a digest cannot be wrong"
    life.clock.advance(3600)
    assert (await leased(store)).look


async def test_a_cancelled_caller_of_lease_keeps_what_it_got(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    got: list[Lease] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        got.extend(await store.lease("eu", 1, 60))
    assert [lease.key for lease in got] == [TAG]


# --- failures ---------------------------------------------------------------------------------------------------


async def test_a_failure_is_counted_and_due_again_when_said(store: Store, life: Life) -> None:
    started = life.clock.now()
    await store.record([life.intent()])
    await store.settle(await leased(store), failed(life, 10))
    assert await store.lease("eu", 1, 60) == ()
    life.clock.advance(10)
    await store.settle(await leased(store), failed(life, 20))
    row = await store.row(TAG)
    assert row is not None
    assert (row.attempts, row.failing_since, row.due_at) == (2, started, life.clock.now() + 20)
    assert (row.reason, row.message, row.parked, row.owed) == (Reason.NETWORK, "no answer", False, True)


async def test_a_parked_row_is_still_owed_and_due_again(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(await leased(store), parked(life, 3600))
    summary = (await store.summary()).replica("eu")
    assert (summary.owed, summary.parked, summary.failing) == (1, 1, {Reason.AUTH: 1})
    assert await store.next_due("eu") == life.clock.now() + 3600
    life.clock.advance(3600)
    assert (await leased(store)).attempts == 1


async def test_success_forgets_the_failures(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(await leased(store), parked(life, 1))
    life.clock.advance(1)
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A))
    row = await store.row(TAG)
    assert row is not None
    assert (row.attempts, row.failing_since, row.reason, row.message, row.parked) == (0, None, None, "", False)
    assert (row.owed, row.dirty_since, row.due_at, row.have, row.want) == (False, None, None, A, None)


async def test_a_change_that_came_during_a_failed_copy_is_tried_at_once(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    lease = await leased(store)
    await store.record([life.intent(digest=B)])
    await store.settle(lease, parked(life))
    again = await leased(store)
    assert (again.attempts, again.failing_since, again.digest) == (0, None, B)


async def test_a_message_is_kept_in_bounds_whatever_is_in_it(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    outcome = Retry(at=life.clock.now(), reason=Reason.OTHER, message="\ud800\x00é" + "x" * 5000)
    assert await store.settle(await leased(store), outcome)
    row = await store.row(TAG)
    assert row is not None
    assert len(row.message) == 512
    assert row.message.endswith("éxxx" + "x" * 506)


@pytest.mark.parametrize("also_parked", [True, False])
async def test_a_healed_lane_has_its_failing_rows_due_at_once(store: Store, life: Life, *, also_parked: bool) -> None:
    keys = [IntentKey("eu", REPOSITORY, Tag(name)) for name in ("retried", "parked", "held")]
    us = IntentKey("us", REPOSITORY, Tag("retried"))
    await store.record([life.intent(keys[0], priority=Priority.LOW), life.intent(keys[1]), life.intent(us)])
    for lease in (*await store.lease("eu", 5, 60), *await store.lease("us", 5, 60)):
        await store.settle(lease, parked(life) if lease.key == keys[1] else failed(life, 300))
    await store.record([life.intent(keys[2], wait=5)])
    assert await store.make_due("eu", parked=also_parked) == 1 + also_parked
    due = {lease.key: lease for lease in await store.lease("eu", 5, 60)}
    assert due.keys() == ({keys[0], keys[1]} if also_parked else {keys[0]})
    assert all(lease.attempts == 1 for lease in due.values())
    assert await store.lease("us", 5, 60) == ()


async def test_a_probe_makes_the_failing_row_due_soonest_due_and_no_other(store: Store, life: Life) -> None:
    keys = [IntentKey("eu", REPOSITORY, Tag(name)) for name in ("later", "sooner")]
    await store.record([life.intent(key) for key in keys])
    for lease in await store.lease("eu", 5, 60):
        await store.settle(lease, failed(life, 300 if lease.key == keys[0] else 200))
    assert await store.make_due("eu", limit=1) == 1
    assert [lease.key for lease in await store.lease("eu", 5, 60)] == [keys[1]]


async def test_thousands_of_failing_rows_become_due(store: Store, life: Life) -> None:
    await store.record([life.intent(IntentKey("eu", REPOSITORY, Tag(f"t{tag}"))) for tag in range(2500)])
    for lease in await store.lease("eu", 5000, 60):
        await store.settle(lease, failed(life, 300))
    assert await store.make_due("eu") == 2500
    assert await store.make_due("eu") == 0
    assert len(await store.lease("eu", 5000, 60)) == 2500


# --- looks ------------------------------------------------------------------------------------------------------


async def test_a_look_is_durable_due_in_time_and_no_lag(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    at = life.clock.now() + 2
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=B, look_at=at, looks=1))
    store = await life.start()
    summary = (await store.summary()).replica("eu")
    assert (summary.owed, summary.since, summary.looks) == (0, None, 1)
    assert await store.next_due("eu") == at
    assert await store.lease("eu", 1, 60) == ()
    life.clock.advance(2)
    look = await leased(store)
    assert (look.look, look.looks, look.digest, look.have, look.since) == (True, 1, A, B, None)
    assert await store.settle(look, Done(result=Result.ALREADY_PRESENT, digest=B, look_at=at + 4, looks=2))
    row = await store.row(TAG)
    assert row is not None
    assert (row.looks, row.verify_at, row.owed, row.leased) == (2, at + 4, False, False)
    life.clock.advance(4)
    assert await store.settle(await leased(store), Done(result=Result.COPIED, digest=A))
    row = await store.row(TAG)
    assert row is not None
    assert (row.have, row.verify_at, row.generation) == (A, None, 1)
    assert await store.next_due("eu") is None


async def test_a_look_that_fails_is_taken_again_and_is_no_lag(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, look_at=life.clock.now(), looks=1))
    await store.settle(await leased(store), parked(life, 30))
    assert (await store.summary()).replica("eu") == ReplicaSummary(looks=1)
    life.clock.advance(30)
    look = await leased(store)
    assert (look.look, look.attempts) == (True, 1)


async def test_a_new_change_starts_the_looks_anew(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(
        await leased(store), Done(result=Result.COPIED, digest=A, look_at=life.clock.now() + 1, looks=3)
    )
    await store.record([life.intent(digest=B)])
    assert (await leased(store)).looks == 0


async def test_a_pending_look_is_not_lost_by_a_change(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    at = life.clock.now() + 900
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, look_at=at, looks=1))
    await store.record([life.intent(digest=B)])
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=B))
    row = await store.row(TAG)
    assert row is not None
    assert row.verify_at == at


async def test_a_put_of_unknown_outcome_is_looked_at_once_it_can_land_no_more(store: Store, life: Life) -> None:
    sent = life.clock.now()
    await store.record([life.intent()])
    await store.settle(await leased(store), failed(life, 1, wrote=True))
    life.clock.advance(1)
    soon = life.clock.now() + 2
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, look_at=soon, looks=1))
    assert await store.next_due("eu") == soon, "the earlier look comes first"
    life.clock.advance(2)
    await store.settle(await leased(store), Done(result=Result.ALREADY_PRESENT, digest=A))
    assert await store.next_due("eu") == sent + 900, "and does not stand in for the later"
    life.clock.advance(900)
    await store.settle(await leased(store), Done(result=Result.ALREADY_PRESENT, digest=A))
    assert await store.next_due("eu") is None


async def test_a_lease_that_was_taken_over_leaves_a_look(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await leased(store, seconds=5)
    life.clock.advance(10)
    taken = life.clock.now()
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A))
    row = await store.row(TAG)
    assert row is not None
    assert row.verify_at == taken + 900


async def test_looks_and_owed_rows_take_their_turn_by_due_time(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(
        await leased(store), Done(result=Result.COPIED, digest=A, look_at=life.clock.now() + 1, looks=1)
    )
    life.clock.advance(2)
    await store.record([life.intent(IntentKey("eu", REPOSITORY, Tag(f"t{tag}"))) for tag in range(5)])
    assert (await leased(store)).look


# --- rows that go -----------------------------------------------------------------------------------------------


async def test_a_digest_row_is_dropped_once_clean_and_a_tag_row_stays(store: Store, life: Life) -> None:
    await copied(store, life, A, TAG)
    await copied(store, life, C, CHILD)
    assert [row.key for row in await store.rows()] == [TAG]


async def test_a_digest_row_with_a_look_to_come_stays_until_it_is_taken(store: Store, life: Life) -> None:
    await store.record([life.intent(CHILD, C)])
    look_at = life.clock.now() + 2
    await store.settle(await leased(store, CHILD), Done(result=Result.GONE, digest=None, look_at=look_at, looks=1))
    assert await store.row(CHILD) is not None
    life.clock.advance(2)
    await store.settle(await leased(store, CHILD), Done(result=Result.COPIED, digest=C))
    assert await store.row(CHILD) is None


async def test_a_digest_row_with_a_newer_change_stays(store: Store, life: Life) -> None:
    await store.record([life.intent(CHILD, C)])
    lease = await leased(store, CHILD)
    await store.record([life.intent(CHILD, C)])
    await store.settle(lease, Done(result=Result.COPIED, digest=C))
    row = await store.row(CHILD)
    assert row is not None
    assert row.owed


async def test_children_that_came_with_their_index_are_dropped_where_nobody_works_on_them(
    store: Store, life: Life
) -> None:
    covered, worked_on = (IntentKey("eu", REPOSITORY, digest) for digest in (B, C))
    elsewhere = IntentKey("us", REPOSITORY, B), IntentKey("eu", Repository("team/other"), B)
    await store.record([life.intent(worked_on, C)])
    await leased(store, worked_on)
    await store.record([life.intent(TAG)])
    await store.record([life.intent(key, key_digest(key), wait=5) for key in (covered, *elsewhere)])
    done = Done(result=Result.COPIED, digest=A, covered=(A, B, C))
    assert await store.settle(await leased(store, TAG), done)
    assert {row.key for row in await store.rows()} == {TAG, worked_on, *elsewhere}


def key_digest(key: IntentKey) -> Digest | None:
    return key.reference if isinstance(key.reference, Digest) else None


async def test_who_is_fenced_off_covers_nothing(store: Store, life: Life) -> None:
    await store.record([life.intent(TAG), life.intent(CHILD, C, wait=500)])
    late = await leased(store, TAG, seconds=5)
    life.clock.advance(10)
    await leased(store, TAG)
    await store.settle(late, Done(result=Result.COPIED, digest=A, covered=(C,)))
    assert await store.row(CHILD) is not None


# --- questions --------------------------------------------------------------------------------------------------


async def test_the_summary_counts_each_replica_by_itself(store: Store, life: Life) -> None:
    first = life.clock.now()
    us = [IntentKey("us", REPOSITORY, Tag(f"t{tag}")) for tag in range(3)]
    await store.record([life.intent(us[0], wait=100)])
    life.clock.advance(5)
    await store.record([life.intent(us[1]), life.intent(us[2]), life.intent(TAG)])
    for lease in await store.lease("us", 5, 60):
        await store.settle(lease, parked(life) if lease.key == us[1] else failed(life))
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A))
    summary = await store.summary()
    assert summary.read_at == life.clock.now()
    assert summary.replica("us") == ReplicaSummary(
        owed=3, parked=1, failing={Reason.AUTH: 1, Reason.NETWORK: 1}, since=first
    )
    assert summary.replica("eu") == ReplicaSummary()
    assert summary.replica("never seen") == ReplicaSummary()


async def test_the_next_due_time_is_that_of_the_earliest_free_row(store: Store, life: Life) -> None:
    now = life.clock.now()
    assert await store.next_due("eu") is None
    await store.record([life.intent(wait=30), life.intent(CHILD, wait=10, priority=Priority.LOW)])
    assert await store.next_due("eu") == now + 10
    assert await store.next_due("us") is None
    life.clock.advance(10)
    await leased(store, CHILD, seconds=60)
    assert await store.next_due("eu") == now + 30
    life.clock.advance(60)
    assert await store.next_due("eu") == now + 10, "its holder's time is over"


async def test_pages_of_rows_show_each_row_once(store: Store, life: Life) -> None:
    keys = {
        IntentKey(replica, Repository(name), reference)
        for replica in ("eu", "us")
        for name in ("b/b", "a/a", "c")
        for reference in (Tag("v1"), Tag("V1"), Tag("_"), A, Digest.of(b"long", "sha512"))
    }
    await store.record([life.intent(key) for key in keys])
    seen: list[IntentKey] = []
    while page := await store.rows(after=seen[-1] if seen else None, limit=4):
        assert len(page) <= 4
        seen.extend(row.key for row in page)
    assert len(seen) == len(keys)
    assert set(seen) == keys
    european = await store.rows(replica="eu", limit=100)
    assert {row.key for row in european} == {key for key in keys if key.replica == "eu"}
    assert await store.rows(replica="nowhere") == ()


async def test_rows_can_be_asked_for_by_whether_they_are_parked(store: Store, life: Life) -> None:
    stuck, owed = (IntentKey("eu", REPOSITORY, Tag(name)) for name in ("stuck", "owed"))
    await copied(store, life, A, TAG)
    await store.record([life.intent(stuck)])
    await store.settle(await leased(store, stuck), parked(life))
    await store.record([life.intent(owed)])
    assert [row.key for row in await store.rows(parked=True)] == [stuck]
    assert [row.key for row in await store.rows(parked=False)] == [owed]
    assert {row.key for row in await store.rows()} == {TAG, stuck, owed}


async def test_an_unknown_row_is_none(store: Store) -> None:
    assert await store.row(TAG) is None


# --- who listens ------------------------------------------------------------------------------------------------


async def test_listeners_hear_of_changes_once_they_can_be_leased(store: Store, life: Life) -> None:
    heard: list[Sequence[IntentKey]] = []
    store.listen(heard.append)
    await store.record([life.intent(TAG), life.intent(CHILD, C)])
    assert heard.pop() == (TAG, CHILD)
    await store.record([life.intent(TAG)])
    assert heard.pop() == (TAG,)
    first, second = await store.lease("eu", 2, 60)
    assert heard == []
    await store.settle(first, Done(result=Result.COPIED, digest=A))
    assert heard.pop() == (first.key,)
    await store.settle(second, failed(life))
    assert heard.pop() == (second.key,)
    assert not await store.settle(second, failed(life))
    assert heard == []


async def test_listeners_hear_nothing_of_what_is_known(store: Store, life: Life) -> None:
    await copied(store, life)
    heard: list[Sequence[IntentKey]] = []
    store.listen(heard.append)
    await store.record([life.intent()])
    assert heard == []


# --- hints ------------------------------------------------------------------------------------------------------


async def test_blobs_are_found_where_they_were_seen_last(store: Store, life: Life) -> None:
    for name in ("one", "two"):
        await store.remember_blobs("eu", Repository(name), [A, B])
        life.clock.advance(1)
    await store.remember_blobs("us", Repository("three"), [A])
    await store.remember_blobs("eu", Repository("one"), [B, B])
    await store.remember_blobs("eu", Repository("one"), [])
    assert await store.locations("eu", [A, B, C]) == {A: ("two", "one"), B: ("one", "two"), C: ()}
    await store.forget_blobs("eu", Repository("one"))
    assert await store.locations("eu", [A, B]) == {A: ("two",), B: ("two",)}
    assert await store.locations("us", [A]) == {A: ("three",)}


async def test_of_a_blob_that_is_everywhere_five_places_are_remembered(store: Store, life: Life) -> None:
    for number in range(8):
        await store.remember_blobs("eu", Repository(f"r{number}"), [A])
        life.clock.advance(1)
    assert await store.locations("eu", [A]) == {A: ("r7", "r6", "r5", "r4", "r3")}
    await store.forget_blobs("eu", Repository("r7"))
    assert await store.locations("eu", [A]) == {A: ("r6", "r5", "r4", "r3")}


async def test_unreadable_deliveries_are_kept_in_bounds(store: Store, life: Life) -> None:
    for number in range(105):
        await store.keep_unreadable("primary", f"reason {number}", b"x" * 100_000)
    kept = await store.unreadable()
    assert [delivery.reason for delivery in kept] == [f"reason {number}" for number in range(104, 4, -1)]
    assert {len(delivery.body) for delivery in kept} == {65536}
    assert (kept[0].endpoint, kept[0].received_at) == ("primary", life.clock.now())


# --- health -----------------------------------------------------------------------------------------------------


async def test_an_open_store_is_healthy_and_writable(store: Store) -> None:
    assert store.healthy()
    await store.tick()
    assert await store.writable()


async def test_a_closed_store_refuses_everything(store: Store, life: Life) -> None:
    await life.stop()
    await store.close()
    assert not store.healthy()
    assert not await store.writable()
    refused: list[Callable[[], Awaitable[object]]] = [
        lambda: store.record([life.intent()]),
        lambda: store.lease("eu", 1, 60),
        store.tick,
        store.summary,
        lambda: store.row(TAG),
    ]
    for call in refused:
        with pytest.raises(Exception, match="closed"):
            await call()


async def test_what_is_stored_survives_a_restart(store: Store, life: Life) -> None:
    await copied(store, life, A)
    await store.record([life.intent(IntentKey("us", REPOSITORY, Tag("v2")), B, wait=7, priority=Priority.LOW)])
    await store.remember_blobs("eu", REPOSITORY, [A])
    before = await store.rows(), await store.summary(), await store.locations("eu", [A])
    store = await life.start()
    assert (await store.rows(), await store.summary(), await store.locations("eu", [A])) == before
