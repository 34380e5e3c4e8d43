"""The client before a real registry whose wire misbehaves: nothing is lost, and nothing is believed that is wrong."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from replicator.clock import SystemClock
from replicator.errors import ContentError, Reason, RegistryError
from replicator.model import Descriptor, Digest, RawManifest, Repository, Tag
from replicator.registry.client import RegistryClient, open_registry
from replicator.registry.http import Timeouts
from replicator.settings.registries import ReplicaSettings
from tests.support import faults
from tests.support.content import make_blob, make_image
from tests.support.images import push, tag_digest
from tests.support.proxy import Proxy, run_proxy
from tests.support.registries import DockerRegistry, run_registry

TEAM = Repository("team/app")
TAG = Tag("v1")
BLOB = make_blob("faults", 3_000_000)
DESCRIPTOR = Descriptor(BLOB.media_type, BLOB.digest, BLOB.size)
IMAGE = make_image("faults", [2_000, 1_000_000])
RAW = RawManifest(IMAGE.media_type, IMAGE.digest, IMAGE.body)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[DockerRegistry]:
    async with run_registry(tmp_path) as running:
        yield running


@pytest.fixture
async def proxy(registry: DockerRegistry) -> AsyncIterator[Proxy]:
    async with run_proxy(registry.url) as running:
        yield running


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[RegistryClient]:
    settings = ReplicaSettings(name="replica", url=proxy.url)
    limits = Timeouts(connect=2, read=1, write=1, commit=1)
    async with open_registry(settings, clock=SystemClock(), timeouts=limits) as opened:
        yield opened


async def body() -> AsyncIterator[bytes]:
    for chunk in BLOB.chunks():
        yield chunk


async def read(client: RegistryClient, offset: int, into: bytearray) -> None:
    async with client.open_blob(TEAM, DESCRIPTOR, offset) as reader:
        async for chunk in reader.chunks():
            into += chunk


async def test_u8_a_lost_201_of_a_blob_costs_a_look_and_no_second_upload(
    client: RegistryClient, proxy: Proxy
) -> None:
    lost = proxy.add(faults.LoseAnswer(method="PUT"))
    await client.send_blob(TEAM, DESCRIPTOR, body)
    assert lost.acted == 1
    assert proxy.sent("upload") == BLOB.size
    assert await client.has_blob(TEAM, DESCRIPTOR)


async def test_u8_a_lost_201_of_a_tag_costs_a_look_and_no_second_put(
    client: RegistryClient, proxy: Proxy, registry: DockerRegistry
) -> None:
    await push(registry.url, TEAM, "other", IMAGE)
    lost = proxy.add(faults.LoseAnswer(method="PUT"))
    await client.write_manifest(TEAM, TAG, RAW)
    assert lost.acted == 1
    assert len([one for one in proxy.requests if one.method == "PUT"]) == 1
    assert await tag_digest(registry.url, TEAM, TAG) == IMAGE.digest


@pytest.mark.parametrize("after", [0, 1, 1_000_000])
async def test_an_upload_that_is_cut_is_a_temporary_error_and_works_again(
    client: RegistryClient, proxy: Proxy, after: int
) -> None:
    with proxy.during(faults.CutRequest(method="PUT", after=after)), pytest.raises(RegistryError) as caught:
        await client.send_blob(TEAM, DESCRIPTOR, body)
    assert (caught.value.reason, caught.value.temporary) == (Reason.NETWORK, True)
    assert not await client.has_blob(TEAM, DESCRIPTOR)
    await client.send_blob(TEAM, DESCRIPTOR, body)
    assert await client.has_blob(TEAM, DESCRIPTOR)


async def test_a_byte_damaged_on_the_way_is_refused_and_sent_again(client: RegistryClient, proxy: Proxy) -> None:
    with proxy.during(faults.CorruptRequest(method="PUT", at=1_234_567)), pytest.raises(RegistryError) as caught:
        await client.send_blob(TEAM, DESCRIPTOR, body)
    assert (caught.value.reason, caught.value.temporary) == (Reason.DIGEST_MISMATCH, True)
    await client.send_blob(TEAM, DESCRIPTOR, body)


async def test_h5_a_413_in_the_middle_of_a_put_leads_to_the_next_rung(client: RegistryClient, proxy: Proxy) -> None:
    proxy.add(faults.Answer(method="PUT", status=413, after=100_000))
    await client.send_blob(TEAM, DESCRIPTOR, body)
    assert [one.method for one in proxy.requests if one.method == "PATCH"] == ["PATCH"]
    assert await client.has_blob(TEAM, DESCRIPTOR)


async def test_e3_a_429_tells_how_long_to_wait(client: RegistryClient, proxy: Proxy) -> None:
    proxy.add(faults.Answer(method="POST", status=429, headers={"Retry-After": "170"}))
    with pytest.raises(RegistryError) as caught:
        await client.send_blob(TEAM, DESCRIPTOR, body)
    assert (caught.value.reason, caught.value.retry_after) == (Reason.RATE_LIMITED, 170)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after", [0, 1, 1_500_000])
async def test_b5_a_read_that_is_cut_goes_on_where_it_stopped(
    client: RegistryClient, proxy: Proxy, registry: DockerRegistry, after: int, reset: bool
) -> None:
    await push(registry.url, TEAM, TAG, make_image("cut", [BLOB]))
    got = bytearray()
    cut = faults.CutResponse(method="GET", path="/blobs/", after=after, reset=reset)
    with proxy.during(cut), pytest.raises(RegistryError) as caught:
        await read(client, 0, got)
    assert (caught.value.reason, caught.value.temporary) == (Reason.NETWORK, True)
    assert len(got) <= after
    await read(client, len(got), got)
    assert Digest.of(bytes(got)) == BLOB.digest
    assert proxy.received("blob") < BLOB.size + 1_000_000


async def test_s21_a_read_that_hangs_is_a_timeout(
    client: RegistryClient, proxy: Proxy, registry: DockerRegistry
) -> None:
    await push(registry.url, TEAM, TAG, make_image("hang", [BLOB]))
    for fault in (faults.Hang(path="/blobs/", after=1_000), faults.Hang(path="/blobs/"), faults.NeverAnswer()):
        with proxy.during(fault), pytest.raises(RegistryError) as caught:
            await read(client, 0, bytearray())
        assert (caught.value.reason, caught.value.temporary) == (Reason.TIMEOUT, True)


@pytest.mark.parametrize("by", [-1, 1])
async def test_b4_a_wrong_length_is_named(
    client: RegistryClient, proxy: Proxy, registry: DockerRegistry, by: int
) -> None:
    await push(registry.url, TEAM, TAG, make_image("length", [BLOB]))
    with proxy.during(faults.Resize(path="/blobs/", by=by)), pytest.raises(ContentError, match="its manifest says"):
        await read(client, 0, bytearray())
    with (
        proxy.during(faults.LieLength(path="/blobs/", by=by)),
        pytest.raises(ContentError, match="its manifest says"),
    ):
        await read(client, 0, bytearray())


async def test_f3_s8_lies_and_damage_of_a_manifest_are_named(
    client: RegistryClient, proxy: Proxy, registry: DockerRegistry
) -> None:
    await push(registry.url, TEAM, TAG, IMAGE)
    lie = faults.SetHeader(name="Docker-Content-Digest", value=str(Digest.of(b"lie")), times=None)
    for fault in (lie, faults.CorruptResponse(at=20), faults.Resize(by=1)):
        for reference in (TAG, IMAGE.digest):
            with proxy.during(fault), pytest.raises(ContentError) as caught:
                await client.read_manifest(TEAM, reference)
            assert caught.value.registry == "replica"
    with proxy.during(faults.SetHeader(name="Docker-Content-Digest", value=None, times=None)):
        stat = await client.stat_manifest(TEAM, TAG)
        assert stat is not None
        assert stat.digest == IMAGE.digest
