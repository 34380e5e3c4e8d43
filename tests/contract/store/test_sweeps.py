"""What sweeps keep: backfill that is no lag until somebody pushes, and where each comparison stands."""

from dataclasses import replace

from replicator.model import Intent, IntentKey, Priority, Recorded, Repository, Tag
from replicator.store.outcome import Done, Result
from replicator.store.rows import ReplicaSummary
from replicator.store.store import Store
from replicator.store.sweep_rows import SweepSummary, Swept
from replicator.store.sweeps import Sweeps
from tests.contract.store.life import REPOSITORY, TAG, A, B, Life, copied, leased

OTHER = Repository("team/other")


def backfill(life: Life) -> Intent:
    return replace(life.intent(digest=None, priority=Priority.LOW), backfill=True)


async def test_backfill_is_owed_and_no_lag(store: Store, life: Life) -> None:
    await store.record([backfill(life)])
    life.clock.advance(10_000)
    assert (await store.summary()).replica("eu") == ReplicaSummary(owed=1, backfill=1)
    assert await store.count_deadline_missed(900) == {}
    lease = await leased(store)
    assert (lease.backfill, lease.priority) == (True, Priority.LOW)
    assert await store.settle(lease, Done(result=Result.COPIED, digest=A))
    assert (await store.summary()).replica("eu") == ReplicaSummary()


async def test_backfill_that_was_ignored_is_no_lag_when_that_ends(store: Store, life: Life) -> None:
    await store.record([backfill(life)])
    await store.ignore([TAG], A)
    assert (await store.summary()).replica("eu") == ReplicaSummary(ignored=1)
    life.clock.advance(10_000)
    await store.heed([TAG])
    assert (await store.summary()).replica("eu") == ReplicaSummary(owed=1, backfill=1)
    assert await store.count_deadline_missed(900) == {}


async def test_comparisons_know_what_is_ignored(store: Store, life: Life) -> None:
    sweeps = Sweeps(store)
    await store.record([life.intent(digest=None)])
    (known,) = await sweeps.tags(["eu"], REPOSITORY)
    assert not known.ignored
    await store.ignore([TAG], A)
    (known,) = await sweeps.tags(["eu"], REPOSITORY)
    assert (known.owed, known.have, known.ignored, known.left_out, known.settled) == (False, None, True, A, A)
    assert await store.record([replace(life.intent(), backfill=True, fingerprint="new rules")]) == (Recorded.KNOWN,)


async def test_a_push_makes_lag_of_it_from_then_on(store: Store, life: Life) -> None:
    await store.record([backfill(life)])
    life.clock.advance(10_000)
    pushed = life.clock.now()
    await store.record([life.intent(digest=B)])
    assert (await store.summary()).replica("eu") == ReplicaSummary(owed=1, since=pushed)
    assert await store.count_deadline_missed(900) == {}
    life.clock.advance(1_000)
    assert await store.count_deadline_missed(900) == {"eu": 1}
    lease = await leased(store)
    assert (lease.backfill, lease.priority, lease.since) == (False, Priority.NORMAL, pushed)


async def test_a_push_during_the_copy_counts_from_the_push(store: Store, life: Life) -> None:
    await store.record([backfill(life)])
    lease = await leased(store)
    life.clock.advance(50)
    pushed = life.clock.now()
    await store.record([life.intent(digest=B)])
    assert await store.settle(lease, Done(result=Result.COPIED, digest=A))
    assert (await store.summary()).replica("eu") == ReplicaSummary(owed=1, since=pushed)


async def test_backfill_hides_no_lag_that_there_is(store: Store, life: Life) -> None:
    pushed = life.clock.now()
    await store.record([life.intent()])
    life.clock.advance(50)
    await store.record([backfill(life)])
    assert (await store.summary()).replica("eu") == ReplicaSummary(owed=1, since=pushed)


async def test_where_a_comparison_stands_is_kept_over_a_restart(store: Store, life: Life) -> None:
    now = life.clock.now()
    await Sweeps(store).found([REPOSITORY], now)
    swept = Swept(
        repository=REPOSITORY,
        found_at=now,
        next_at=now + 60,
        full_next_at=now + 90,
        changed_at=now - 1,
        swept_at=now + 1,
        full_at=now + 2,
        full_began_at=now + 3,
        progress=Tag("v1"),
        scope="rules",
        gone=3,
        failures=2,
    )
    await Sweeps(store).keep([swept])
    again = Sweeps(await life.start())
    assert await again.one(REPOSITORY) == swept
    assert await again.summary() == SweepSummary(repositories=1, tags_at=now + 1, digests_at=now + 2)
    assert (await again.due(now + 59, 10), await again.due(now + 60, 10)) == ((), (swept,))
    assert await again.next_due() == now + 60
    await again.forget(REPOSITORY)
    assert (await again.one(REPOSITORY), await again.next_due()) == (None, None)


async def test_finding_a_repository_again_changes_nothing_and_activity_brings_it_forward(
    store: Store, life: Life
) -> None:
    sweeps, now = Sweeps(store), life.clock.now()
    await sweeps.found([REPOSITORY, OTHER], now)
    await sweeps.keep([replace(one, next_at=now + 3600) for one in await sweeps.due(now, 10)])
    await sweeps.found([REPOSITORY], now + 100)
    assert await sweeps.next_due() == now + 3600
    await sweeps.changed([(REPOSITORY, now + 100)], soon=now + 700)
    found = await sweeps.one(REPOSITORY)
    assert found is not None
    assert (found.changed_at, found.next_at) == (now + 100, now + 700)


async def test_after_a_gap_the_latest_active_comes_first_and_nothing_is_put_off_for_long(
    store: Store, life: Life
) -> None:
    sweeps, now = Sweeps(store), life.clock.now()
    names = [Repository(f"team/app-{one}") for one in range(4)]
    await sweeps.found(names, now)
    kept = [
        Swept(
            repository=name,
            found_at=now,
            next_at=now + 9_000,
            full_next_at=now + 90_000,
            swept_at=now - 100.0 * position,
            scope="old",
            changed_at=None if position == 3 else now - 50_000.0 * position,
        )
        for position, name in enumerate(names)
    ]
    await sweeps.keep(kept)
    await sweeps.no_later(600)
    await sweeps.after_gap(now - 60_000)
    assert [one.repository for one in await sweeps.due(now, 10)] == names[:2]
    assert [one.full_next_at for one in await sweeps.due(now, 10)] == [0, 0]
    assert [one.repository for one in await sweeps.due(now + 600, 10)] == [*names[:2], names[3], names[2]]
    await sweeps.rescoped("new", now)
    assert len(await sweeps.due(now, 10)) == 4


async def test_rows_of_a_range_of_tags_are_those_and_never_digests(store: Store, life: Life) -> None:
    sweeps = Sweeps(store)
    tags = [Tag(one) for one in ("0", "a", "b", "c")]
    await store.record([life.intent(IntentKey("us", REPOSITORY, tag)) for tag in tags])
    await store.record([life.intent(IntentKey("us", REPOSITORY, B))])
    await copied(store, life, A)
    assert [one.tag for one in await sweeps.tags(["us"], REPOSITORY)] == tags
    assert [one.tag for one in await sweeps.tags(["us"], REPOSITORY, after=tags[0], upto=tags[2])] == tags[1:3]
    (known,) = await sweeps.tags(["eu"], REPOSITORY)
    assert (known.tag, known.have, known.owed, known.looking, known.fingerprint) == (
        TAG.reference,
        A,
        False,
        False,
        "policy",
    )
    assert await sweeps.tags(["eu"], OTHER) == ()
    assert [name for _, name in await sweeps.unswept("us")] == [REPOSITORY]
    await sweeps.found([REPOSITORY], life.clock.now())
    assert await sweeps.unswept("us") == ()
