"""Bytes a second, shared: never more than the rate and its burst, all of it when wanted, the urgent first."""

import asyncio

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.model import Priority
from replicator.registry.bandwidth import Bandwidth
from replicator.registry.bucket import Bucket
from replicator.registry.urgency import Urgency, urgent
from tests.support.fake_clock import FakeClock

MIB = 1024 * 1024


@given(
    rate=st.floats(1, 1e9),
    burst=st.floats(1, 1e6),
    steps=st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 1)), max_size=50),
)
def test_a_bucket_never_gives_more_than_its_rate_and_its_burst(
    rate: float, burst: float, steps: list[tuple[float, float]]
) -> None:
    now, taken = 0.0, []
    bucket = Bucket.full(rate, burst, now)
    for idle, share in steps:
        now += idle
        wait = bucket.wait(share * burst, now)
        now += wait
        bucket = bucket.taken(share * burst, now)
        taken.append((now, share * burst))
    for first, (began, _) in enumerate(taken):
        got = 0.0
        for ended, amount in taken[first:]:
            got += amount
            rounded = len(taken) * rate * 1e-9  # what a nanosecond brings, each time
            assert got <= (burst + rate * (ended - began)) * (1 + 1e-6) + rounded + 1e-3


class Taker:
    """Takes bytes in pieces, as a transfer does, until it is ended."""

    def __init__(self, bandwidth: Bandwidth, priority: Priority, size: int = MIB // 2) -> None:
        self.bandwidth = bandwidth
        self.priority = priority
        self.size = size
        self.taken = 0

    async def run(self) -> None:
        with urgent(Urgency(self.priority)):
            while True:
                await self.bandwidth.take(self.size)
                self.taken += self.size


async def pass_time(clock: FakeClock, seconds: float, step: float) -> None:
    for _ in range(round(seconds / step)):
        clock.advance(step)
        for _ in range(40):
            await asyncio.sleep(0)


@pytest.mark.parametrize("rate", [64 * 1024, 1 * MIB, 50 * MIB])
async def test_the_rate_is_held_within_three_per_cent_and_shared_evenly(rate: int) -> None:
    clock = FakeClock()
    bandwidth = Bandwidth(rate, clock)
    takers = [Taker(bandwidth, Priority.NORMAL, bandwidth.piece) for _ in range(4)]
    async with anyio.create_task_group() as group:
        for one in takers:
            group.start_soon(one.run)
        await pass_time(clock, 8, 0.005)
        group.cancel_scope.cancel()
    total = sum(one.taken for one in takers)
    print(f"{total / 8 / rate:.4f} of {rate} bytes a second")
    assert 0.97 * rate * 8 <= total <= 1.03 * rate * 8
    assert max(one.taken for one in takers) - min(one.taken for one in takers) <= 2 * bandwidth.piece + 0.02 * total


async def test_the_urgent_take_most_of_it_at_once_and_the_others_still_get_on() -> None:
    clock = FakeClock()
    bandwidth = Bandwidth(MIB, clock)
    low = [Taker(bandwidth, Priority.LOW, bandwidth.piece) for _ in range(8)]
    async with anyio.create_task_group() as group:
        for one in low:
            group.start_soon(one.run)
        await pass_time(clock, 5, 0.01)
        before = sum(one.taken for one in low)
        high = Taker(bandwidth, Priority.HIGH, bandwidth.piece)
        group.start_soon(high.run)
        await pass_time(clock, 0.2, 0.01)
        assert high.taken >= 2 * bandwidth.piece, "it does not wait for those who came before"
        await pass_time(clock, 4.8, 0.01)
        group.cancel_scope.cancel()
    share = high.taken / (5 * MIB)
    assert share == pytest.approx(0.75, abs=0.03)
    assert (sum(one.taken for one in low) - before) / (5 * MIB) == pytest.approx(0.25, abs=0.03)


async def test_whoever_gives_up_takes_nothing_from_the_others() -> None:
    clock = FakeClock()
    bandwidth = Bandwidth(MIB, clock)
    await bandwidth.take(2 * bandwidth.piece)
    gone = asyncio.create_task(bandwidth.take(bandwidth.piece))
    await clock.someone_sleeps()
    stays = asyncio.create_task(bandwidth.take(bandwidth.piece))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    await clock.someone_sleeps()
    clock.advance(bandwidth.piece / MIB)
    await stays
    assert clock.sleepers == ()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(Priority), st.integers(1, 3 * MIB)), min_size=1, max_size=12))
def test_everybody_gets_through_and_never_faster_than_allowed(wanted: list[tuple[Priority, int]]) -> None:
    async def run() -> None:
        clock = FakeClock()
        bandwidth = Bandwidth(MIB, clock)
        began = clock.monotonic()

        async def take(priority: Priority, size: int) -> None:
            with urgent(Urgency(priority)):
                await bandwidth.take(size)

        tasks = [asyncio.create_task(take(*one)) for one in wanted]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            if clock.sleepers:
                clock.advance(clock.sleepers[0])
        total = sum(size for _, size in wanted)
        assert total <= MIB * (0.1 + clock.monotonic() - began) + 2
        assert clock.monotonic() - began <= total / MIB + 1

    asyncio.run(run())
