"""A lease is never worked on by two, never lost, and given back when work is cut short."""

import asyncio

import pytest

from replicator.model import parse_repository, parse_tag
from tests.support.content import make_image
from tests.unit.replication.rig import Rig
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import Call, Op, network_error

REPO = parse_repository("team/app")
TAG = parse_tag("v1")
IMAGES = [make_image(f"image {n}", [40_000 + n, 300]) for n in range(6)]
A, B, C, D, *_ = IMAGES


# Leases


async def test_without_time_left_on_its_lease_a_copy_does_not_publish(rig: Rig) -> None:
    gate = Gate(Op.SENT, A.layers[0].digest)
    rig.store.broken = frozenset({"renew"})
    await rig.push_and_hold(gate, REPO, TAG, A)
    rig.clock.advance(56.0)
    gate.opened.set()
    await rig.until(lambda: rig.has_failed(REPO, TAG), what="the attempt ended")
    assert rig.replica.tags == {}
    assert rig.engine.lanes()["eu"].state == "running", "nobody is down"
    rig.store.broken = frozenset()
    await rig.quiet()
    assert rig.replica.complete(REPO, TAG)


async def test_a_lease_that_is_renewed_lasts_as_long_as_the_copy(rig: Rig) -> None:
    gate = Gate(Op.SENT, A.layers[0].digest)
    await rig.push_and_hold(gate, REPO, TAG, A)
    for _ in range(20):
        rig.clock.advance(10.0)
        await rig.moment()
    gate.opened.set()
    await rig.quiet()
    assert rig.replica.count(Op.SENT, A.layers[0].digest) == 1
    assert (await rig.row(REPO, TAG)).attempts == 0


async def test_a_row_that_was_taken_over_is_left_to_the_new_holder(rig: Rig) -> None:
    """The machine slept for longer than a lease: the old copy is cut short, also if it only had the tag to put."""
    gate = Gate(Op.SENT, A.layers[0].digest)
    rig.store.broken = frozenset({"renew"})
    await rig.push_and_hold(gate, REPO, TAG, A)
    rig.clock.advance(61.0)
    # In steps: the lane may have been about to sleep when the time jumped.
    await rig.until(lambda: rig.source.count(Op.READ, TAG) == 2, what="the row is worked on anew", step=5.0)
    rig.replica.hook = faults()
    gate.opened.set()
    await rig.quiet()
    assert rig.replica.count(Op.WRITE, TAG) == 1
    assert rig.replica.complete(REPO, TAG)
    assert rig.metric("replicator_leases_held") == 0.0


async def test_who_was_fenced_off_after_a_put_leaves_the_row_owed(rig: Rig) -> None:
    """Nobody knows which of two puts came last, so the row is done once more."""
    gate = Gate(Op.WROTE, TAG)
    rig.store.broken = frozenset({"renew"})
    await rig.push_and_hold(gate, REPO, TAG, A)
    before = (await rig.row(REPO, TAG)).generation
    rig.replica.hook = faults()
    rig.clock.advance(61.0)
    await rig.quiet()
    row = await rig.row(REPO, TAG)
    assert row.generation > before
    assert row.verify_at is not None, "and looked at when the put can no longer land"
    assert rig.replica.complete(REPO, TAG)


async def test_a_store_that_cannot_settle_is_told_again(rig: Rig) -> None:
    rig.store.broken = frozenset({"settle"})
    rig.start()
    await rig.push(REPO, TAG, A)
    await rig.until(lambda: "disk is full" in rig.engine.lanes()["eu"].last_error, what="the store failed")
    assert (await rig.owed()).owed == 1
    rig.store.broken = frozenset()
    before = rig.clock.monotonic()
    await rig.quiet()
    assert rig.clock.monotonic() - before < 5, "and not when its lease has run out"
    assert rig.replica.count(Op.WRITE, TAG) == 1
    assert rig.replica.complete(REPO, TAG)
    assert rig.metric("replicator_leases_held") == 0.0


async def test_what_cannot_be_settled_while_its_lease_lasts_is_done_again(rig: Rig) -> None:
    rig.store.broken = frozenset({"settle", "renew"})
    rig.start()
    await rig.push(REPO, TAG, A)
    await rig.until(lambda: "disk is full" in rig.engine.lanes()["eu"].last_error, what="the store failed")
    rig.clock.advance(61.0)
    await rig.until(lambda: rig.metric("replicator_leases_lost_total") == 1.0, what="it is given up", step=1.0)
    assert (await rig.owed()).owed == 1
    rig.store.broken = frozenset()
    await rig.until(rig.is_quiet, what="done again", step=2.0)
    assert rig.replica.complete(REPO, TAG)
    assert rig.metric("replicator_leases_held") == 0.0


async def test_an_end_does_not_wait_for_a_store_that_cannot_settle(rig: Rig) -> None:
    rig.store.broken = frozenset({"settle", "release"})
    rig.start()
    await rig.push(REPO, TAG, A)
    await rig.until(lambda: "disk is full" in rig.engine.lanes()["eu"].last_error, what="the store failed")
    await rig.crash()
    rig.store.broken = frozenset()
    rig.new_engine()
    rig.start()
    await rig.until(rig.is_quiet, what="done again", step=2.0)
    assert rig.replica.complete(REPO, TAG)


async def test_a_store_that_cannot_lease_is_asked_again(rig: Rig) -> None:
    rig.store.broken = frozenset({"lease"})
    rig.start()
    await rig.push(REPO, TAG, A)
    await rig.until(lambda: "disk is full" in rig.engine.lanes()["eu"].last_error, what="the store failed")
    rig.store.broken = frozenset()
    await rig.quiet()
    assert rig.replica.complete(REPO, TAG)


# The end


async def test_a_drain_lets_copies_end_and_takes_no_new_ones(rig: Rig) -> None:
    gate = Gate(Op.GOT, A.layers[0].digest)
    await rig.push_and_hold(gate, REPO, TAG, A)
    draining = asyncio.create_task(rig.engine.drain(30.0))
    await rig.clock.someone_sleeps()
    await rig.push(REPO, parse_tag("late"), B)
    gate.opened.set()
    assert rig.running is not None
    await asyncio.wait_for(rig.running, 10)
    draining.cancel()
    await asyncio.wait([draining])
    assert rig.replica.complete(REPO, TAG)
    assert (REPO, parse_tag("late")) not in rig.replica.tags
    assert not (await rig.row(REPO, parse_tag("late"))).leased


@pytest.mark.parametrize("how", ["grace is over", "crash"])
async def test_what_is_cut_short_is_given_back_and_no_failure(rig: Rig, how: str) -> None:
    gate = Gate(Op.GOT, A.layers[0].digest)
    await rig.push_and_hold(gate, REPO, TAG, A)
    if how == "crash":
        await rig.crash()
    else:
        draining = asyncio.create_task(rig.engine.drain(30.0))
        await rig.until(draining.done, what="the grace is over", step=1.0)
        assert rig.running is not None
        await asyncio.wait_for(rig.running, 10)
    row = await rig.row(REPO, TAG)
    assert (row.leased, row.attempts, row.owed, row.due_at) == (False, 0, True, row.dirty_since)
    assert rig.metric("replicator_leases_held") == 0.0
    gate.opened.set()
    rig.new_engine()
    rig.start()
    await rig.quiet()
    assert rig.replica.complete(REPO, TAG)


async def test_a_lane_ends_at_once_although_what_it_gives_back_is_due_again(rig: Rig) -> None:
    asked, given_back = asyncio.Event(), asyncio.Event()

    async def wait_for_what_is_given_back() -> None:
        asked.set()
        await given_back.wait()
        given_back.clear()

    async def tell() -> None:
        given_back.set()

    await rig.push_and_hold(Gate(Op.GOT, A.layers[0].digest), REPO, TAG, A)
    rig.store.before = {"lease": wait_for_what_is_given_back, "release": tell}
    await rig.push(REPO, parse_tag("other"), A)
    await asyncio.wait_for(asked.wait(), 10)
    assert rig.running is not None
    rig.running.cancel()
    ended, _ = await asyncio.wait([rig.running], timeout=5)
    rig.store.before = {}
    given_back.set()
    assert ended, "it goes on leasing what it gave back"
    assert not (await rig.row(REPO, TAG)).leased


async def test_a_put_that_is_cut_short_is_looked_at_again(rig: Rig) -> None:
    gate = Gate(Op.WROTE, TAG)
    await rig.push_and_hold(gate, REPO, TAG, A)
    await rig.crash()
    rig.replica.hook = faults()
    rig.new_engine()
    rig.start()
    await rig.quiet()
    assert (await rig.row(REPO, TAG)).verify_at is not None


async def test_a_store_that_fails_when_the_lane_heals_costs_no_count_and_no_row(rig: Rig) -> None:
    async def down(call: Call) -> None:
        raise network_error(call.registry)

    rig.replica.hook = down
    rig.start()
    for n in range(4):
        await rig.push(REPO, parse_tag(f"v{n}"), make_image(f"image {n}"))
    await rig.until(lambda: rig.engine.lanes()["eu"].state == "open", what="the lane opened", step=0.1)
    rig.store.broken = frozenset({"make_due"})
    rig.replica.hook = faults()
    await rig.until(rig.is_quiet, what="all arrive in their own time", step=1.0)
    assert rig.metric("replicator_leases_held") == 0.0
    assert rig.metric("replicator_leases_lost_total") == 0.0
