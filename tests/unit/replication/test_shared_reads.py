"""One read feeds all who keep up (G7); nobody waits (G6), no wrong byte completes (G3), memory is bounded (G9)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from replicator.errors import ContentError, NotFound, Reason, RegistryError, ReplicatorError
from replicator.model import Descriptor, parse_repository
from replicator.replication.blob_read import AHEAD, Subscription
from replicator.replication.pacing import Pacing
from replicator.replication.shared_reads import SharedReads
from tests.support.content import Blob, make_blob
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.unit.replication.support import CHUNK, Call, Gate, ModelRegistry, Op, descriptor, faults, network_error

HERE, THERE = parse_repository("team/here"), parse_repository("team/there")
MIB = 1024 * 1024
STRICT = Pacing(patience=0, linger=0)
WINDOW = 2 * MIB
BUDGET = 6 * MIB
BLOB = make_blob("layer", 5 * MIB + 77)
DATA = BLOB.read()


@dataclass
class Taker:
    """One who takes a blob's bytes, as many as the test says."""

    subscription: Subscription
    got: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._chunks = self.subscription.chunks()

    async def take(self, pieces: int) -> None:
        for _ in range(pieces):
            self.got += await anext(self._chunks)

    async def rest(self) -> bytes:
        async for piece in self._chunks:
            self.got += piece
        self.subscription.close()
        return bytes(self.got)

    async def failure(self, *, size: int = len(DATA)) -> ReplicatorError:
        """Take until it fails, and make sure that the last byte never came."""
        with pytest.raises(ReplicatorError) as caught:
            await self.rest()
        assert len(self.got) < size
        self.subscription.close()
        return caught.value


@pytest.fixture
def source() -> ModelRegistry:
    registry = ModelRegistry("primary")
    registry.hold_blob(HERE, BLOB)
    return registry


@pytest.fixture
def counted() -> list[int]:
    return []


@pytest.fixture
async def reads(counted: list[int], fake_clock: FakeClock) -> AsyncIterator[SharedReads]:
    def on_read(name: str, count: int) -> None:
        assert name == "primary"
        counted.append(count)

    async with SharedReads(
        clock=fake_clock, on_read=on_read, pause=0, window=WINDOW, budget=BUDGET, pacing=STRICT
    ) as running:
        yield running


def taker(reads: SharedReads, source: ModelRegistry, blob: Blob = BLOB) -> Taker:
    return Taker(reads.subscribe(source, HERE, descriptor(blob)))


async def all_of(*takers: Taker) -> list[bytes]:
    return list(await asyncio.gather(*(one.rest() for one in takers)))


async def idle(source: ModelRegistry) -> None:
    await eventually(lambda: source.open_reads == 0, what="no read is open at the source")


async def settled(source: ModelRegistry) -> None:
    """Return when no read goes on any more by itself."""
    before = -1
    while before != source.bytes_read:
        before = source.bytes_read
        for _ in range(50):
            await asyncio.sleep(0)


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


# Wrong bytes


@pytest.mark.parametrize("where", [0, 1, CHUNK, 3 * MIB, len(DATA) - 1])
async def test_a_wrong_byte_never_completes_for_anybody(
    reads: SharedReads, source: ModelRegistry, where: int
) -> None:
    source.data[BLOB.digest] = DATA[:where] + bytes([DATA[where] ^ 1]) + DATA[where + 1 :]
    takers = [taker(reads, source) for _ in range(3)]
    for error in await asyncio.gather(*(one.failure() for one in takers)):
        assert isinstance(error, ContentError)
        assert error.reason is Reason.DIGEST_MISMATCH
        assert error.registry == "primary"
        assert str(BLOB.digest) in str(error)
    await idle(source)


async def test_one_that_was_let_go_checks_all_bytes_not_only_its_own(
    reads: SharedReads, source: ModelRegistry
) -> None:
    """The wrong byte came with the part that was shared; nobody may end well on the right rest."""
    source.data[BLOB.digest] = b"\xff" + DATA[1:]
    fast, slow = taker(reads, source), taker(reads, source)
    await slow.take(2)
    assert isinstance(await fast.failure(), ContentError)
    source.data[BLOB.digest] = DATA
    assert isinstance(await slow.failure(), ContentError)


async def test_a_later_read_is_not_hurt_by_a_wrong_one(reads: SharedReads, source: ModelRegistry) -> None:
    source.data[BLOB.digest] = DATA[:-1] + b"?"
    assert isinstance(await taker(reads, source).failure(), ContentError)
    source.data[BLOB.digest] = DATA
    assert await taker(reads, source).rest() == DATA


async def test_a_body_that_is_too_long_never_completes(reads: SharedReads, source: ModelRegistry) -> None:
    source.data[BLOB.digest] = DATA + b"x"
    takers = [taker(reads, source) for _ in range(2)]
    for error in await asyncio.gather(*(one.failure() for one in takers)):
        assert isinstance(error, ContentError)


async def test_a_body_that_is_always_too_short_ends_as_an_error(reads: SharedReads, source: ModelRegistry) -> None:
    source.data[BLOB.digest] = DATA[:-1]
    error = await taker(reads, source).failure()
    assert error.temporary
    await idle(source)


async def test_a_source_that_ends_early_without_saying_so_is_found_out(
    reads: SharedReads, source: ModelRegistry
) -> None:
    source.data[BLOB.digest] = DATA[:-1]
    source.tells_of_short_bodies = False
    assert isinstance(await taker(reads, source).failure(), ContentError)


async def test_a_digest_that_is_listed_with_two_sizes_does_not_mix(reads: SharedReads, source: ModelRegistry) -> None:
    """A wrong manifest of somebody else must not fail the copy of a right one."""
    for size in (BLOB.size - 1, BLOB.size + 1):
        lie = Taker(reads.subscribe(source, HERE, Descriptor(BLOB.media_type, BLOB.digest, size)))
        right = taker(reads, source)
        failed, got = await asyncio.gather(lie.failure(size=size), right.rest())
        assert isinstance(failed, ReplicatorError)
        assert got == DATA


# Broken connections


def broken(
    op: Op, times: int, *, error: Callable[[], Exception] = lambda: network_error("primary")
) -> Callable[[Call], None]:
    left = [times]

    def step(call: Call) -> None:
        if call.op is op and left[0]:
            left[0] -= 1
            raise error()

    return step


async def test_a_connection_that_breaks_after_each_piece_goes_on_where_it_was(
    reads: SharedReads, source: ModelRegistry
) -> None:
    seen: set[int] = set()

    def cut(call: Call) -> None:
        if call.op is Op.CHUNK and call.offset and call.offset not in seen:
            seen.add(call.offset)
            raise network_error("primary")

    source.hook = faults(cut)
    takers = [taker(reads, source) for _ in range(2)]
    assert await all_of(*takers) == [DATA, DATA]
    opened = [call.offset for call in source.calls if call.op is Op.OPEN]
    assert opened == [0, *sorted(seen)]
    assert source.bytes_read == len(DATA), "nothing is read twice"


@pytest.mark.parametrize("op", [Op.OPEN, Op.CHUNK])
async def test_three_failures_in_a_row_are_borne_and_a_fourth_is_not(
    reads: SharedReads, source: ModelRegistry, op: Op
) -> None:
    source.hook = faults(broken(op, 3))
    assert await taker(reads, source).rest() == DATA
    source.hook = faults(broken(op, 4))
    error = await taker(reads, source).failure()
    assert error.reason is Reason.NETWORK
    await idle(source)


async def test_all_learn_that_the_source_failed_for_good(reads: SharedReads, source: ModelRegistry) -> None:
    source.hook = faults(broken(Op.CHUNK, 99))
    takers = [taker(reads, source) for _ in range(3)]
    errors = await asyncio.gather(*(one.failure() for one in takers))
    assert [error.temporary for error in errors] == [True] * 3
    source.hook = faults()
    assert await taker(reads, source).rest() == DATA


async def test_what_is_not_there_is_asked_for_once(reads: SharedReads, source: ModelRegistry) -> None:
    source.lose(HERE, BLOB.digest)
    assert isinstance(await taker(reads, source).failure(), NotFound)
    assert source.count(Op.OPEN) == 1


async def test_pauses_between_tries_grow(source: ModelRegistry, fake_clock: FakeClock) -> None:
    source.hook = faults(broken(Op.OPEN, 3))
    pauses = []
    async with SharedReads(clock=fake_clock, on_read=lambda _name, _count: None, pause=0.25, pacing=STRICT) as reads:
        rest = asyncio.create_task(taker(reads, source).rest())
        for _ in range(3):
            await fake_clock.someone_sleeps()
            pauses.append(fake_clock.sleepers[0])
            fake_clock.advance(pauses[-1])
        assert await rest == DATA
    assert pauses == pytest.approx([0.25, 0.5, 0.75])


async def test_a_connection_that_breaks_after_the_last_byte_does_no_harm(
    reads: SharedReads, source: ModelRegistry
) -> None:
    source.hook = faults(broken(Op.END, 1))
    takers = [taker(reads, source) for _ in range(2)]
    assert await all_of(*takers) == [DATA, DATA]


async def test_a_blob_that_one_repository_lacks_is_read_from_the_other(
    reads: SharedReads, source: ModelRegistry
) -> None:
    """Two images share a layer; the repository of the first has lost it. The second has it, and must not suffer."""
    source.hold_blob(THERE, BLOB)
    source.lose(HERE, BLOB.digest)
    first = taker(reads, source)
    second = Taker(reads.subscribe(source, THERE, descriptor(BLOB)))
    failed, got = await asyncio.gather(first.failure(), second.rest())
    assert isinstance(failed, NotFound)
    assert got == DATA


async def test_a_mistake_in_the_client_fails_its_readers_and_nobody_else(
    reads: SharedReads, source: ModelRegistry
) -> None:
    """The worker's edge turns it into a retry; the daemon lives on."""
    source.hook = faults(broken(Op.CHUNK, 1, error=lambda: ZeroDivisionError("a bug")))
    takers = [taker(reads, source) for _ in range(2)]
    found = await asyncio.gather(*(one.rest() for one in takers), return_exceptions=True)
    assert [type(one) for one in found] == [ZeroDivisionError] * 2
    for one in takers:
        one.subscription.close()
    assert await taker(reads, source).rest() == DATA
    await idle(source)


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
