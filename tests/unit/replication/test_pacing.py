"""What a shared read grants: a hiccup is waited out, for a bounded time; the head of a blob is kept a moment."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from replicator.replication.blob_read import AHEAD
from replicator.replication.pacing import Pacing, Standing
from replicator.replication.shared_reads import SharedReads
from tests.support.content import make_blob
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.unit.replication.support import CHUNK, ModelRegistry, Op, descriptor
from tests.unit.replication.takers import BLOB, DATA, HERE, MIB, WINDOW, Taker, all_of, taker

GRANTED = Pacing(patience=0.25, linger=1.0)


@pytest.fixture
async def reads(fake_clock: FakeClock) -> AsyncIterator[SharedReads]:
    async with SharedReads(
        clock=fake_clock, on_read=lambda _name, _count: None, window=WINDOW, budget=12 * MIB, pacing=GRANTED
    ) as running:
        yield running


async def test_one_with_a_hiccup_is_waited_for_and_keeps_sharing(
    reads: SharedReads, source: ModelRegistry, fake_clock: FakeClock
) -> None:
    fast, slow = taker(reads, source), taker(reads, source)
    await slow.take(4)
    racing = asyncio.create_task(fast.rest())
    await fake_clock.someone_sleeps()
    assert len(fast.got) <= 4 * CHUNK + WINDOW + 2 * CHUNK, "the fast one waits"
    fake_clock.advance(0.2)
    assert await slow.rest() == DATA
    assert await racing == DATA
    assert source.count(Op.OPEN) == 1
    assert source.bytes_read == len(DATA)


async def _wait_out(fake_clock: FakeClock, racing: "asyncio.Task[bytes]") -> float:
    """Advance the clock until `racing` is done, and return for how many seconds others were waited for."""
    waited = 0.0
    while not racing.done():
        try:
            await fake_clock.someone_sleeps(within=0.2)
        except (AssertionError, TimeoutError):
            break
        fake_clock.advance(0.05)
        waited += 0.05
    await racing
    return waited


async def test_one_that_stands_still_is_waited_for_no_longer_than_granted(
    reads: SharedReads, source: ModelRegistry, fake_clock: FakeClock
) -> None:
    fast, slow = taker(reads, source), taker(reads, source)
    await slow.take(4)
    racing = asyncio.create_task(fast.rest())
    assert 0.25 <= await _wait_out(fake_clock, racing) <= 0.5
    assert racing.result() == DATA
    assert await slow.rest() == DATA
    assert [call.offset for call in source.calls if call.op is Op.OPEN] == [0, 4 * CHUNK]


async def test_one_on_a_slow_line_is_not_waited_for_at_all(reads: SharedReads, source: ModelRegistry) -> None:
    fast, slow = taker(reads, source), taker(reads, source)
    await slow.take(1)
    assert await fast.rest() == DATA, "without a pause"
    assert await slow.rest() == DATA
    assert [call.offset for call in source.calls if call.op is Op.OPEN] == [0, CHUNK]


async def test_a_lane_that_was_too_slow_is_not_waited_for_again(
    reads: SharedReads, source: ModelRegistry, fake_clock: FakeClock
) -> None:
    standing = Standing(let_go=fake_clock.monotonic() - 59)
    fast, slow = taker(reads, source), Taker(reads.subscribe(source, HERE, descriptor(BLOB), standing))
    await slow.take(1)
    assert await fast.rest() == DATA, "without a pause"
    assert await slow.rest() == DATA
    assert standing.let_go == fake_clock.monotonic()


async def test_one_that_has_not_begun_is_not_waited_for(reads: SharedReads, source: ModelRegistry) -> None:
    fast, idle = taker(reads, source), taker(reads, source)
    assert await fast.rest() == DATA
    assert await idle.rest() == DATA


async def test_one_that_was_let_go_shares_again_when_it_has_caught_up(
    reads: SharedReads, source: ModelRegistry, fake_clock: FakeClock
) -> None:
    """The fast one stands still in the middle; the other comes by, and from there one read feeds both."""
    long = make_blob("long", 16 * MIB)
    source.hold_blob(HERE, long)
    fast = taker(reads, source, long)
    standing = Standing(let_go=fake_clock.monotonic())
    slow = Taker(reads.subscribe(source, HERE, descriptor(long), standing))
    await slow.take(1)
    middle = CHUNK + WINDOW + 4 * CHUNK
    await fast.take(middle // CHUNK)
    await slow.take(middle // CHUNK)
    both = await all_of(fast, slow)
    assert both == [long.read(), long.read()]
    assert source.count(Op.OPEN) == 2
    assert 0 < source.bytes_read - long.size <= middle + 2 * AHEAD < long.size


async def test_a_lane_that_comes_a_moment_later_still_shares(
    reads: SharedReads, source: ModelRegistry, fake_clock: FakeClock
) -> None:
    small = make_blob("small", 3 * CHUNK)
    source.hold_blob(HERE, small)
    assert await taker(reads, source, small).rest() == small.read()
    await fake_clock.someone_sleeps()
    fake_clock.advance(0.9)
    assert await taker(reads, source, small).rest() == small.read()
    assert source.count(Op.OPEN) == 1


async def test_nothing_is_kept_for_longer_than_that(
    reads: SharedReads, source: ModelRegistry, fake_clock: FakeClock
) -> None:
    small = make_blob("small", 3 * CHUNK)
    source.hold_blob(HERE, small)
    assert await taker(reads, source, small).rest() == small.read()
    await fake_clock.someone_sleeps()
    fake_clock.advance(1.1)
    await eventually(lambda: reads.buffered == 0, what="the memory is given back")
    assert await taker(reads, source, small).rest() == small.read()
    assert source.count(Op.OPEN) == 2


async def test_what_is_kept_for_later_makes_room_first(reads: SharedReads, source: ModelRegistry) -> None:
    """Six kept heads of 2 MiB fill the budget; more reads go through without letting anybody go."""
    blobs = [make_blob(f"kept-{number}", WINDOW) for number in range(9)]
    for blob in blobs:
        source.hold_blob(HERE, blob)
        assert await taker(reads, source, blob).rest() == blob.read()
        assert reads.buffered <= 12 * MIB + CHUNK
    assert source.count(Op.OPEN) == len(blobs)
