"""Slots for big blobs: by urgency, size and age, with room for the urgent, and nobody waits for ever."""

import asyncio
from collections.abc import Callable

import anyio

from replicator.model import Priority
from replicator.registry.urgency import Urgency, urgent
from replicator.replication.slots import Slots
from tests.support.fake_clock import FakeClock

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW
BIG = 1_000_000


class Upload:
    """Holds a slot until it is told to end."""

    def __init__(
        self, slots: Slots, size: int = BIG, priority: Priority = NORMAL, stream: "Stream | None" = None
    ) -> None:
        self.stream = stream
        self.slots = slots
        self.size = size
        self.priority = priority
        self.began = False
        self.end = anyio.Event()
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        with urgent(Urgency(self.priority)):
            async with self.slots.place(self.size, self.stream):
                self.began = True
                await self.end.wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def end(*uploads: Upload) -> None:
    for one in uploads:
        one.end.set()
    await settle()


async def test_the_small_go_first_and_the_urgent_before_them() -> None:
    slots = Slots(2, FakeClock())
    running = Upload(slots)
    await settle()
    big, small, high = Upload(slots, 9 * BIG), Upload(slots, 2 * BIG), Upload(slots, 99 * BIG, HIGH)
    await settle()
    assert (running.began, big.began, small.began, high.began) == (True, False, False, True)
    await end(running)
    assert (big.began, small.began) == (False, True)
    await end(small)
    assert big.began
    await end(big, high)
    assert slots.held == 0


async def test_what_is_low_leaves_room_for_what_is_not() -> None:
    slots = Slots(8, FakeClock())
    low = [Upload(slots, priority=LOW) for _ in range(10)]
    await settle()
    assert sum(one.began for one in low) == 6
    others = [Upload(slots, priority=NORMAL), Upload(slots, priority=HIGH)]
    await settle()
    assert all(one.began for one in others)
    await end(*low, *others)
    assert slots.held == 0


async def test_one_that_is_free_may_be_taken_at_once() -> None:
    slots = Slots(2, FakeClock())
    place = slots.take_at_once()
    assert place is not None
    assert slots.take_at_once() is None, "the other is kept for what is urgent"
    with urgent(Urgency(HIGH)):
        assert slots.take_at_once() is not None
    waiting = Upload(slots)
    await settle()
    began_too_early = waiting.began
    place.release()
    await settle()
    assert (began_too_early, waiting.began) == (False, True)
    await end(waiting)


async def test_a_big_one_gets_its_turn_although_small_ones_keep_coming() -> None:
    slots = Slots(1, FakeClock())
    running = Upload(slots)
    await settle()
    patient = Upload(slots, 10**12, LOW)
    for _ in range(4):
        following = Upload(slots, priority=HIGH)
        await settle()
        await end(running)
        running = following
        if patient.began:
            break
    assert patient.began
    await end(patient, running)


async def test_whoever_is_cancelled_leaves_its_place_to_the_next() -> None:
    slots = Slots(1, FakeClock())
    running, waiting, last = Upload(slots), Upload(slots), Upload(slots)
    await settle()
    waiting.task.cancel()
    running.task.cancel()
    await asyncio.wait([running.task, waiting.task])
    await settle()
    assert last.began
    await end(last)
    assert slots.held == 0


class Stream:
    """Where bytes come from; passes by when the test says so."""

    def __init__(self) -> None:
        self.told: list[Callable[[], None]] = []

    def when_passing(self, told: Callable[[], None]) -> None:
        self.told.append(told)

    def pass_by(self) -> None:
        for told in self.told:
            told()


async def test_what_passes_by_goes_before_what_is_smaller_but_not_before_what_is_urgent() -> None:
    slots, stream = Slots(1, FakeClock()), Stream()
    running = Upload(slots)
    await settle()
    small, passing, high = Upload(slots, 1), Upload(slots, 9 * BIG, stream=stream), Upload(slots, BIG, HIGH)
    await settle()
    stream.pass_by()
    order = []
    for _ in range(3):
        await end(running)
        (running,) = (one for one in (small, passing, high) if one.began and not one.end.is_set())
        order.append(running)
    assert order == [high, passing, small]
    stream.pass_by()
    await end(running)
    assert slots.held == 0


async def test_when_slots_become_fewer_the_urgent_still_find_those_kept_for_them() -> None:
    total = [16]
    slots = Slots(lambda: total[0], FakeClock())
    backfill = [Upload(slots, priority=LOW) for _ in range(12)]
    await settle()
    assert all(one.began for one in backfill)
    total[0] = 8
    push, more = Upload(slots, priority=HIGH), Upload(slots, priority=LOW)
    await settle()
    assert push.began
    assert not more.began
    await end(push, more, *backfill)
