"""Whose turn it is: by urgency, then size, then age, and nobody waits for ever."""

import asyncio

import anyio
from hypothesis import given
from hypothesis import strategies as st

from replicator.model import Priority
from replicator.registry.turns import FAIR, Ticket, Turns, Turnstile
from replicator.registry.urgency import Urgency, current, urgent
from tests.support.fake_clock import FakeClock

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW


def ticket(priority: Priority = NORMAL, weight: int = 0) -> Ticket:
    return Ticket(Urgency(priority), weight)


def anybody(_: Ticket) -> bool:
    return True


def test_the_urgent_go_before_the_small_and_the_small_before_the_early() -> None:
    turns = Turns()
    big, small, low, early = ticket(weight=9), ticket(weight=1), ticket(LOW), ticket(weight=1)
    for one in (low, big, small, early):
        turns.join(one)
    assert turns.next(anybody) is small
    assert turns.next(anybody) is early
    assert turns.next(anybody) is big


def test_one_turn_in_four_is_for_whoever_has_waited_longest() -> None:
    turns = Turns()
    patient = ticket(LOW, weight=10**12)
    turns.join(patient)
    for _ in range(FAIR):
        turns.join(ticket(HIGH))
    assert [turns.next(anybody) is patient for _ in range(FAIR)] == [False] * (FAIR - 1) + [True]


def test_a_refusal_is_no_turn() -> None:
    turns = Turns()
    for _ in range(FAIR):
        turns.join(ticket(HIGH))
    patient = ticket(LOW)
    turns.join(patient)
    for _ in range(3 * FAIR):
        assert turns.next(lambda one: False) is None  # noqa: ARG005 -- nobody may go
    assert turns.next(anybody) is not patient


def test_who_becomes_more_urgent_goes_before_those_who_came_earlier() -> None:
    turns = Turns()
    first, raised = ticket(), ticket(LOW)
    turns.join(first)
    turns.join(raised)
    raised.urgency.raise_to(HIGH)
    assert turns.best() is raised
    raised.urgency.raise_to(NORMAL)
    assert raised.priority is HIGH
    turns.leave(raised)
    assert turns.best() is first
    turns.leave(first)
    assert turns.best() is None
    assert turns.oldest() is None


@given(st.lists(st.tuples(st.sampled_from(Priority), st.integers(0, 100)), min_size=1, max_size=60))
def test_nobody_starves_however_many_come_after(others: list[tuple[Priority, int]]) -> None:
    """Whoever waits is served after at most FAIR turns for each that came before, and FAIR of its own."""
    turns = Turns()
    before = [ticket(*one) for one in others]
    for one in before:
        turns.join(one)
    patient = ticket(LOW, weight=10**12)
    turns.join(patient)
    for _ in range(FAIR * (len(before) + 1)):
        turns.join(ticket(HIGH))
        if turns.next(anybody) is patient:
            return
    raise AssertionError("never served")


def test_what_nobody_said_anything_of_is_normal_and_a_block_gives_its_urgency_to_all_in_it() -> None:
    assert current().priority is NORMAL
    with urgent(Urgency(HIGH)) as _:
        assert current().priority is HIGH
        with urgent(Urgency(LOW)):
            assert current().priority is LOW
        assert current().priority is HIGH
    assert current().priority is NORMAL


class Door:
    """Lets one through each second."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.opens = clock.monotonic() + 1.0
        self.turns = Turns()
        self.turnstile = Turnstile(clock, self.serve)
        self.through: list[str] = []

    def serve(self) -> float | None:
        now = self.clock.monotonic()
        if now >= self.opens and (one := self.turns.next(anybody)) is not None:
            self.opens = now + 1.0
            one.grant()
        return self.opens - now if len(self.turns) else None

    async def go(self, name: str, priority: Priority = NORMAL) -> None:
        mine = ticket(priority)
        self.turns.join(mine)
        try:
            await self.turnstile.wait(mine)
        finally:
            self.turns.leave(mine)
        self.through.append(name)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_of_those_who_wait_watches_the_clock_for_all() -> None:
    clock = FakeClock()
    door = Door(clock)
    async with anyio.create_task_group() as group:
        for name in ("a", "b", "c"):
            group.start_soon(door.go, name)
        await settle()
        for expected in (["a"], ["a", "b"], ["a", "b", "c"]):
            assert len(clock.sleepers) == 1
            clock.advance(1.0)
            await settle()
            assert door.through == expected
    assert clock.sleepers == ()


async def test_when_the_one_who_watches_gives_up_another_takes_over() -> None:
    clock = FakeClock()
    door = Door(clock)
    watcher = asyncio.create_task(door.go("watcher"))
    await settle()
    other = asyncio.create_task(door.go("other"))
    await settle()
    watcher.cancel()
    await settle()
    clock.advance(1.0)
    await other
    assert door.through == ["other"]


async def test_the_urgent_overtake_while_the_clock_is_watched_for_another() -> None:
    clock = FakeClock()
    door = Door(clock)
    async with anyio.create_task_group() as group:
        group.start_soon(door.go, "low", LOW)
        await settle()
        group.start_soon(door.go, "high", HIGH)
        await settle()
        clock.advance(1.0)
        await settle()
        assert door.through == ["high"]
        clock.advance(1.0)


async def test_an_earlier_moment_shortens_the_watch() -> None:
    clock = FakeClock()
    door = Door(clock)
    door.opens = clock.monotonic() + 100.0
    task = asyncio.create_task(door.go("a"))
    await settle()
    door.opens = clock.monotonic() + 1.0
    door.turnstile.look()
    await settle()
    clock.advance(1.0)
    await task
    assert door.through == ["a"]
