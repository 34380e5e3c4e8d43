"""Small blobs are read whole: once for all who come at about the same time, and never with a wrong byte."""

import asyncio

import pytest

from replicator.errors import ContentError, NotFound, RegistryError
from replicator.model import Descriptor, Priority
from replicator.registry.urgency import Urgency, current, urgent
from replicator.replication.pacing import Pacing
from replicator.replication.shared_reads import SharedReads
from replicator.replication.small_reads import SmallReads
from tests.support.content import make_blob
from tests.support.fake_clock import FakeClock
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import Call, ModelRegistry, Op, descriptor
from tests.unit.replication.takers import HERE, THERE

BLOB = make_blob("config", 3_000)


@pytest.fixture
def source() -> ModelRegistry:
    registry = ModelRegistry("primary")
    registry.hold_blob(HERE, BLOB)
    return registry


@pytest.fixture
def counted() -> list[int]:
    return []


@pytest.fixture
def small(fake_clock: FakeClock, counted: list[int]) -> SmallReads:
    return SharedReads(clock=fake_clock, on_read=lambda _, count: counted.append(count)).small


async def test_all_who_come_meanwhile_or_a_little_later_share_one_read(
    small: SmallReads, source: ModelRegistry, counted: list[int], fake_clock: FakeClock
) -> None:
    found = await asyncio.gather(*(small.read(source, HERE, descriptor(BLOB)) for _ in range(3)))
    assert found == [BLOB.read()] * 3
    fake_clock.advance(Pacing().small_linger)
    assert await small.read(source, HERE, descriptor(BLOB)) == BLOB.read()
    assert sum(counted) == source.bytes_read == BLOB.size
    fake_clock.advance(0.1)
    assert await small.read(source, HERE, descriptor(BLOB)) == BLOB.read()
    assert source.bytes_read == 2 * BLOB.size


async def test_what_is_kept_is_bounded(fake_clock: FakeClock, source: ModelRegistry) -> None:
    small = SmallReads(SharedReads(clock=fake_clock, on_read=lambda *_: None), linger=1, kept=5_000)
    other = make_blob("other", 4_000)
    source.hold_blob(HERE, other)
    for blob in (BLOB, other, other, BLOB):
        await small.read(source, HERE, descriptor(blob))
    assert source.count(Op.OPEN) == 3, "the second took the room of the first"


async def test_when_whoever_reads_is_cancelled_another_goes_on(small: SmallReads, source: ModelRegistry) -> None:
    gate = Gate(Op.OPEN)
    source.hook = faults(gate)
    first = asyncio.create_task(small.read(source, HERE, descriptor(BLOB)))
    await gate.reached.wait()
    second = asyncio.create_task(small.read(source, HERE, descriptor(BLOB)))
    await asyncio.sleep(0)
    source.hook = faults()
    first.cancel()
    assert await second == BLOB.read()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_another_repository_lacks_is_looked_for_in_ones_own(
    small: SmallReads, source: ModelRegistry
) -> None:
    found = await asyncio.gather(
        *(small.read(source, one, descriptor(BLOB)) for one in (THERE, HERE)), return_exceptions=True
    )
    assert isinstance(found[0], NotFound)
    assert found[1] == BLOB.read()


async def test_an_error_is_for_all_who_wait_and_not_for_who_comes_later(
    small: SmallReads, source: ModelRegistry
) -> None:
    async def fail(call: Call) -> None:
        if call.op is Op.OPEN:
            raise RegistryError("no", registry="primary")

    source.hook = fail
    failed = await asyncio.gather(
        *(small.read(source, HERE, descriptor(BLOB)) for _ in range(2)), return_exceptions=True
    )
    assert [type(one) for one in failed] == [RegistryError, RegistryError]
    source.hook = faults()
    assert await small.read(source, HERE, descriptor(BLOB)) == BLOB.read()


@pytest.mark.parametrize("size", [2_999, 3_001, 0])
async def test_a_blob_of_another_size_is_refused(small: SmallReads, source: ModelRegistry, size: int) -> None:
    source.tells_of_short_bodies = False
    with pytest.raises(ContentError):
        await small.read(source, HERE, Descriptor(BLOB.media_type, BLOB.digest, size))


async def test_bytes_with_another_digest_are_refused_and_not_kept(small: SmallReads, source: ModelRegistry) -> None:
    source.tamper = lambda data: bytes(len(data))
    with pytest.raises(ContentError, match="another digest"):
        await small.read(source, HERE, descriptor(BLOB))
    source.tamper = None
    assert await small.read(source, HERE, descriptor(BLOB)) == BLOB.read()


async def test_an_empty_blob_is_no_request(small: SmallReads, source: ModelRegistry) -> None:
    assert await small.read(source, HERE, descriptor(make_blob("none", 0))) == b""
    assert source.calls == []


async def test_a_read_is_as_urgent_as_the_most_urgent_who_waits(small: SmallReads, source: ModelRegistry) -> None:
    gate, seen = Gate(Op.OPEN), list[Urgency]()

    async def note(call: Call) -> None:
        if call.op is Op.OPEN:
            seen.append(current())
        await gate(call)

    source.hook = note
    with urgent(Urgency(Priority.LOW)):
        low = asyncio.create_task(small.read(source, HERE, descriptor(BLOB)))
    await gate.reached.wait()
    before = seen[0].priority
    with urgent(Urgency(Priority.HIGH)):
        high = asyncio.create_task(small.read(source, HERE, descriptor(BLOB)))
    await asyncio.sleep(0)
    after = seen[0].priority
    gate.opened.set()
    await asyncio.gather(low, high)
    assert (before, after) == (Priority.LOW, Priority.HIGH)
