"""A cut upload goes on where it stopped, at registries that keep its bytes; at others it starts again (G10)."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import yarl

from replicator.clock import SystemClock
from replicator.errors import ContentError, RegistryError
from replicator.model import Descriptor, Digest, Repository, parse_repository
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.capabilities import Capability
from replicator.registry.client import RegistryClient, open_registry
from replicator.registry.upload_requests import UploadSession
from replicator.replication.blob_body import BlobBody
from replicator.replication.kept_uploads import WORTH_KEEPING, KeptUploads
from replicator.replication.pacing import Standing
from replicator.replication.shared_reads import SharedReads
from replicator.settings.registries import CapabilitiesSettings, ReplicaSettings
from replicator.store.rows import KeptUpload
from tests.support.content import Blob, make_blob
from tests.support.faults import Answer, CutRequest, LoseAnswer, SetHeader
from tests.support.permissive import run_permissive
from tests.support.proxy import Proxy, run_proxy
from tests.support.registries import run_distribution3, run_registry
from tests.unit.replication.support import ModelRegistry

TEAM = parse_repository("team/app")
MIB = 1024 * 1024
BLOB = make_blob("resumed", WORTH_KEEPING + 1_234_567)
DESCRIPTOR = Descriptor(BLOB.media_type, BLOB.digest, BLOB.size)
SLACK = 4 * MIB
"""Bytes that may be on their way when a connection breaks: the registry never had them."""


class Memory:
    """The store's part, in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, Repository, Digest], KeptUpload] = {}
        self.writes = 0

    async def keep_upload(self, replica: str, repository: Repository, digest: Digest, kept: KeptUpload) -> None:
        self.writes += 1
        self.rows[replica, repository, digest] = kept

    async def kept_upload(self, replica: str, repository: Repository, digest: Digest) -> KeptUpload | None:
        return self.rows.get((replica, repository, digest))

    async def forget_upload(self, replica: str, repository: Repository, digest: Digest) -> None:
        self.rows.pop((replica, repository, digest), None)


@dataclass
class Scene:
    """A registry behind a proxy, a source that has the blob, and what is kept; `client` may be opened anew."""

    line: Proxy
    client: RegistryClient
    source: ModelRegistry
    reads: SharedReads
    metrics: Metrics
    store: Memory = field(default_factory=Memory)
    uploads: KeptUploads = field(init=False)

    def __post_init__(self) -> None:
        self.new_life()

    def new_life(self) -> None:
        """Forget what only the process knew."""
        self.uploads = KeptUploads(self.store)

    async def send(self, blob: Blob = BLOB, session: UploadSession | None = None) -> None:
        described = Descriptor(blob.media_type, blob.digest, blob.size)
        body = BlobBody(
            reads=self.reads,
            source=self.source,
            repository=TEAM,
            blob=described,
            standing=Standing(),
            on_sent=lambda _: None,
            trail=self.uploads.trail(TEAM, described),
        )
        resumption = self.uploads.resumption(self.client, TEAM, body, self.metrics)
        await self.client.send_blob(TEAM, described, body, session, resumption)

    def counted(self, result: str) -> float:
        text = self.metrics.exposition("text/plain")[0].decode()
        name = f'replicator_upload_resumptions_total{{replica="eu",result="{result}"}} '
        return next(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))

    def of_blob(self, method: str) -> list[int]:
        """Return the bytes of body that went to the registry in requests of a method, the probes' left out."""
        return [
            one.sent for one in self.line.requests if (one.method, one.kind) == (method, "upload") and one.sent > MIB
        ]

    async def open_uploads(self) -> list[str]:
        """Return the places of large uploads that the registry still has."""
        large = {one.target.partition("?")[0]: one.target for one in self.line.requests if one.sent > MIB}
        found: list[str] = []
        async with aiohttp.ClientSession() as session:
            for place, target in large.items():
                async with session.get(yarl.URL(f"{self.line.url}{target}", encoded=True)) as answer:
                    found += [place] if answer.status != 404 else []
        return found

    def places(self, method: str) -> list[str]:
        """Return the paths of uploads that such requests were for, the probes' uploads left out."""
        large = {one.target.partition("?")[0] for one in self.line.requests if one.sent > MIB}
        paths = (one.target.partition("?")[0] for one in self.line.requests if one.method == method)
        return [path for path in paths if path in large]


Runner = Callable[[Path], contextlib.AbstractAsyncContextManager[str]]


@contextlib.asynccontextmanager
async def permissive(_: Path) -> AsyncIterator[str]:
    async with run_permissive() as registry:
        yield registry.url


@contextlib.asynccontextmanager
async def distribution2(folder: Path) -> AsyncIterator[str]:
    async with run_registry(folder) as registry:
        yield registry.url


@contextlib.asynccontextmanager
async def distribution3(folder: Path) -> AsyncIterator[str]:
    async with run_distribution3(folder) as registry:
        yield registry.url


@contextlib.asynccontextmanager
async def scene_of(url: str, said: CapabilitiesSettings | None = None) -> AsyncIterator[Scene]:
    clock = SystemClock()
    source = ModelRegistry("primary")
    source.hold_blob(TEAM, BLOB)
    metrics = Metrics(Scope(replicas=("eu",)), clock=clock)
    async with run_proxy(url) as line:
        settings = ReplicaSettings(name="eu", url=line.url, capabilities=said)
        async with (
            open_registry(settings, clock=clock) as client,
            SharedReads(clock=clock, on_read=metrics.source_bytes_read, pause=0) as reads,
        ):
            yield Scene(line, client, source, reads, metrics)


@pytest.fixture(params=[permissive, distribution3], ids=lambda runner: runner.__name__)
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """Run a registry that keeps the bytes of a cut upload."""
    runner: Runner = request.param
    async with runner(tmp_path) as url, scene_of(url) as scene:
        yield scene


def cut(share: float, **which: int) -> CutRequest:
    return CutRequest(method="PUT", path="uploads", after=int(BLOB.size * share), **which)


def wrong_once() -> Callable[[bytes], bytes]:
    """Return what makes one byte near the beginning wrong, in the first read alone."""
    pieces = itertools.count(1)
    return lambda data: bytes([data[0] ^ 1]) + data[1:] if next(pieces) == 2 else data


async def test_what_is_not_cut_goes_out_in_one_put(scene: Scene) -> None:
    await scene.send()
    assert scene.of_blob("PUT") == [BLOB.size]
    assert scene.of_blob("PATCH") == []
    assert scene.store.rows == {}
    assert scene.store.writes == 1
    assert scene.client.capabilities.holds(Capability.RESUME) is True


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_cut_upload_goes_on_with_little_sent_twice(scene: Scene, share: float) -> None:
    scene.line.add(cut(share))
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)
    assert BLOB.size <= sum(scene.of_blob("PUT") + scene.of_blob("PATCH")) <= BLOB.size + SLACK
    assert scene.source.bytes_read <= BLOB.size + 2 * SLACK
    assert (scene.counted("resumed"), scene.counted("restarted")) == (1, 0)
    assert scene.store.rows == {}


async def test_an_upload_that_is_cut_again_and_again_goes_on_as_long_as_bytes_arrive(scene: Scene) -> None:
    scene.line.add(cut(0.2))
    scene.line.add(CutRequest(method="PATCH", path="uploads", after=3 * MIB, nth=3, times=2))
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)
    assert scene.counted("resumed") == 3


async def test_after_a_restart_the_upload_goes_on_where_the_registry_says(scene: Scene) -> None:
    scene.line.add(cut(0.5))
    blocked = scene.line.add(Answer(method="GET", path="uploads", status=503, nth=3, times=None))
    with pytest.raises(RegistryError):
        await scene.send()
    assert len(scene.store.rows) == 1
    scene.line.remove(blocked)
    scene.new_life()
    before = scene.source.bytes_read
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)
    assert sum(scene.of_blob("PUT") + scene.of_blob("PATCH")) <= BLOB.size + SLACK
    assert scene.source.bytes_read - before <= BLOB.size / 2 + SLACK
    assert scene.client.capabilities.holds(Capability.CHECKS_DIGESTS) is True, "there was no hash to go by"
    assert scene.store.rows == {}


@pytest.mark.parametrize(
    "broken",
    [
        Answer(method="GET", path="uploads", status=500, times=None),
        Answer(method="PATCH", path="uploads", status=500, times=None),
    ],
    ids=["its status is an error", "its bytes are refused with an error"],
)
async def test_a_kept_upload_that_the_registry_cannot_go_on_with_is_given_up_by_the_next_try(
    scene: Scene, broken: Answer
) -> None:
    """The storage has lost this one upload for good, while the registry opens others."""
    await scene.client.prove_resumes(TEAM)
    scene.line.add(cut(0.5))
    scene.line.add(broken)
    with pytest.raises(RegistryError):
        await scene.send()
    assert len(scene.store.rows) == 1, "what has just been cut is worth another try"
    scene.new_life()
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)
    assert scene.of_blob("PUT")[-1] == BLOB.size
    assert scene.counted("restarted") == 1
    assert scene.store.rows == {}
    given_up, _ = dict.fromkeys(scene.places("PUT"))
    assert scene.places("DELETE") == [given_up]


async def test_a_kept_upload_stays_where_the_registry_opens_no_other(scene: Scene) -> None:
    await scene.client.prove_resumes(TEAM)
    scene.line.add(cut(0.5))
    down = scene.line.add(Answer(path="uploads", status=502, nth=3, times=None))
    with pytest.raises(RegistryError):
        await scene.send()
    scene.line.remove(down)
    session = await scene.client.start_upload(TEAM)
    down = scene.line.add(Answer(path="uploads", status=502, times=None))
    with pytest.raises(RegistryError):
        await scene.send(session=session)
    scene.line.remove(down)
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)
    assert sum(scene.of_blob("PUT") + scene.of_blob("PATCH")) <= BLOB.size + SLACK
    assert scene.counted("restarted") == 0


async def test_g3_wrong_bytes_before_a_cut_are_not_gone_on_with_a_second_time(scene: Scene) -> None:
    """The primary gave one wrong byte, which only the hash of the whole blob shows."""
    await scene.client.prove_resumes(TEAM)
    scene.source.tamper = wrong_once()
    scene.line.add(cut(0.5))
    with pytest.raises(ContentError):
        await scene.send()
    assert scene.counted("resumed") == 1
    assert scene.store.rows == {}
    (place,) = dict.fromkeys(scene.places("PUT"))
    assert set(scene.places("DELETE")) == {place}
    assert await scene.open_uploads() == []
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)
    assert scene.of_blob("PUT")[-1] == BLOB.size


async def test_g3_wrong_bytes_of_a_kept_upload_end_it(scene: Scene) -> None:
    """As above, where the try after the cut is not the one that was cut."""
    await scene.client.prove_resumes(TEAM)
    scene.source.tamper = wrong_once()
    scene.line.add(cut(0.5))
    blocked = scene.line.add(Answer(method="GET", path="uploads", status=503, times=None))
    with pytest.raises(RegistryError):
        await scene.send()
    scene.line.remove(blocked)
    with pytest.raises(ContentError):
        await scene.send()
    assert scene.store.rows == {}
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)


async def test_without_hash_and_proof_of_digests_the_blob_starts_again(tmp_path: Path) -> None:
    said = CapabilitiesSettings(checks_digests=False)
    async with permissive(tmp_path) as url, scene_of(url, said) as scene:
        scene.line.add(cut(0.5))
        blocked = scene.line.add(Answer(method="GET", path="uploads", status=503, nth=3, times=None))
        with pytest.raises(RegistryError):
            await scene.send()
        scene.line.remove(blocked)
        scene.new_life()
        await scene.send()
        assert await scene.client.has_blob(TEAM, DESCRIPTOR)
        assert scene.of_blob("PUT")[-1] == BLOB.size
        assert scene.counted("restarted") == 1


async def test_u8_a_lost_201_is_looked_up_and_nothing_is_sent_again(scene: Scene) -> None:
    await scene.client.prove_resumes(TEAM)
    scene.line.add(LoseAnswer(method="PUT", path="uploads"))
    await scene.send()
    assert sum(scene.of_blob("PUT") + scene.of_blob("PATCH")) == BLOB.size
    assert scene.counted("restarted") == scene.counted("resumed") == 0


async def test_f29_u7_an_upload_that_the_registry_has_forgotten_starts_again(scene: Scene) -> None:
    await scene.client.prove_resumes(TEAM)
    scene.line.add(cut(0.5))
    scene.line.add(Answer(method="GET", path="uploads", status=404))
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)
    assert scene.of_blob("PUT")[-1] == BLOB.size
    assert (scene.counted("resumed"), scene.counted("restarted")) == (0, 1)


@pytest.mark.parametrize("said", ["0-0", f"0-{BLOB.size + 5}", f"0-{BLOB.size - 1}", "nonsense", None])
async def test_u7_a_word_of_the_registry_that_cannot_be_starts_the_blob_again(scene: Scene, said: str | None) -> None:
    """Nothing or one byte, more than there is, more than was sent, or no word at all."""
    await scene.client.prove_resumes(TEAM)
    scene.line.add(cut(0.5))
    scene.line.add(SetHeader(method="GET", path="uploads", name="Range", value=said, times=None))
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)
    assert scene.of_blob("PUT")[-1] == BLOB.size
    assert scene.counted("restarted") == 1


async def test_u7_an_offset_that_is_wrong_is_found_out_and_the_registry_no_longer_trusted(scene: Scene) -> None:
    await scene.client.prove_resumes(TEAM)
    scene.line.add(cut(0.5))
    scene.line.add(SetHeader(method="GET", path="uploads", name="Range", value=f"0-{MIB}", times=None))
    await scene.send()
    assert await scene.client.has_blob(TEAM, DESCRIPTOR)
    assert scene.client.capabilities.holds(Capability.RESUME) is False
    assert scene.counted("restarted") == 1


async def test_where_cut_uploads_end_at_a_touch_none_is_touched(tmp_path: Path) -> None:
    """Distribution 2.8: found out with an upload of our own; the blob starts again, which is counted."""
    async with distribution2(tmp_path) as url, scene_of(url) as scene:
        scene.line.add(cut(0.5))
        await scene.send()
        assert await scene.client.has_blob(TEAM, DESCRIPTOR)
        assert scene.client.capabilities.holds(Capability.RESUME) is False
        big = {one.target.partition("?")[0] for one in scene.line.requests if one.sent > MIB}
        assert len(big) == 2
        asked = [one for one in scene.line.requests if one.method == "GET" and one.target.partition("?")[0] in big]
        assert asked == []
        assert BLOB.size < scene.source.bytes_read < 2 * BLOB.size
        assert (scene.counted("resumed"), scene.counted("restarted")) == (0, 1)
        assert scene.store.writes == 0


async def test_chunks_go_on_in_chunks(tmp_path: Path) -> None:
    said = CapabilitiesSettings(upload="chunks", chunk_max=4 * MIB)
    async with permissive(tmp_path) as url, scene_of(url, said) as scene:
        await scene.client.prove_resumes(TEAM)
        scene.line.add(CutRequest(method="PATCH", path="uploads", after=2 * MIB, nth=3))
        await scene.send()
        assert await scene.client.has_blob(TEAM, DESCRIPTOR)
        assert max(scene.of_blob("PATCH")) == 4 * MIB
        assert sum(scene.of_blob("PATCH")) <= BLOB.size + SLACK
        assert scene.counted("resumed") == 1
