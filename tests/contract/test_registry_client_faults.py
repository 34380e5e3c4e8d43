"""The client before a real registry whose wire misbehaves: nothing is lost, and nothing is believed that is wrong."""

import contextlib
import datetime as dt
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from replicator.clock import SystemClock
from replicator.errors import ContentError, Reason, RegistryError
from replicator.model import Descriptor, Digest, RawManifest, Repository, Tag
from replicator.registry import session
from replicator.registry.client import RegistryClient, open_registry
from replicator.registry.http import Timeouts
from replicator.settings.credentials import Credentials
from replicator.settings.registries import ReplicaSettings, Tls
from replicator.settings.secrets import Secret
from tests.support import faults
from tests.support.content import make_blob, make_image
from tests.support.images import push, tag_digest
from tests.support.ports import Port
from tests.support.proxy import Proxy, run_proxy
from tests.support.registries import DockerRegistry, RegistryTls, run_registry

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
    async with open_registry(settings, clock=SystemClock()) as opened:
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


async def test_s21_a_read_that_hangs_is_a_timeout(proxy: Proxy, registry: DockerRegistry) -> None:
    await push(registry.url, TEAM, TAG, make_image("hang", [BLOB]))
    settings = ReplicaSettings(name="replica", url=proxy.url)
    async with open_registry(settings, clock=SystemClock(), timeouts=Timeouts(read=1)) as client:
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


SMALL = make_blob("every byte", 129)
SMALL_DESCRIPTOR = Descriptor(SMALL.media_type, SMALL.digest, SMALL.size)


async def test_f30_a_connection_reset_at_every_byte_of_a_blob_loses_and_damages_nothing(
    client: RegistryClient, proxy: Proxy, registry: DockerRegistry
) -> None:
    await push(registry.url, TEAM, TAG, make_image("reset", [SMALL]))

    async def read_on(into: bytearray) -> None:
        async with client.open_blob(TEAM, SMALL_DESCRIPTOR, len(into)) as reader:
            async for chunk in reader.chunks():
                into += chunk

    for after in range(SMALL.size):
        got = bytearray()
        cut = faults.CutResponse(method="GET", path="/blobs/", after=after, reset=after % 2 == 0)
        with proxy.during(cut), pytest.raises(RegistryError) as caught:
            await read_on(got)
        assert caught.value.temporary, after
        await read_on(got)
        assert Digest.of(bytes(got)) == SMALL.digest, after

    async def whole() -> AsyncIterator[bytes]:
        for chunk in SMALL.chunks():
            yield chunk

    troubles: list[RegistryError] = []
    for after in range(0, SMALL.size, 8):
        other = Repository(f"team/other{after}")
        with proxy.during(faults.CutRequest(method="PUT", after=after)) as cutting:
            try:
                await client.send_blob(other, SMALL_DESCRIPTOR, whole)
            except RegistryError as error:
                troubles.append(error)
        assert cutting.acted == 1, after
        await client.send_blob(other, SMALL_DESCRIPTOR, whole)
        assert await client.has_blob(other, SMALL_DESCRIPTOR), after
    assert all(error.temporary for error in troubles)


async def test_f37_redirects_that_turn_in_a_circle_end_and_give_the_login_to_nobody(
    proxy: Proxy, registry: DockerRegistry, tmp_path: Path
) -> None:
    await push(registry.url, TEAM, TAG, make_image("circle", [SMALL]))
    credentials = Credentials(username="puller", password_file=Secret.of_text("canary-of-the-puller"))
    async with run_registry(tmp_path, name="elsewhere") as elsewhere, run_proxy(elsewhere.url) as other:
        await push(elsewhere.url, TEAM, TAG, make_image("circle", [SMALL]))
        settings = ReplicaSettings(
            name="replica", url=proxy.url, credentials=credentials, redirect_allow=(other.host,)
        )
        async with open_registry(settings, clock=SystemClock()) as client:
            target = f"/v2/{TEAM}/blobs/{SMALL.digest}"
            circle = faults.Answer(method="GET", path="/blobs/", status=307, headers={"Location": target}, times=None)
            with proxy.during(circle) as turned, pytest.raises(RegistryError, match="redirect"):
                async with client.open_blob(TEAM, SMALL_DESCRIPTOR, 0):
                    pass
            assert turned.acted <= 6
            leave = faults.Answer(path="/blobs/", status=307, headers={"Location": f"{other.url}{target}"})
            with proxy.during(leave):
                async with client.open_blob(TEAM, SMALL_DESCRIPTOR, 0) as reader:
                    got = b"".join([chunk async for chunk in reader.chunks()])
            assert Digest.of(got) == SMALL.digest
            assert [one.target for one in other.requests] == [target]
            assert "Authorization" not in other.requests[0].headers


@contextlib.contextmanager
def black_hole(family: socket.AddressFamily, host: str, port: int) -> Iterator[None]:
    """Listen without ever taking a connection: once its queue is full, the kernel drops each SYN."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        yield


async def test_f36_a_syn_that_nobody_answers_is_a_timeout_and_no_end() -> None:
    port = Port()
    settings = ReplicaSettings(name="replica", url=f"http://127.0.0.1:{port.number}")
    with black_hole(socket.AF_INET, "127.0.0.1", port.number):
        async with open_registry(settings, clock=SystemClock(), timeouts=Timeouts(connect=0.3)) as client:
            with pytest.raises(RegistryError) as caught:
                await client.ping()
    assert (caught.value.reason, caught.value.temporary) == (Reason.TIMEOUT, True)
    port.release()


async def test_f38_names_that_fail_or_flip_are_asked_again_and_a_dead_ipv6_is_passed_by(
    registry: DockerRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name server is the one thing that is not real here: its answers are written by the test."""
    port = int(registry.url.rpartition(":")[2])
    answers: list[str] = []
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **options: Any) -> Any:
        if host != "registry.test":
            return real(host, *more, **options)
        asked.append(host)
        if not answers:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (one, port, 0, 0) if ":" in one else (one, port),
            )
            for one in answers
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    # An answer is kept for half a minute otherwise, which is not waited for here.
    monkeypatch.setattr(session, "_DNS_SECONDS", 0)
    settings = ReplicaSettings(name="replica", url=f"http://registry.test:{port}")
    limits = Timeouts(connect=5, read=5)
    async with open_registry(settings, clock=SystemClock(), timeouts=limits) as client:
        with pytest.raises(RegistryError) as caught:
            await client.ping()
        assert (caught.value.reason, caught.value.temporary) == (Reason.NETWORK, True)
        answers[:] = ["127.0.0.2"]
        with contextlib.suppress(RegistryError):
            await client.ping()
        answers[:] = ["127.0.0.1"]
        await client.ping()
        assert len(asked) >= 3, "asked anew each time"
    async with open_registry(settings, clock=SystemClock(), timeouts=limits) as client:
        answers[:] = ["::1", "127.0.0.1"]
        with black_hole(socket.AF_INET6, "::1", port):
            await client.ping()


@pytest.mark.parametrize("trouble", ["expired", "another name", "no handshake"])
async def test_f39_trouble_with_tls_is_named_and_never_gone_around(trouble: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    name = "elsewhere.example.com" if trouble == "another name" else "127.0.0.1"
    leaf = authority.issue_cert(name, not_after=past if trouble == "expired" else None)
    certificate, trust = tmp_path / "server.pem", tmp_path / "ca.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    authority.cert_pem.write_to_path(str(trust))
    secure = DockerRegistry(tmp_path, name="secure", tls=RegistryTls(certificate=certificate))
    try:
        await secure.start()
        async with run_proxy(secure.url, raw=True) as line:
            line.link.black_hole = trouble == "no handshake"
            settings = ReplicaSettings(name="replica", url=line.url, tls=Tls(ca_file=trust))
            async with open_registry(settings, clock=SystemClock(), timeouts=Timeouts(connect=1, read=1)) as client:
                with pytest.raises(RegistryError) as caught:
                    await client.ping()
            assert caught.value.reason == (Reason.TIMEOUT if trouble == "no handshake" else Reason.TLS)
            assert line.bytes_from_server < 10_000, "no answer of the registry was read"
    finally:
        secure.discard()
