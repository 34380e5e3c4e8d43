"""Uploads that are kept: one never stands in the way of its blob, and none stays open that nobody will go on with."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from replicator.errors import RegistryError, StoreError
from replicator.model import Descriptor, Digest, Repository, parse_repository
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.upload_requests import UploadSession
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


class Stop:
    """A moment at which all stands still, once it is armed."""

    def __init__(self) -> None:
        self.at = ""
        self.reached = asyncio.Event()

    async def __call__(self, moment: str) -> None:
        if moment == self.at:
            self.reached.set()
            await asyncio.Event().wait()


@dataclass
class Memory:
    """The store's part, in memory."""

    stop: Stop
    rows: dict[Digest, KeptUpload] = field(default_factory=dict)
    fails: bool = False

    async def keep_upload(self, replica: str, repository: Repository, digest: Digest, kept: KeptUpload) -> None:
        await self._asked("keep", replica, repository)
        self.rows[digest] = kept

    async def kept_upload(self, replica: str, repository: Repository, digest: Digest) -> KeptUpload | None:
        await self._asked("kept", replica, repository)
        return self.rows.get(digest)

    async def forget_upload(self, replica: str, repository: Repository, digest: Digest) -> None:
        await self._asked("forget", replica, repository)
        self.rows.pop(digest, None)

    async def _asked(self, moment: str, replica: str, repository: Repository) -> None:
        assert (replica, repository) == ("eu", TEAM)
        await self.stop(moment)
        if self.fails:
            raise StoreError("no")


class Scene:
    """A replica that goes on with uploads which are cut, and what is kept of them."""

    def __init__(self, clock: FakeClock, reads: SharedReads, metrics: Metrics) -> None:
        self.clock = clock
        self.uploads = ModelUploads(clock)
        self.source = ModelRegistry("primary")
        self.replica = ModelRegistry("eu", Capabilities(clock), uploads=self.uploads)
        self.source.hold_blob(TEAM, BLOB)
        for capability in (Capability.RESUME, Capability.CHECKS_DIGESTS):
            self.replica.capabilities.learn(capability, holds=True)
        self.stop = Stop()
        self.store = Memory(self.stop)
        self.kept = KeptUploads(self.store)
        self._reads = reads
        self._metrics = metrics

    async def send(self, session: UploadSession | None = None) -> None:
        """Send the blob, or reach the moment of the stop and be cut short there."""
        body = BlobBody(
            reads=self._reads,
            source=self.source,
            repository=TEAM,
            blob=DESCRIPTOR,
            standing=Standing(),
            on_sent=lambda _: None,
            trail=self.kept.trail(TEAM, DESCRIPTOR),
        )
        resumption = self.kept.resumption(self.replica, TEAM, body, self._metrics)
        sending = asyncio.create_task(self.replica.send_blob(TEAM, DESCRIPTOR, body, session, resumption))
        while not sending.done():
            await asyncio.sleep(0)
            self.clock.advance(0.01)
            if self.stop.reached.is_set():
                self.stop.reached.clear()
                sending.cancel()
        await sending

    def known(self) -> set[str]:
        """Return the places that somebody will go on with."""
        return {kept.location.removeprefix("http://eu.example.com") for kept in self.store.rows.values()}


@pytest.fixture
async def scene(fake_clock: FakeClock) -> AsyncIterator[Scene]:
    metrics = Metrics(Scope(replicas=("eu",)), clock=fake_clock)
    async with SharedReads(
        clock=fake_clock, on_read=metrics.source_bytes_read, pause=0, pacing=Pacing(linger=0)
    ) as reads:
        yield Scene(fake_clock, reads, metrics)


@pytest.mark.parametrize("broken", [Op.STATUS, Op.GOT])
async def test_one_whose_line_is_cut_at_each_touch_is_given_up_where_another_is_opened(
    scene: Scene, broken: Op
) -> None:
    first = ""

    def cut(call: Call) -> None:
        if call.op is Op.GOT and call.offset > BLOB.size / 2 and (not first or first in scene.uploads.held):
            raise network_error("eu")
        if call.op is broken is Op.STATUS:
            raise network_error("eu")

    scene.replica.hook = faults(cut)
    with pytest.raises(RegistryError):
        await scene.send()
    (first,) = scene.uploads.held
    assert scene.store.rows, "what has just been cut is worth another try"
    await scene.send()
    assert await scene.replica.has_blob(TEAM, DESCRIPTOR)
    assert (scene.store.rows, scene.uploads.held) == ({}, {})


@pytest.mark.parametrize(
    ("moment", "goes_on"),
    [("probe", False), ("kept", False), ("keep", False), ("status", True), ("forget", True), ("keep", True)],
)
async def test_one_that_is_cut_short_leaves_no_session_open_that_is_not_kept(
    scene: Scene, moment: str, goes_on: bool
) -> None:
    """The session is one that a refused mount opened; `goes_on`: another was kept before.

    Nothing of that one has arrived, so that it is given up, which comes to `forget`, and the blob starts again.
    """
    cut = goes_on

    async def step(call: Call) -> None:
        nonlocal cut
        if call.op is Op.STATUS:
            await scene.stop("probe" if call.reference != BLOB.digest else "status")
        if cut and call.op is Op.GOT and call.reference == BLOB.digest:
            cut = False
            raise network_error("eu")

    scene.replica.hook = faults(step)
    if goes_on:
        scene.stop.at = "status"
        with pytest.raises(asyncio.CancelledError):
            await scene.send()
        assert len(scene.uploads.held) == 1
    if moment == "probe":
        scene.replica.capabilities.learn(Capability.RESUME, holds=False)
        scene.clock.advance(2 * 3600)
    scene.stop.at = moment
    with pytest.raises(asyncio.CancelledError):
        await scene.send(await scene.replica.start_upload(TEAM))
    assert set(scene.uploads.held) <= scene.known()


async def test_one_that_the_store_could_not_keep_is_given_up_where_its_copy_ends(scene: Scene) -> None:
    async def step(call: Call) -> None:
        if call.op is Op.GOT and call.offset > BLOB.size / 2:
            await scene.stop("got")
            raise network_error("eu")

    scene.replica.hook = faults(step)
    scene.store.fails = True
    with pytest.raises(RegistryError):
        await scene.send()
    assert scene.uploads.held == {}, "cut again and again"
    scene.stop.at = "got"
    with pytest.raises(asyncio.CancelledError):
        await scene.send()
    assert scene.uploads.held == {}, "cut short"
