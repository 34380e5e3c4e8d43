"""Whatever a source serves, no wrong byte completes a blob (G3), and a broken connection costs nothing twice."""

import asyncio
from collections.abc import Callable

import pytest

from replicator.errors import ContentError, NotFound, Reason, ReplicatorError
from replicator.model import Descriptor
from replicator.replication.shared_reads import SharedReads
from tests.support.fake_clock import FakeClock
from tests.unit.replication.steps import faults
from tests.unit.replication.support import CHUNK, Call, ModelRegistry, Op, descriptor, network_error
from tests.unit.replication.takers import (
    BLOB,
    DATA,
    HERE,
    MIB,
    STRICT,
    THERE,
    Taker,
    all_of,
    idle,
    taker,
)

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
