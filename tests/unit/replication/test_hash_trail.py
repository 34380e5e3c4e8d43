"""The hash of a blob goes on where an upload stopped; where it cannot, nobody else gets unproven bytes (G3)."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from replicator.errors import ContentError
from replicator.model import Descriptor, Digest, parse_repository
from replicator.replication.blob_body import BlobBody
from replicator.replication.hash_trail import HashTrail, Unproven
from replicator.replication.pacing import Pacing, Standing
from replicator.replication.shared_reads import SharedReads
from tests.support.content import make_blob
from tests.support.fake_clock import FakeClock
from tests.unit.replication.support import ModelRegistry

HERE = parse_repository("team/here")
BLOB = make_blob("trail", 5_000_000)
DESCRIBED = Descriptor(BLOB.media_type, BLOB.digest, BLOB.size)


@pytest.fixture
async def body(fake_clock: FakeClock) -> AsyncIterator[BlobBody]:
    source = ModelRegistry("primary")
    source.hold_blob(HERE, BLOB)
    async with SharedReads(
        clock=fake_clock, on_read=lambda *_: None, pause=0, pacing=Pacing(linger=0, small_linger=0)
    ) as reads:
        yield BlobBody(
            reads=reads,
            source=source,
            repository=HERE,
            blob=DESCRIBED,
            standing=Standing(),
            on_sent=lambda _: None,
            trail=HashTrail(),
        )


async def read(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def test_a_trail_gives_the_last_place_before_an_offset_and_forgets_the_first_ones() -> None:
    trail = HashTrail()
    states = {position: hashlib.sha256(str(position).encode()) for position in range(0, 200 << 20, 1 << 20)}
    for position, state in states.items():
        trail.note(position, state)
        trail.note(position + 1, state)
    assert trail.sent == (199 << 20) + 1
    assert trail.before((199 << 20) + 77) == (199 << 20, states[199 << 20])
    assert trail.before((150 << 20) - 1) == (149 << 20, states[149 << 20])
    assert trail.before(10 << 20) is None
    trail.begin()
    assert (trail.sent, trail.before(1 << 40)) == (0, None)


@pytest.mark.parametrize("offset", [1, 300_000, 2_500_000, BLOB.size - 1, BLOB.size])
async def test_the_bytes_from_an_offset_are_those_of_the_blob(body: BlobBody, offset: int) -> None:
    assert not body.can_verify(offset)
    assert await read(body.from_offset(offset)) == BLOB.read()[offset:]
    assert await read(body()) == BLOB.read()
    assert body.can_verify(offset) is (offset >= 262_144)
    assert await read(body.from_offset(offset)) == BLOB.read()[offset:]


async def test_with_the_hash_a_wrong_byte_is_found_behind_the_offset(body: BlobBody) -> None:
    assert await read(body()) == BLOB.read()
    assert isinstance(body.source, ModelRegistry)
    body.source.tamper = lambda piece: piece[:-1] + b"?"
    with pytest.raises(ContentError):
        await read(body.from_offset(2_500_000))


def test_an_unproven_hash_says_what_is_wanted_and_keeps_nothing() -> None:
    unproven = Unproven(Digest.of(b"wanted"))
    unproven.update(b"anything")
    assert unproven.copy().hexdigest() == Digest.of(b"wanted").encoded


async def test_nobody_joins_a_read_whose_hash_is_unproven(body: BlobBody) -> None:
    unproven = body.reads.subscribe_at(
        body.source, HERE, DESCRIBED, Standing(), position=1_000_000, hasher=Unproven(BLOB.digest)
    )
    chunks = unproven.chunks()
    await anext(chunks)
    proven = body.reads.subscribe(body.source, HERE, DESCRIBED, Standing())
    async for _ in proven.chunks():
        assert not isinstance(proven.hasher, Unproven)
    await chunks.aclose()
    unproven.close()
    proven.close()
