"""One read feeds all who keep up (G7); nobody waits (G6), no wrong byte completes (G3), memory is bounded (G9)."""

import asyncio

import pytest

from replicator.errors import ContentError, RegistryError
from replicator.model import Descriptor, Priority
from replicator.registry.urgency import Urgency, current, urgent
from replicator.replication.blob_read import AHEAD
from replicator.replication.shared_reads import SharedReads
from tests.support.content import make_blob
from tests.support.fake_clock import FakeClock
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import CHUNK, Call, ModelRegistry, Op
from tests.unit.replication.takers import (
    BLOB,
    BUDGET,
    DATA,
    HERE,
    MIB,
    STRICT,
    WINDOW,
    Taker,
    all_of,
    idle,
    settled,
    taker,
)

# Sharing


@pytest.mark.parametrize("count", [1, 2, 7])
async def test_who_keep_up_share_one_read(
    reads: SharedReads, source: ModelRegistry, counted: list[int], count: int
) -> None:
    takers = [taker(reads, source) for _ in range(count)]
    assert await all_of(*takers) == [DATA] * count
    assert source.count(Op.OPEN) == 1
    assert source.bytes_read == sum(counted) == len(DATA)
    await idle(source)


async def test_nothing_is_read_before_somebody_wants_it(reads: SharedReads, source: ModelRegistry) -> None:
    waiting = taker(reads, source)
    await settled(source)
    assert source.calls == []
    assert await waiting.rest() == DATA


async def test_one_who_wants_it_later_gets_what_was_kept(reads: SharedReads, source: ModelRegistry) -> None:
    small = make_blob("small", AHEAD)
    source.hold_blob(HERE, small)
    first, second = taker(reads, source, small), taker(reads, source, small)
    assert await first.rest() == small.read()
    await idle(source)
    assert await second.rest() == small.read()
    assert source.bytes_read == small.size


async def test_whoever_waits_is_told_once_when_the_bytes_come(reads: SharedReads, source: ModelRegistry) -> None:
    told: list[str] = []
    first, second = taker(reads, source), taker(reads, source)
    second.subscription.when_passing(lambda: told.append("waiting"))
    before = list(told)
    await first.take(1)
    third = taker(reads, source)
    third.subscription.when_passing(lambda: told.append("late"))
    assert (before, told) == ([], ["waiting", "late"])
    assert await all_of(first, second, third) == [DATA] * 3
    assert told == ["waiting", "late"]


async def test_a_late_one_reads_alone(reads: SharedReads, source: ModelRegistry) -> None:
    """The head is gone, and nobody waits."""
    first = taker(reads, source)
    await first.take(2)
    late = taker(reads, source)
    assert await all_of(first, late) == [DATA, DATA]
    assert source.count(Op.OPEN) == 2


async def test_sources_do_not_share(source: ModelRegistry) -> None:
    other = ModelRegistry("primary-2")
    other.hold_blob(HERE, BLOB)
    async with SharedReads(clock=FakeClock(), on_read=lambda _name, _count: None, pacing=STRICT) as both:
        takers = [taker(both, source), taker(both, other)]
        assert await all_of(*takers) == [DATA, DATA]
    assert (source.count(Op.OPEN), other.count(Op.OPEN)) == (1, 1)


async def test_an_empty_blob_is_no_bytes_and_no_request(reads: SharedReads, source: ModelRegistry) -> None:
    empty = make_blob("empty", 0)
    one, two = taker(reads, source, empty), taker(reads, source, empty)
    assert await one.rest() == await two.rest() == b""
    assert source.calls == []


async def test_a_blob_that_is_listed_as_empty_and_is_not_is_refused(
    reads: SharedReads, source: ModelRegistry
) -> None:
    lie = Descriptor(BLOB.media_type, BLOB.digest, 0)
    with pytest.raises(ContentError):
        await Taker(reads.subscribe(source, HERE, lie)).rest()


async def test_a_digest_of_another_kind_is_checked_too(reads: SharedReads, source: ModelRegistry) -> None:
    blob = make_blob("x", 900_000, algorithm="sha512")
    source.hold_blob(HERE, blob)
    assert await taker(reads, source, blob).rest() == blob.read()
    source.data[blob.digest] = b"y" + blob.read()[1:]
    assert isinstance(await taker(reads, source, blob).failure(size=blob.size), ContentError)


async def test_pieces_of_nothing_are_no_pieces(reads: SharedReads, source: ModelRegistry) -> None:
    """A body may come in empty pieces: nobody is handed them for ever."""
    source.empty_pieces = True
    takers = [taker(reads, source) for _ in range(2)]
    await takers[0].take(1)
    assert await asyncio.wait_for(all_of(*takers), 10) == [DATA, DATA]


# Falling behind


@pytest.mark.parametrize("taken", [0, 1, 3])
async def test_one_that_stalls_is_let_go_and_ends_right(
    reads: SharedReads, source: ModelRegistry, taken: int
) -> None:
    fast, slow = taker(reads, source), taker(reads, source)
    await slow.take(taken)
    assert await fast.rest() == DATA, "while the other stands still"
    await idle(source)
    assert source.count(Op.OPEN) == 1, "who stands still reads nothing"
    assert await slow.rest() == DATA
    opened = [call.offset for call in source.calls if call.op is Op.OPEN]
    assert opened == [0, taken * CHUNK]
    assert source.bytes_read == 2 * len(DATA) - taken * CHUNK


async def test_one_within_the_window_is_kept(reads: SharedReads, source: ModelRegistry) -> None:
    blob = make_blob("window", WINDOW)
    source.hold_blob(HERE, blob)
    fast, slow = taker(reads, source, blob), taker(reads, source, blob)
    await slow.take(1)
    await fast.rest()
    assert await slow.rest() == blob.read()
    assert source.bytes_read == WINDOW


async def test_who_were_let_go_at_the_start_share_again(reads: SharedReads, source: ModelRegistry) -> None:
    fast, *slow = [taker(reads, source) for _ in range(4)]
    assert await fast.rest() == DATA
    assert await all_of(*slow) == [DATA] * 3
    assert source.count(Op.OPEN) == 2


async def test_the_source_is_not_read_far_ahead_of_the_fastest(reads: SharedReads, source: ModelRegistry) -> None:
    one, two = taker(reads, source), taker(reads, source)
    await one.take(1)
    await settled(source)
    assert source.bytes_read <= CHUNK + AHEAD + CHUNK
    assert await all_of(one, two) == [DATA, DATA]
    assert source.bytes_read == len(DATA)


async def test_when_the_fastest_stops_another_goes_on(reads: SharedReads, source: ModelRegistry) -> None:
    first, second = taker(reads, source), taker(reads, source)
    await first.take(4)
    assert await second.rest() == DATA
    assert await first.rest() == DATA


async def test_memory_is_bounded_however_many_stall_in_the_middle(reads: SharedReads, source: ModelRegistry) -> None:
    blobs = [make_blob(f"many/{n}", 3 * MIB) for n in range(8)]
    for blob in blobs:
        source.hold_blob(HERE, blob)
    pairs = [(taker(reads, source, blob), [taker(reads, source, blob) for _ in range(3)]) for blob in blobs]
    for fast, slow in pairs:
        for one in slow:
            await one.take(1)
        await fast.rest()
        assert reads.buffered <= BUDGET + AHEAD + CHUNK
    for blob, (_, slow) in zip(blobs, pairs, strict=True):
        assert await all_of(*slow) == [blob.read()] * 3
    assert reads.buffered == 0


async def test_memory_is_bounded_however_many_small_blobs_wait(reads: SharedReads, source: ModelRegistry) -> None:
    """A lane whose replica hangs has subscribed to all that its image needs, and takes none of it."""
    blobs = [make_blob(f"small/{n}", MIB - 1) for n in range(30)]
    for blob in blobs:
        source.hold_blob(HERE, blob)
    hanging = [taker(reads, source, blob) for blob in blobs]
    most = 0
    for blob in blobs:
        assert await taker(reads, source, blob).rest() == blob.read()
        most = max(most, reads.buffered)
    assert most <= BUDGET + AHEAD + CHUNK
    for blob, one in zip(blobs, hanging, strict=True):
        assert await one.rest() == blob.read()
    assert source.bytes_read < 2 * 30 * MIB - BUDGET // 2, "what fits the budget is not read again"


# Leaving


@pytest.mark.parametrize("who", [0, 1])
async def test_one_who_is_cancelled_harms_nobody(reads: SharedReads, source: ModelRegistry, who: int) -> None:
    """Also not if it was the one who started the read, and also while a chunk is awaited."""
    gate = Gate(Op.CHUNK)
    source.hook = faults(gate)
    takers = [taker(reads, source) for _ in range(2)]
    tasks = [asyncio.create_task(one.rest()) for one in takers]
    await gate.reached.wait()
    tasks[who].cancel()
    await asyncio.wait([tasks[who]])
    takers[who].subscription.close()
    gate.opened.set()
    assert await tasks[1 - who] == DATA
    assert source.count(Op.OPEN) == 1


async def test_a_connection_is_given_back_with_the_last_byte(reads: SharedReads, source: ModelRegistry) -> None:
    """Though the only subscriber stalls with more left to take than a read goes ahead."""
    blob = make_blob("tail", AHEAD + 2 * CHUNK)
    source.hold_blob(HERE, blob)
    one = taker(reads, source, blob)
    await one.take(1)
    await settled(source)
    await one.take(1)
    await idle(source)
    assert await one.rest() == blob.read()


async def test_when_nobody_is_left_the_read_ends(reads: SharedReads, source: ModelRegistry) -> None:
    one, two = taker(reads, source), taker(reads, source)
    await one.take(1)
    await two.take(1)
    assert source.open_reads == 1
    one.subscription.close()
    two.subscription.close()
    two.subscription.close()
    await idle(source)
    assert reads.buffered == 0


async def test_a_read_that_hangs_ends_when_nobody_is_left(reads: SharedReads, source: ModelRegistry) -> None:
    gate = Gate(Op.CHUNK)
    source.hook = faults(gate)
    one = taker(reads, source)
    task = asyncio.create_task(one.rest())
    await gate.reached.wait()
    task.cancel()
    await asyncio.wait([task])
    one.subscription.close()
    await idle(source)
    source.hook = faults()
    assert await taker(reads, source).rest() == DATA, "a new subscriber does not join the dead read"


async def test_who_has_not_begun_holds_no_connection(reads: SharedReads, source: ModelRegistry) -> None:
    """The one that read gave up; the others wait for a slot, may be for long, and the source has few connections."""
    first, waiting, other = (taker(reads, source) for _ in range(3))
    await first.take(4)
    first.subscription.close()
    await idle(source)
    assert reads.buffered == 0
    assert await all_of(waiting, other) == [DATA, DATA]
    assert source.count(Op.OPEN) == 2, "they still share"


async def test_the_end_of_all_reads_closes_their_connections(source: ModelRegistry) -> None:
    async with SharedReads(clock=FakeClock(), on_read=lambda _name, _count: None, pacing=STRICT) as reads:
        takers = [taker(reads, source) for _ in range(2)]
        await takers[0].take(1)
        assert source.open_reads == 1
    assert source.open_reads == 0


async def test_an_error_inside_comes_out_as_it_is(source: ModelRegistry) -> None:
    """The command `copy` tells the user of that very error."""
    error = RegistryError("no", registry="eu")

    async def fail() -> None:
        async with SharedReads(clock=FakeClock(), on_read=lambda _name, _count: None, pacing=STRICT) as reads:
            await taker(reads, source).take(1)
            raise error

    with pytest.raises(RegistryError) as caught:
        await fail()
    assert caught.value is error
    assert source.open_reads == 0


async def test_reads_outside_their_context_are_a_mistake(source: ModelRegistry) -> None:
    reads = SharedReads(clock=FakeClock(), on_read=lambda _name, _count: None, pacing=STRICT)
    with pytest.raises(RuntimeError):
        await taker(reads, source).take(1)


# Urgency


async def test_a_read_is_as_urgent_as_the_most_urgent_that_it_serves(
    reads: SharedReads, source: ModelRegistry
) -> None:
    seen: list[Priority] = []

    async def note(call: Call) -> None:
        if call.op is Op.CHUNK:
            seen.append(current().priority)

    source.hook = note
    with urgent(Urgency(Priority.LOW)):
        alone, low = taker(reads, source), taker(reads, source)
    await alone.take(1)
    assert set(seen) == {Priority.LOW}
    with urgent(Urgency(Priority.HIGH)):
        high = taker(reads, source)
    await settled(source)
    seen.clear()
    assert await all_of(alone, low, high) == [DATA, DATA, DATA]
    assert set(seen) == {Priority.HIGH}
