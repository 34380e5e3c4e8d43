"""The registry in memory and the real client over HTTP keep the same promises, so either may stand for the other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from replicator.clock import SystemClock
from replicator.errors import ContentError, NotFound, RegistryError
from replicator.model import Descriptor, RawManifest, Repository, Tag, parse_repository, parse_tag
from replicator.registry.capabilities import Capability
from replicator.registry.client import RegistryClient, open_registry
from replicator.registry.upload_requests import UploadSession
from replicator.replication.ports import Replica, Source
from replicator.settings.registries import ReplicaSettings
from tests.support.content import Blob, make_blob, make_image
from tests.support.permissive import run_permissive
from tests.unit.replication.model_uploads import ModelUploads
from tests.unit.replication.support import ModelRegistry, descriptor, network_error

HERE, THERE = parse_repository("team/here"), parse_repository("team/there")
TAG = parse_tag("v1")
BIG = make_blob("big", 3_000_000)
SMALL = make_blob("small", 1_000)
EMPTY = make_blob("empty", 0)


class Both(Source, Replica, Protocol):
    """What a registry is to the daemon."""


@asynccontextmanager
async def over_http() -> AsyncIterator[RegistryClient]:
    async with run_permissive() as server:
        settings = ReplicaSettings.model_validate({"name": "eu", "url": server.url})
        async with open_registry(settings, clock=SystemClock()) as client:
            yield client


@pytest.fixture(params=["memory", "http"])
async def registry(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    if request.param == "memory":
        yield ModelRegistry("eu", uploads=ModelUploads(SystemClock()))
        return
    async with over_http() as client:
        yield client


class Body:
    """Gives a blob's bytes, anew each time it is called."""

    def __init__(self, data: bytes, error: Exception | None = None) -> None:
        self._data = data
        self._error = error
        self.calls = 0

    async def __call__(self) -> AsyncIterator[bytes]:
        self.calls += 1
        for start in range(0, len(self._data), 500_000):
            yield self._data[start : start + 500_000]
        if self._error is not None:
            raise self._error


async def send(registry: Both, repository: Repository, blob: Blob) -> None:
    await registry.send_blob(repository, descriptor(blob), Body(blob.read()))


async def received(registry: Both, repository: Repository, blob: Descriptor, offset: int = 0) -> bytes:
    async with registry.open_blob(repository, blob, offset) as reader:
        return b"".join([piece async for piece in reader.chunks()])


async def test_it_has_a_name(registry: Both) -> None:
    assert registry.name == "eu"


async def test_what_is_not_there_is_not_there(registry: Both) -> None:
    assert await registry.stat_manifest(HERE, TAG) is None
    assert await registry.stat_manifest(HERE, SMALL.digest) is None
    assert not await registry.has_blob(HERE, descriptor(SMALL))
    with pytest.raises(NotFound):
        await registry.read_manifest(HERE, TAG)
    with pytest.raises(NotFound):
        await received(registry, HERE, descriptor(SMALL))


async def test_a_manifest_comes_back_as_it_was_put(registry: Both) -> None:
    """Also without its content: this is the registry that does not look."""
    image = make_image("a")
    raw = RawManifest(image.media_type, image.digest, image.body)
    await registry.write_manifest(HERE, TAG, raw)
    for reference in (TAG, image.digest):
        assert await registry.read_manifest(HERE, reference) == raw
        assert await registry.stat_manifest(HERE, reference) == Descriptor(
            image.media_type, image.digest, len(image.body)
        )
    assert await registry.stat_manifest(THERE, TAG) is None


async def test_a_manifest_put_by_digest_has_no_tag(registry: Both) -> None:
    image = make_image("a")
    await registry.write_manifest(HERE, image.digest, RawManifest(image.media_type, image.digest, image.body))
    assert await registry.stat_manifest(HERE, TAG) is None
    assert (await registry.read_manifest(HERE, image.digest)).body == image.body


async def test_a_tag_moves(registry: Both) -> None:
    for seed in "ab":
        image = make_image(seed)
        await registry.write_manifest(HERE, TAG, RawManifest(image.media_type, image.digest, image.body))
    found = await registry.stat_manifest(HERE, TAG)
    assert found is not None
    assert found.digest == make_image("b").digest


async def test_a_manifest_goes_with_all_its_tags(registry: Both) -> None:
    image, other = make_image("a"), make_image("b")
    for reference, one in ((TAG, image), (Tag("other"), other), (Tag("same"), image)):
        await registry.write_manifest(HERE, reference, RawManifest(one.media_type, one.digest, one.body))
    assert (await registry.all_tags(HERE)).tags.keys() == {TAG, Tag("other"), Tag("same")}
    for _ in range(2):
        await registry.delete_manifest(HERE, image.digest)
    assert await registry.stat_manifest(HERE, image.digest) is None
    listed = await registry.all_tags(HERE)
    assert (set(listed.tags), listed.whole) == ({Tag("other")}, True)
    assert not (await registry.all_tags(THERE)).whole
    with pytest.raises(NotFound) as caught:
        await registry.read_manifest(HERE, image.digest)
    assert caught.value.code == "MANIFEST_UNKNOWN"


async def test_a_tag_goes_and_its_manifest_stays(registry: Both) -> None:
    image = make_image("a")
    await registry.write_manifest(HERE, TAG, RawManifest(image.media_type, image.digest, image.body))
    assert await registry.prove_tag_delete_alone(HERE) is True
    for _ in range(2):
        await registry.delete_tag(HERE, TAG)
    assert await registry.stat_manifest(HERE, TAG) is None
    assert await registry.stat_manifest(HERE, image.digest) is not None
    with pytest.raises(NotFound) as caught:
        await registry.read_manifest(HERE, TAG)
    assert caught.value.code == "MANIFEST_UNKNOWN"


@pytest.mark.parametrize(
    "blob", [BIG, SMALL, EMPTY, make_blob("x", 5_000, algorithm="sha512")], ids=["big", "small", "empty", "sha512"]
)
async def test_a_blob_comes_back_as_it_was_sent(registry: Both, blob: Blob) -> None:
    body = Body(blob.read())
    await registry.send_blob(HERE, descriptor(blob), body)
    assert body.calls == 1
    assert await registry.has_blob(HERE, descriptor(blob))
    assert not await registry.has_blob(THERE, descriptor(blob))
    assert await received(registry, HERE, descriptor(blob)) == blob.read()


@pytest.mark.parametrize("offset", [1, 499_999, 2_999_999, 3_000_000])
async def test_a_read_begins_where_it_is_told(registry: Both, offset: int) -> None:
    await send(registry, HERE, BIG)
    assert await received(registry, HERE, descriptor(BIG), offset) == BIG.read()[offset:]


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (0, 3_000_000), (1, 499_999), (2_999_999, 1), (7, 0)])
async def test_a_part_is_read_as_it_is_asked_for(registry: Both, offset: int, length: int) -> None:
    await send(registry, HERE, BIG)
    async with registry.open_blob(HERE, descriptor(BIG), offset, length) as reader:
        got = b"".join([piece async for piece in reader.chunks()])
    assert got == BIG.read()[offset : offset + length]
    assert registry.capabilities.holds(Capability.RANGES) is (True if length else None)


async def test_a_read_may_be_left_at_any_time(registry: Both) -> None:
    await send(registry, HERE, BIG)
    async with registry.open_blob(HERE, descriptor(BIG)) as reader:
        async for piece in reader.chunks():
            assert piece
            break
    assert await received(registry, HERE, descriptor(BIG)) == BIG.read()


async def test_another_size_is_a_lie(registry: Both) -> None:
    await send(registry, HERE, SMALL)
    for size in (SMALL.size - 1, SMALL.size + 1):
        wrong = Descriptor(SMALL.media_type, SMALL.digest, size)
        with pytest.raises(ContentError):
            await registry.has_blob(HERE, wrong)


@pytest.mark.parametrize("sent", [0, 1, 100_000, 2_900_000])
async def test_an_error_of_the_body_comes_out_as_it_is(registry: Both, sent: int) -> None:
    """And the registry does not hold the blob: an upload that is cut is none."""
    error = ContentError("hurt on the way", registry="primary")
    body = Body(BIG.read()[:sent], error)
    with pytest.raises(ContentError) as caught:
        await registry.send_blob(HERE, descriptor(BIG), body)
    assert caught.value is error
    assert not await registry.has_blob(HERE, descriptor(BIG))


async def test_a_blob_is_mounted_from_where_it_is(registry: Both) -> None:
    await send(registry, THERE, SMALL)
    assert await registry.mount_blob(HERE, descriptor(SMALL), THERE) is None
    assert await received(registry, HERE, descriptor(SMALL)) == SMALL.read()


async def test_where_a_mount_fails_its_session_takes_the_bytes(registry: Both) -> None:
    session = await registry.mount_blob(HERE, descriptor(SMALL), THERE)
    assert session is not None
    assert not await registry.has_blob(HERE, descriptor(SMALL))
    await registry.send_blob(HERE, descriptor(SMALL), Body(SMALL.read()), session)
    assert await received(registry, HERE, descriptor(SMALL)) == SMALL.read()


async def test_an_upload_is_found_again_at_the_place_that_was_kept(registry: Both) -> None:
    session = await registry.mount_blob(HERE, descriptor(SMALL), THERE)
    assert session is not None
    again = registry.reopen_upload(HERE, session.target.text)
    await registry.send_blob(HERE, descriptor(SMALL), Body(SMALL.read()), again)
    assert await received(registry, HERE, descriptor(SMALL)) == SMALL.read()


@dataclass
class Going:
    """Keeps where an upload goes on, and from which bytes it did; `again`: how often it began anew instead."""

    data: bytes
    place: UploadSession | None = None
    offsets: list[int] = field(default_factory=list)
    again: int = 0

    @property
    def sent(self) -> int:
        return len(self.data)

    @property
    def is_kept(self) -> bool:
        return self.place is not None

    async def kept(self) -> UploadSession | None:
        return self.place

    async def keep(self, session: UploadSession, position: int) -> None:
        del position
        self.place = session

    async def forget(self) -> None:
        self.place = None

    def can_verify(self, offset: int) -> bool:
        return offset >= 0

    async def from_offset(self, offset: int) -> AsyncIterator[bytes]:
        self.offsets.append(offset)
        yield self.data[offset:]

    def went_on(self) -> None:
        pass

    def started_again(self) -> None:
        self.again += 1


@pytest.mark.parametrize("forgotten", [False, True])
async def test_an_upload_that_was_cut_goes_on_where_it_stopped(registry: Both, forgotten: bool) -> None:
    """Unless the registry knows nothing of it any more."""
    going, error = Going(BIG.read()), network_error("primary")
    with pytest.raises(RegistryError) as caught:
        await registry.send_blob(HERE, descriptor(BIG), Body(BIG.read()[:1_000_000], error), resumption=going)
    assert caught.value is error
    assert going.place is not None
    if forgotten:
        await registry.cancel_upload(going.place)
    body = Body(BIG.read())
    await registry.send_blob(HERE, descriptor(BIG), body, resumption=going)
    assert (body.calls, going.again, len(going.offsets)) == ((1, 1, 0) if forgotten else (0, 0, 1))
    assert all(0 < offset <= 1_000_000 for offset in going.offsets)
    assert await received(registry, HERE, descriptor(BIG)) == BIG.read()
    assert going.place is None


async def test_nothing_goes_on_with_wrong_bytes(registry: Both) -> None:
    going, wrong = Going(BIG.read()), ContentError("hurt on the way", registry="primary")
    with pytest.raises(ContentError):
        await registry.send_blob(HERE, descriptor(BIG), Body(BIG.read()[:1_000_000], wrong), resumption=going)
    assert going.place is None


async def test_it_says_what_it_checks_and_that_is_kept(registry: Both) -> None:
    """This is the registry that looks at the bytes of blobs, and not at what a manifest needs."""
    assert await registry.prove_checks_manifests(HERE) is False
    assert await registry.prove_checks_digests(HERE) is True
    assert registry.capabilities.holds(Capability.CHECKS_MANIFESTS) is False
    takes_sparse_index = await registry.prove_sparse_index(HERE)
    assert registry.capabilities.holds(Capability.SPARSE_INDEX) is takes_sparse_index
    assert registry.capabilities.holds(Capability.CHECKS_DIGESTS) is True


async def hold(registry: Both, seed: str) -> RawManifest:
    image = make_image(seed)
    for blob in image.blobs():
        await send(registry, HERE, blob)
    raw = RawManifest(image.media_type, image.digest, image.body)
    await registry.write_manifest(HERE, TAG, raw)
    return raw


async def test_where_there_is_no_referrers_api_it_says_so(registry: Both) -> None:
    held = await hold(registry, "app")
    assert await registry.referrers(HERE, held.digest) is None
    assert registry.capabilities.holds(Capability.REFERRERS) is False


async def test_few_tags_are_told_and_many_are_not(registry: Both) -> None:
    assert await registry.few_tags(HERE, 2) == frozenset()
    await hold(registry, "app")
    assert await registry.few_tags(HERE, 1) == frozenset({TAG})
    assert await registry.few_tags(HERE, 0) is None
