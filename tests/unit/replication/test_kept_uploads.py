"""An upload that was kept, and that its registry cannot go on with: it never stands in the way of its blob."""

import asyncio

import pytest

from replicator.errors import RegistryError
from replicator.model import Descriptor, Digest, Repository, parse_repository
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.capabilities import Capabilities, Capability
from replicator.replication.blob_body import BlobBody
from replicator.replication.kept_uploads import WORTH_KEEPING, KeptUploads
from replicator.replication.pacing import Pacing, Standing
from replicator.replication.shared_reads import SharedReads
from replicator.store.rows import KeptUpload
from tests.support.content import make_blob
from tests.support.fake_clock import FakeClock
from tests.unit.replication.model_uploads import ModelUploads
from tests.unit.replication.steps import faults
from tests.unit.replication.support import Call, ModelRegistry, Op, network_error

TEAM = parse_repository("team/app")
BLOB = make_blob("kept", WORTH_KEEPING + 1)
DESCRIPTOR = Descriptor(BLOB.media_type, BLOB.digest, BLOB.size)


class Memory:
    """The store's part, in memory."""

    def __init__(self) -> None:
        self.rows: dict[Digest, KeptUpload] = {}

    async def keep_upload(self, replica: str, repository: Repository, digest: Digest, kept: KeptUpload) -> None:
        assert (replica, repository) == ("eu", TEAM)
        self.rows[digest] = kept

    async def kept_upload(self, replica: str, repository: Repository, digest: Digest) -> KeptUpload | None:
        assert (replica, repository) == ("eu", TEAM)
        return self.rows.get(digest)

    async def forget_upload(self, replica: str, repository: Repository, digest: Digest) -> None:
        assert (replica, repository) == ("eu", TEAM)
        self.rows.pop(digest, None)


@pytest.mark.parametrize("broken", [Op.STATUS, Op.GOT])
async def test_one_whose_line_is_cut_at_each_touch_is_given_up_where_another_is_opened(
    fake_clock: FakeClock, broken: Op
) -> None:
    uploads, store = ModelUploads(fake_clock), Memory()
    source, replica = ModelRegistry("primary"), ModelRegistry("eu", Capabilities(fake_clock), uploads=uploads)
    source.hold_blob(TEAM, BLOB)
    for capability in (Capability.RESUME, Capability.CHECKS_DIGESTS):
        replica.capabilities.learn(capability, holds=True)
    metrics, first = Metrics(Scope(replicas=("eu",)), clock=fake_clock), ""
    kept = KeptUploads(store)

    def cut(call: Call) -> None:
        if call.op is Op.GOT and call.offset > BLOB.size / 2 and (not first or first in uploads.held):
            raise network_error("eu")
        if call.op is broken is Op.STATUS:
            raise network_error("eu")

    async def send(reads: SharedReads) -> None:
        body = BlobBody(
            reads=reads,
            source=source,
            repository=TEAM,
            blob=DESCRIPTOR,
            standing=Standing(),
            on_sent=lambda _: None,
            trail=kept.trail(TEAM, DESCRIPTOR),
        )
        sending = asyncio.create_task(
            replica.send_blob(TEAM, DESCRIPTOR, body, None, kept.resumption(replica, TEAM, body, metrics))
        )
        while not sending.done():
            await asyncio.sleep(0)
            fake_clock.advance(0.01)
        await sending

    replica.hook = faults(cut)
    reads = SharedReads(clock=fake_clock, on_read=metrics.source_bytes_read, pause=0, pacing=Pacing(linger=0))
    async with reads:
        with pytest.raises(RegistryError):
            await send(reads)
        (first,) = uploads.held
        assert store.rows, "what has just been cut is worth another try"
        await send(reads)
    assert await replica.has_blob(TEAM, DESCRIPTOR)
    assert (store.rows, uploads.held) == ({}, {})
