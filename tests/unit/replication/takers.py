"""Those who take from shared reads in tests, as fast and as far as they are told."""

import asyncio
from dataclasses import dataclass, field

import pytest

from replicator.errors import ReplicatorError
from replicator.model import parse_repository
from replicator.replication.pacing import Pacing
from replicator.replication.shared_reads import SharedReads
from replicator.replication.subscription import Subscription
from tests.support.content import Blob, make_blob
from tests.support.eventually import eventually
from tests.unit.replication.support import ModelRegistry, descriptor

HERE, THERE = parse_repository("team/here"), parse_repository("team/there")
MIB = 1024 * 1024
STRICT = Pacing(patience=0, linger=0, small_linger=0)
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
