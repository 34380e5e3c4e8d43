"""One blob over several connections: only where that is faster, in order, within bounds, and with any source."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from replicator.errors import ContentError
from replicator.registry.capabilities import Capability
from replicator.replication.blob_read import AHEAD
from replicator.replication.parallel_ranges import MOST_STREAMS
from replicator.replication.shared_reads import BUDGET, SharedReads
from tests.support.content import Blob, make_blob
from tests.support.fake_clock import FakeClock
from tests.unit.replication.steps import faults
from tests.unit.replication.support import Call, ModelRegistry, Op, network_error
from tests.unit.replication.takers import HERE, MIB, Taker, taker

CHUNK = MIB
BIG = make_blob("big", 48 * MIB + 7)
SLOW = 0.2
"""Seconds that a chunk takes: 5 MB/s."""


class Line:
    """The line to a source, in virtual time: each connection has its own rate, or all share one."""

    def __init__(self, clock: FakeClock, *, seconds: float = SLOW, shared: bool = False) -> None:
        self._clock = clock
        self._seconds = seconds
        self._one_at_a_time = asyncio.Lock() if shared else None

    async def __call__(self, call: Call) -> None:
        if call.op is not Op.CHUNK:
            return
        if self._one_at_a_time is None:
            await self._clock.sleep(self._seconds)
        else:
            async with self._one_at_a_time:
                await self._clock.sleep(self._seconds)


@asynccontextmanager
async def passing(clock: FakeClock) -> AsyncIterator[None]:
    """Let time pass to the next sleeper whenever nobody has anything to do."""

    async def pass_on() -> None:
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            if clock.sleepers:
                clock.advance(clock.sleepers[0])

    task = asyncio.create_task(pass_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def reading(clock: FakeClock, counted: list[int]) -> AsyncIterator[SharedReads]:
    """Run shared reads in passing time."""
    async with SharedReads(clock=clock, on_read=lambda _name, count: counted.append(count)) as reads, passing(clock):
        yield reads


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def line(clock: FakeClock) -> Line:
    return Line(clock)


@pytest.fixture
def source(line: Line) -> ModelRegistry:
    registry = ModelRegistry("primary", chunk=CHUNK, hook=faults(line))
    registry.hold_blob(HERE, BIG)
    return registry


async def timed(clock: FakeClock, *takers: Taker, blob: Blob = BIG) -> float:
    """Take everything and return how long that took."""
    began = clock.monotonic()
    for got in await asyncio.gather(*(one.rest() for one in takers)):
        assert got == blob.read()
    return clock.monotonic() - began


ALONE = BIG.size / CHUNK * SLOW


async def test_a_line_that_slows_each_connection_down_is_used_several_times(
    clock: FakeClock, source: ModelRegistry, counted: list[int]
) -> None:
    async with reading(clock, counted) as reads:
        assert await timed(clock, *(taker(reads, source, BIG) for _ in range(3))) < ALONE / 3
        assert source.most_open == MOST_STREAMS
        assert sum(counted) == source.bytes_read == BIG.size, "for all three, each byte once"
        second = make_blob("second", BIG.size)
        source.hold_blob(HERE, second)
        assert await timed(clock, taker(reads, source, second), blob=second) < ALONE / 5, "what was learned is kept"
    assert source.open_reads == 0


async def test_a_line_that_is_full_is_tried_once_and_left_alone(clock: FakeClock, counted: list[int]) -> None:
    source = ModelRegistry("primary", chunk=CHUNK, hook=faults(Line(clock, shared=True)))
    source.hold_blob(HERE, BIG)
    async with reading(clock, counted) as reads:
        assert await timed(clock, taker(reads, source, BIG)) < ALONE * 1.1
        assert source.most_open == 4, "four at most, then two, then one again"
        opened = source.count(Op.OPEN)
        assert await timed(clock, taker(reads, source, BIG)) < ALONE * 1.1
        assert source.count(Op.OPEN) == opened + 1
    assert source.bytes_read == 2 * BIG.size


async def test_a_source_that_waits_for_its_readers_is_read_once(
    clock: FakeClock, source: ModelRegistry, counted: list[int]
) -> None:
    source.hook = faults(Line(clock, seconds=0.004))
    async with reading(clock, counted) as reads:
        one = taker(reads, source, BIG)
        async for _piece in one.subscription.chunks():
            await clock.sleep(SLOW)
        one.subscription.close()
    assert source.count(Op.OPEN) == 1


async def test_a_blob_that_is_not_large_is_read_once(
    clock: FakeClock, source: ModelRegistry, counted: list[int]
) -> None:
    blob = make_blob("medium", 32 * MIB)
    source.hold_blob(HERE, blob)
    async with reading(clock, counted) as reads:
        await timed(clock, taker(reads, source, blob), blob=blob)
    assert source.count(Op.OPEN) == 1


@pytest.mark.parametrize(("connections", "most"), [(1, 1), (2, 1), (4, 3), (8, 6)])
async def test_connections_are_left_for_others(
    clock: FakeClock, source: ModelRegistry, counted: list[int], connections: int, most: int
) -> None:
    source.max_connections = connections
    async with reading(clock, counted) as reads:
        await timed(clock, taker(reads, source, BIG))
    assert source.most_open == most


@pytest.mark.parametrize("stalled", [0, 2])
async def test_what_comes_ahead_of_its_turn_is_within_the_budget(
    clock: FakeClock, source: ModelRegistry, line: Line, counted: list[int], stalled: int
) -> None:
    """Three blobs at once; beside each reader there may be one that stands still after some chunks."""
    blobs = [make_blob(f"wide/{n}", 40 * MIB) for n in range(3)]
    for blob in blobs:
        source.hold_blob(HERE, blob)
    most = 0
    async with reading(clock, counted) as reads:

        def look(_call: Call) -> None:
            nonlocal most
            most = max(most, reads.buffered)

        source.hook = faults(line, look)
        quick = [taker(reads, source, blob) for blob in blobs]
        slow = [taker(reads, source, blob) for blob in blobs if stalled]
        for one in slow:
            await one.take(stalled)
        assert await asyncio.gather(*(one.rest() for one in quick)) == [blob.read() for blob in blobs]
        assert stalled or source.most_open > 8
        assert source.most_open <= 24
        assert await asyncio.gather(*(one.rest() for one in slow)) == [blob.read() for blob in blobs if stalled]
        assert reads.buffered == 0
    assert most <= BUDGET + len(blobs) * (AHEAD + CHUNK)


# Sources that cannot, or fail


async def test_a_source_without_ranges_is_read_over_one_connection(
    clock: FakeClock, source: ModelRegistry, counted: list[int]
) -> None:
    source.serves_ranges = False
    async with reading(clock, counted) as reads:
        await timed(clock, taker(reads, source, BIG))
        assert source.capabilities.holds(Capability.RANGES) is False
        opened = source.count(Op.OPEN)
        assert opened == 3, "from the start, a piece that it does not serve, the rest"
        await timed(clock, taker(reads, source, BIG))
        assert source.count(Op.OPEN) == opened + 1
    assert sum(counted) == 2 * BIG.size


@pytest.mark.parametrize("every", [2, 5])
async def test_pieces_that_break_go_on_where_they_were(
    clock: FakeClock, source: ModelRegistry, line: Line, counted: list[int], every: int
) -> None:
    seen: set[int] = set()

    def cut(call: Call) -> None:
        wide = source.most_open == MOST_STREAMS
        if wide and call.op is Op.CHUNK and call.offset // CHUNK % every == 1 and call.offset not in seen:
            seen.add(call.offset)
            raise network_error("primary")

    source.hook = faults(line, cut)
    async with reading(clock, counted) as reads:
        await timed(clock, taker(reads, source, BIG), taker(reads, source, BIG))
    assert len(seen) > 2
    assert sum(counted) == BIG.size, "nothing is read twice"


@pytest.mark.parametrize("temporary", [True, False])
async def test_where_one_range_always_fails_one_connection_does_it(
    clock: FakeClock, source: ModelRegistry, line: Line, counted: list[int], temporary: bool
) -> None:
    """Whatever lies behind: the read that has no end goes through."""
    error = network_error("primary")
    error.temporary = temporary

    def refuse(call: Call) -> None:
        if call.op is Op.OPEN and call.offset > 16 * MIB and source.open_reads:
            raise error

    source.hook = faults(line, refuse)
    async with reading(clock, counted) as reads:
        await timed(clock, taker(reads, source, BIG))
    assert BIG.size <= sum(counted) <= BIG.size + 40 * MIB


async def test_bytes_that_are_wrong_only_in_pieces_are_refused_and_not_asked_for_again(
    clock: FakeClock, source: ModelRegistry, counted: list[int]
) -> None:
    def tamper(piece: bytes) -> bytes:
        return piece if source.open_reads < 2 else bytes(len(piece))

    source.tamper = tamper
    async with reading(clock, counted) as reads:
        assert isinstance(await taker(reads, source, BIG).failure(size=BIG.size), ContentError)
        assert source.capabilities.holds(Capability.RANGES) is False
        await timed(clock, taker(reads, source, BIG))


async def test_whoever_gives_up_ends_all_connections(
    clock: FakeClock, source: ModelRegistry, counted: list[int]
) -> None:
    async with reading(clock, counted) as reads:
        one = taker(reads, source, BIG)
        while source.open_reads < MOST_STREAMS:
            await one.take(1)
        one.subscription.close()
        for _ in range(50):
            await asyncio.sleep(0)
        assert source.open_reads == 0
        assert reads.buffered == 0
