"""When a request may go: windows that adapt, pauses of one kind, connections by urgency, a rate where configured."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.errors import Reason, RegistryError
from replicator.model import Priority, RequestKind
from replicator.registry.gate import PATIENCE, Gate, Limits, Permit
from replicator.registry.turns import FAIR
from replicator.registry.urgency import Urgency, urgent
from replicator.registry.window import Window
from replicator.shares import most, room
from tests.support.fake_clock import FakeClock

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW
STAT, READ, LIST = RequestKind.STAT, RequestKind.MANIFEST_READ, RequestKind.LIST


def gate_of(clock: FakeClock, connections: int = 16, requests: float | None = None) -> Gate:
    return Gate("eu", Limits(max_connections=connections, requests=requests), clock)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def enter(gate: Gate, kind: RequestKind = STAT, priority: Priority = NORMAL) -> Permit:
    with urgent(Urgency(priority)):
        return await gate.enter(kind)


def entering(gate: Gate, kind: RequestKind = STAT, priority: Priority = NORMAL) -> "asyncio.Task[Permit]":
    return asyncio.create_task(enter(gate, kind, priority))


# The window


def test_only_a_full_window_grows_and_by_one_in_a_round() -> None:
    window = Window(4.0, 16)
    assert window.succeeded(3) == window
    for _ in range(4):
        window = window.succeeded(4)
    assert 4.9 < window.size < 5.0
    assert Window(16.0, 16).succeeded(16).size == 16.0


def test_a_round_of_refusals_halves_once_and_the_longest_wish_counts() -> None:
    window = Window(16.0, 16)
    for wish in (3.0, 7.0, 5.0):
        window = window.refused(sent_at=100.0, now=101.0, wish=wish)
    assert (window.room, window.paused_until) == (8, 108.0)
    window = window.refused(sent_at=109.0, now=110.0, wish=1.0)
    assert (window.room, window.refusals) == (4, 2)


def test_without_a_wish_the_pause_doubles_until_something_succeeds() -> None:
    window, now = Window(16.0, 16), 100.0
    pauses = []
    for _ in range(8):
        window = window.refused(sent_at=now, now=now, wish=None)
        pauses.append(window.paused_until - now)
        now = window.paused_until + 1
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert window.room == 1
    window = window.succeeded(1)
    assert window.refused(sent_at=now, now=now, wish=None).paused_until == now + 1


# Room for the urgent


@given(total=st.integers(1, 100), steps=st.lists(st.tuples(st.sampled_from(Priority), st.booleans()), max_size=200))
def test_room_is_kept_for_the_urgent_and_everybody_has_some(total: int, steps: list[tuple[Priority, bool]]) -> None:
    held = dict.fromkeys(Priority, 0)
    for priority, enters in steps:
        if enters and room(total, held)[priority]:
            held[priority] += 1
        elif not enters and held[priority]:
            held[priority] -= 1
        assert sum(held.values()) <= total
        assert held[LOW] <= most(total, LOW)
        assert held[LOW] + held[NORMAL] <= most(total, NORMAL)
    assert all(room(total, {}).values())
    if total > 1:
        assert most(total, LOW) <= most(total, NORMAL) < most(total, HIGH) == total


# The gate


async def test_as_many_go_as_there_are_connections_and_the_urgent_always_find_one() -> None:
    gate = gate_of(FakeClock(), connections=8)
    low = [entering(gate, kind, LOW) for kind in (STAT, READ, LIST, STAT, READ, LIST, STAT, READ, LIST)]
    await settle()
    assert sum(task.done() for task in low) == 6
    normal = [entering(gate) for _ in range(4)]
    await settle()
    assert sum(task.done() for task in normal) == 1
    high = entering(gate, priority=HIGH)
    await settle()
    assert high.done()
    second = entering(gate, priority=HIGH)
    await settle()
    assert not second.done()
    low[0].result().leave()
    await settle()
    assert second.done()
    assert sum(task.done() for task in (*low, *normal)) == 7
    for task in (*low, *normal):
        task.cancel()


async def test_a_refusal_pauses_its_kind_alone() -> None:
    clock = FakeClock()
    gate = gate_of(clock)
    refused = await enter(gate, READ)
    assert refused.refused(7.0) == 7.0
    refused.leave()
    waiting = entering(gate, READ)
    await settle()
    (await enter(gate, STAT)).leave()
    assert not waiting.done()
    clock.advance(6.9)
    await settle()
    assert not waiting.done()
    clock.advance(0.1)
    (await waiting).leave()
    assert gate.window(READ).room == 8
    assert gate.window(STAT).room == 16
    assert clock.sleepers == ()


async def test_a_pause_that_is_too_long_is_an_error_also_for_those_who_wait() -> None:
    clock = FakeClock()
    gate = gate_of(clock)
    first, second = await enter(gate, READ), await enter(gate, READ)
    first.refused(10.0)
    waiting = entering(gate, READ)
    await settle()
    second.refused(PATIENCE + 300)
    for late in (waiting, entering(gate, READ)):
        with pytest.raises(RegistryError) as caught:
            await late
        assert caught.value.reason is Reason.RATE_LIMITED
        assert caught.value.temporary
        assert caught.value.retry_after == pytest.approx(PATIENCE + 300)
    clock.advance(301)
    last = entering(gate, READ)
    await clock.someone_sleeps()
    clock.advance(PATIENCE)
    assert (await last).kind is READ


async def test_the_configured_rate_is_never_exceeded() -> None:
    clock = FakeClock()
    gate = gate_of(clock, requests=10.0)
    times: list[float] = []

    async def ask() -> None:
        permit = await gate.enter(STAT)
        times.append(clock.monotonic())
        permit.leave()

    tasks = [asyncio.create_task(ask()) for _ in range(60)]
    await settle()
    while not all(task.done() for task in tasks):
        clock.advance(clock.sleepers[0])
        await settle()
    assert len(times) == 60
    assert all(times[index + 20] - times[index] >= 0.99 for index in range(40)), "at most 10 a second and 10 at once"
    assert times[-1] - times[0] == pytest.approx(5.0, abs=0.1)


async def test_a_place_is_given_back_when_the_one_who_got_it_is_cancelled_at_that_moment() -> None:
    gate = gate_of(FakeClock(), connections=1)
    held = await enter(gate)
    waiting = entering(gate)
    await settle()
    held.leave()
    waiting.cancel()
    await asyncio.wait([waiting])
    held.leave()
    (await asyncio.wait_for(enter(gate), 1)).leave()
    assert gate.under_way(STAT) == 0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), connections=st.integers(1, 12))
def test_never_too_many_are_under_way_and_everybody_gets_through(seed: int, connections: int) -> None:
    async def run() -> None:
        rng, clock = random.Random(seed), FakeClock()
        gate = gate_of(clock, connections)
        under_way = 0

        async def work(kind: RequestKind, priority: Priority) -> None:
            nonlocal under_way
            permit = await enter(gate, kind, priority)
            under_way += 1
            assert under_way <= connections
            assert gate.under_way(kind) <= gate.window(kind).cap
            try:
                await clock.sleep(rng.choice([0, 0.1, 1, 5]))
                if rng.random() < 0.1:
                    permit.refused(rng.choice([None, 1.0, 5.0]))
                else:
                    permit.succeeded()
            finally:
                under_way -= 1
                permit.leave()

        tasks = []
        for _ in range(60):
            tasks.append(asyncio.create_task(work(rng.choice(list(RequestKind)), rng.choice(list(Priority)))))
            if rng.random() < 0.1:
                tasks[rng.randrange(len(tasks))].cancel()
            await asyncio.sleep(0)
        while not all(task.done() for task in tasks):
            await settle()
            if clock.sleepers:
                clock.advance(clock.sleepers[0])
        for task in tasks:
            if not task.cancelled():
                task.result()

    asyncio.run(run())


async def test_the_least_urgent_get_one_turn_in_four_while_urgent_ones_keep_coming() -> None:
    gate = gate_of(FakeClock(), connections=1)
    held = await enter(gate)
    patient = entering(gate, LIST, LOW)
    await settle()
    turns = 0
    while not patient.done():
        urgent_one = entering(gate, STAT, HIGH)
        await settle()
        held.leave()
        await settle()
        if not patient.done():
            held = await urgent_one
            turns += 1
        else:
            urgent_one.cancel()
    assert 1 <= turns < FAIR
