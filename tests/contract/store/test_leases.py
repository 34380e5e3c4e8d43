"""Leases: taken, kept, fenced off, and settled with failure (DESIGN 3 and 4; reliability.md 2.5)."""

import asyncio
from collections.abc import Sequence

import anyio
import pytest

from replicator.errors import Reason
from replicator.model import IntentKey, Lease, Priority, Tag
from replicator.store.outcome import Done, Result, Retry
from replicator.store.store import Store
from tests.contract.store.life import CHILD, REPOSITORY, TAG, A, B, C, Life, copied, failed, leased, parked


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


async def test_the_longest_due_is_leased_alone_however_little_urgent(store: Store, life: Life) -> None:
    def key(name: str) -> IntentKey:
        return IntentKey("eu", REPOSITORY, Tag(name))

    async def longest(*, low: int = 9) -> list[str]:
        room = {Priority.HIGH: 9, Priority.NORMAL: 9, Priority.LOW: low}
        found = await store.lease("eu", 9, 60, room=room, longest_due=True)
        return [str(lease.key.reference) for lease in found]

    await store.record([life.intent(key("low"), priority=Priority.LOW, wait=1)])
    await store.record([life.intent(key("also-low"), priority=Priority.LOW, wait=2)])
    await store.record([life.intent(key("high"), priority=Priority.HIGH, wait=3)])
    await store.record([life.intent(key("not-yet"), wait=100)])
    life.clock.advance(3)
    assert await longest() == ["low"]
    assert await longest(low=0) == ["high"], "what has no room has to wait all the same"
    assert await longest() == ["also-low"]
    assert await longest() == []


async def test_room_is_how_many_of_a_priority_and_below_are_leased(store: Store, life: Life) -> None:
    for priority in Priority:
        keys = [IntentKey("eu", REPOSITORY, Tag(f"{priority.name.lower()}{n}")) for n in range(4)]
        await store.record([life.intent(key, priority=priority) for key in keys])

    async def leased_of(high: int, normal: int, low: int) -> list[int]:
        room = {Priority.HIGH: high, Priority.NORMAL: normal, Priority.LOW: low}
        found = await store.lease("eu", 10, 60, room=room)
        await store.release(found)
        return [sum(lease.priority is priority for lease in found) for priority in Priority]

    assert await leased_of(12, 12, 12) == [4, 4, 2]
    assert await leased_of(12, 5, 1) == [4, 4, 1]
    assert await leased_of(12, 3, 2) == [4, 3, 0]
    assert await leased_of(6, 6, 2) == [4, 2, 0]
    assert await leased_of(10, 10, 0) == [4, 4, 0]
    assert await leased_of(1, 0, 0) == [1, 0, 0]
    assert await leased_of(0, 0, 0) == [0, 0, 0]


async def test_the_next_due_may_be_asked_for_what_is_urgent_alone(store: Store, life: Life) -> None:
    now = life.clock.now()
    low, high = IntentKey("eu", REPOSITORY, Tag("low")), IntentKey("eu", REPOSITORY, Tag("high"))
    await store.record([life.intent(low, priority=Priority.LOW, wait=1)])
    await store.record([life.intent(high, priority=Priority.HIGH, wait=9)])
    assert await store.next_due("eu") == now + 1
    assert await store.next_due("eu", Priority.NORMAL) == now + 9


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


async def test_what_fails_again_at_once_is_made_due_only_once(store: Store, life: Life) -> None:
    """Else a lane that heals, or an operator's `retry`, would have the same rows tried without end or pause."""
    keys = [IntentKey("eu", REPOSITORY, Tag(f"t{tag}")) for tag in range(40)]
    await store.record([life.intent(key) for key in keys])
    await asyncio.gather(*(store.settle(lease, failed(life, 300)) for lease in await store.lease("eu", 40, 60)))

    async def fail_again() -> None:
        while True:
            for lease in await store.lease("eu", 1, 60):
                await store.settle(lease, failed(life, 300))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in keys:
                group.start_soon(fail_again)
            assert await store.make_due("eu") <= len(keys)
            group.cancel_scope.cancel()


async def test_thousands_of_failing_rows_become_due(store: Store, life: Life) -> None:
    await store.record([life.intent(IntentKey("eu", REPOSITORY, Tag(f"t{tag}"))) for tag in range(2500)])
    leases = await store.lease("eu", 5000, 60)
    assert all(await asyncio.gather(*(store.settle(lease, failed(life, 300)) for lease in leases)))
    assert await store.make_due("eu") == 2500
    assert await store.make_due("eu") == 0
    assert len(await store.lease("eu", 5000, 60)) == 2500
