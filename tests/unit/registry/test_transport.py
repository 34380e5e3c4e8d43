"""Below the protocol: TLS, limits, what errors say and what they must not (S11, S13, S17, S18)."""

import asyncio
import contextlib
import gzip
import ssl
import time
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from replicator.errors import ContentError, Reason, RegistryError, ReplicatorError, SettingsError
from replicator.model import Priority, RequestKind
from replicator.registry.client import RegistryClient
from replicator.registry.http import Timeouts
from replicator.registry.urgency import Urgency, urgent
from replicator.settings.registries import Tls
from tests.support.fake_clock import FakeClock
from tests.support.ports import Port
from tests.unit.registry.scripted import (
    BLOB,
    DATA,
    TAG,
    TEAM,
    UPLOADS,
    Say,
    Script,
    bearer,
    client_for,
    error,
    manifest_answer,
    password,
    plain,
    read_blob,
    run_script,
    say_json,
    whole_body,
)

PING = Say(200, {"Docker-Distribution-Api-Version": "registry/2.0"}, b"{}")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def serving(authority: trustme.CA, name: str = "127.0.0.1", clients: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if clients is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        clients.configure_trust(context)
    return context


@pytest.fixture
async def secure(authority: trustme.CA) -> AsyncIterator[Script]:
    async with run_script(serving(authority, clients=authority)) as script:
        script.on("GET", "/v2/$", PING)
        yield script


async def test_s13_a_certificate_of_the_named_authority_is_trusted(secure: Script, ca_file: Path) -> None:
    async with client_for(secure.url, tls=Tls(ca_file=ca_file)) as client:
        await client.ping()


async def test_s13_an_unknown_certificate_is_a_tls_error_before_anything_is_sent(secure: Script) -> None:
    async with client_for(secure.url, credentials=password()) as client:
        with pytest.raises(RegistryError, match="certificate is not trusted") as caught:
            await client.ping()
    assert caught.value.reason == Reason.TLS
    assert not secure.seen


async def test_s13_a_certificate_of_another_name_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    async with run_script(serving(authority, "other.example.com")) as script:
        async with client_for(script.url, tls=Tls(ca_file=ca_file)) as client:
            with pytest.raises(RegistryError) as caught:
                await client.ping()
        assert caught.value.reason == Reason.TLS


async def test_s13_verification_is_off_only_where_it_was_switched_off(secure: Script, authority: trustme.CA) -> None:
    """The storage to which an unverified registry redirects is verified."""
    async with run_script(serving(authority)) as storage:
        secure.on("GET", "/v2/team", Say(307, {"Location": f"{storage.url}/blob"}))
        storage.on("GET", "/blob", Say(200, {}, DATA))
        lenient = Tls(insecure_skip_verify=True)
        async with client_for(secure.url, tls=lenient, redirect_allow=(storage.host,)) as client:
            await client.ping()
            with pytest.raises(RegistryError) as caught:
                await read_blob(client)
        assert caught.value.reason == Reason.TLS
        assert not storage.seen


async def test_s5_the_client_certificate_is_shown_to_the_registry_and_to_nobody_else(
    authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    own = authority.issue_cert("client@example.com")
    cert_file = tmp_path / "client.pem"
    own.private_key_and_cert_chain_pem.write_to_path(str(cert_file))
    shown: dict[str, bool] = {}

    async def note(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        shown[request.path] = bool(request.transport.get_extra_info("peercert"))
        if request.path == "/blob":
            return web.Response(body=DATA)
        return web.Response(status=307, headers={"Location": f"{storage.url}/blob"})

    async with (
        run_script(serving(authority, clients=authority)) as registry,
        run_script(serving(authority, clients=authority)) as storage,
    ):
        registry.on("GET", "/v2/", note)
        storage.on("GET", "/blob", note)
        tls = Tls(ca_file=ca_file, cert_file=cert_file)
        async with client_for(registry.url, tls=tls, redirect_allow=(storage.host,)) as client:
            assert await read_blob(client) == DATA
    assert shown == {f"/v2/team/app/blobs/{BLOB.digest}": True, "/blob": False}


async def test_s13_s5_an_https_registry_never_leads_to_plain_http(
    secure: Script, script: Script, ca_file: Path
) -> None:
    allowed: dict[str, Any] = {"redirect_allow": (script.host,), "realm_allow": (script.host,)}
    secure.on("GET", "/v2/team", Say(307, {"Location": f"{script.url}/blob"}))
    secure.on("HEAD", "/v2/team", bearer(f"{script.url}/token"))
    secure.on("POST", "/v2/team", Say(202, {"Location": f"{script.url}/up"}))
    secure.on("GET", "/v2/_catalog", say_json({"repositories": []}, Link=f'<{script.url}/more>; rel="next"'))
    async with client_for(secure.url, tls=Tls(ca_file=ca_file), credentials=password(), **allowed) as client:
        for attempt in (
            read_blob(client),
            client.has_blob(TEAM, BLOB),
            client.send_blob(TEAM, BLOB, whole_body),
            _all_of(client),
        ):
            with pytest.raises(RegistryError):
                await attempt
    assert not script.seen


async def _all_of(client: RegistryClient) -> None:
    _ = [one async for one in client.repositories()]


async def test_s4_a_location_that_a_proxy_wrote_as_http_stays_on_https(secure: Script, ca_file: Path) -> None:
    secure.on("POST", UPLOADS, Say(202, {"Location": "http://127.0.0.1/up?x=%2F"}))
    secure.on("PUT", "/up", Say(201))
    async with client_for(secure.url, tls=Tls(ca_file=ca_file)) as client:
        await client.send_blob(TEAM, BLOB, whole_body)
    assert secure.asked("PUT")[0].target.startswith("/up?x=%2F&digest=")


@pytest.mark.parametrize("key", ["ca_file", "cert_file"])
def test_certificates_that_cannot_be_used_are_a_settings_error(tmp_path: Path, key: str) -> None:
    path = tmp_path / "not.pem"
    path.write_text("nonsense")
    for file in (path, tmp_path / "gone"):
        with pytest.raises(SettingsError, match="tls:"):
            client_for("https://reg.example.com", tls=Tls.model_construct(**{**Tls().model_dump(), key: file}))


@contextlib.asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[str]:
    """Serve these bytes to whoever asks, then hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    port = Port()
    server = await asyncio.start_server(serve, "127.0.0.1", port.number)
    try:
        yield f"http://127.0.0.1:{port.number}"
    finally:
        server.close()
        await server.wait_closed()
        port.release()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: canary\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX-Long: canary" + b"x" * 40_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
    ],
)
async def test_answers_that_are_not_http_are_temporary_errors_that_show_nothing(answer: bytes) -> None:
    async with raw_server(answer) as url, client_for(url) as client:
        with pytest.raises(RegistryError) as caught:
            await client.read_manifest(TEAM, TAG)
    assert caught.value.temporary
    assert caught.value.status == 0
    assert "canary" not in "".join(traceback.format_exception(caught.value))


async def test_h4_a_signed_location_of_20_kb_is_followed() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nContent-Length: 0\r\nLocation: /next?sig=" + b"x" * 20_000 + b"\r\n\r\n"
    async with raw_server(moved) as url, client_for(url) as client:
        with pytest.raises(RegistryError, match="more than 5"):
            await read_blob(client)


async def test_nobody_there_is_a_network_error() -> None:
    port = Port()
    try:
        async with client_for(f"http://127.0.0.1:{port.number}") as client:
            with pytest.raises(RegistryError, match="cannot connect") as caught:
                await client.ping()
    finally:
        port.release()
    assert (caught.value.reason, caught.value.temporary) == (Reason.NETWORK, True)


async def test_an_unknown_name_is_a_network_error() -> None:
    async with client_for("http://no-such-host.invalid") as client:
        with pytest.raises(RegistryError) as caught:
            await client.ping()
    assert (caught.value.reason, caught.value.temporary) == (Reason.NETWORK, True)


async def test_a_registry_that_never_answers_is_a_timeout(script: Script) -> None:
    async def silent(_: web.Request) -> web.StreamResponse:
        await script.stopped.wait()
        return web.Response()

    script.on("GET", "/v2/", silent)
    async with client_for(script.url, timeouts=Timeouts(connect=1, read=0.2)) as client:
        with pytest.raises(RegistryError) as caught:
            await client.ping()
    assert (caught.value.reason, caught.value.temporary) == (Reason.TIMEOUT, True)


async def test_s21_an_answer_that_drips_does_not_hold_a_request_for_ever(script: Script) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while not script.stopped.is_set():
                await response.write(b" ")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(script.stopped.wait(), 0.05)
        return response

    script.on("GET", "/v2/", drip)
    async with client_for(script.url, timeouts=Timeouts(connect=1, read=0.3)) as client:
        with pytest.raises(RegistryError) as caught:
            await client.read_manifest(TEAM, TAG)
    assert caught.value.reason == Reason.TIMEOUT


async def test_s11_a_gzip_bomb_is_never_unpacked(script: Script, client: RegistryClient) -> None:
    bomb = Say(
        200, {"Content-Encoding": "gzip", "Content-Type": "application/json"}, gzip.compress(bytes(10_000_000))
    )
    script.on("GET", "/v2/", bomb)
    with pytest.raises(ContentError):
        await client.read_manifest(TEAM, TAG)
    with pytest.raises(RegistryError):
        _ = [tag async for tag in client.tags(TEAM)]
    script.on("GET", "/v2/", bearer("/token"))
    script.on("GET", "/token", bomb)
    with pytest.raises(RegistryError):
        await client.read_manifest(TEAM, TAG)


@pytest.mark.parametrize(
    "page", [Say(200, {"Content-Type": "text/html"}, b"<html>"), Say(404), Say(200, {}, b"hello")]
)
async def test_ping_is_not_fooled_by_a_web_site(script: Script, client: RegistryClient, page: Say) -> None:
    script.on("GET", "/v2/", page)
    with pytest.raises(RegistryError):
        await client.ping()


async def test_s18_no_secret_is_in_any_error(script: Script, elsewhere: Script) -> None:
    """Passwords, tokens, signed URLs and upload states: provoke errors everywhere and look at all that they say."""
    script.on("GET", "/token", say_json({"token": "canary-token"}))
    script.on("HEAD", "/v2/", bearer("/token"))
    script.on("POST", UPLOADS, Say(202, {"Location": "/up?_state=canary-state"}))
    script.on("PUT", "/up", error(500, "UNKNOWN"))
    script.on("DELETE", "/up", Say(500))
    script.on("GET", "/v2/team/app/blobs", Say(307, {"Location": f"{elsewhere.url}/b?X-Amz-Signature=canary-sig"}))
    elsewhere.on("GET", "/b", Say(403, {}, b"<Error>canary</Error>"))
    script.on("GET", "/v2/team/app/tags", say_json({"tags": []}, Link='<http://x@y/?n=canary>; rel="next"'))
    told: list[str] = []
    async with client_for(script.url, credentials=password(), redirect_allow=(elsewhere.host,)) as client:
        for attempt in (
            client.has_blob(TEAM, BLOB),
            client.send_blob(TEAM, BLOB, whole_body),
            read_blob(client),
            _tags(client),
        ):
            try:
                await attempt
            except ReplicatorError as caught:
                told.append("".join(traceback.format_exception(caught)))
        session = await client.start_upload(TEAM)
        told.append(repr(session))
        told.append(repr(client))
    assert len(told) == 6
    lines = [line for text in told for line in text.splitlines() if not line.startswith("    ")]
    assert not [line for line in lines if "canary" in line]


async def _tags(client: RegistryClient) -> None:
    _ = [tag async for tag in client.tags(TEAM)]


class Counted:
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        self.finished: list[tuple[str, str, int]] = []
        self.skews: list[tuple[str, float]] = []

    def request_finished(self, registry: str, operation: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.finished.append((registry, operation, status))

    def clock_read(self, registry: str, skew: float) -> None:
        self.skews.append((registry, skew))

    def window_set(self, registry: str, kind: str, size: int) -> None:
        assert (registry, kind in set(RequestKind), size >= 1) == ("replica", True, True)

    def request_refused(self, registry: str, kind: str) -> None:
        raise AssertionError(f"{registry} refused {kind}")

    def request_waited(self, registry: str, kind: str, seconds: float) -> None:
        raise AssertionError(f"{registry} let {kind} wait for {seconds} s")


async def test_every_request_is_counted_with_its_operation(script: Script) -> None:
    body = b'{"a":1}'
    script.on("GET", "/token", say_json({"token": "t"}))
    script.on("GET", "/v2/", bearer("/token"), manifest_answer(body))
    script.on("POST", UPLOADS, Say(202, {"Location": "/up"}))
    script.on("PUT", "/up", Say(201))
    observer = Counted()
    async with client_for(script.url, observer=observer) as client:
        await client.read_manifest(TEAM, TAG)
        await client.send_blob(TEAM, BLOB, whole_body)
    assert observer.finished == [
        ("replica", "manifest_read", 401),
        ("replica", "token", 200),
        ("replica", "manifest_read", 200),
        ("replica", "token", 200),
        ("replica", "upload_start", 202),
        ("replica", "upload_send", 201),
    ]


async def test_a_request_without_answer_is_counted_as_status_0() -> None:
    observer = Counted()
    async with raw_server(b"") as url, client_for(url, observer=observer) as client:
        with pytest.raises(RegistryError):
            await client.read_manifest(TEAM, TAG)
    assert ("replica", "manifest_read", 0) in observer.finished


async def test_no_more_connections_than_configured(script: Script) -> None:
    now, most = 0, 0
    gate = asyncio.Event()

    async def busy(_: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == 3:
            gate.set()
        await gate.wait()
        now -= 1
        return web.Response(status=404, content_type="application/json")

    script.on("HEAD", "/v2/", busy)
    async with client_for(script.url, max_connections=3) as client:
        with urgent(Urgency(Priority.HIGH)):
            await asyncio.gather(*(client.has_blob(TEAM, BLOB) for _ in range(12)))
    assert most == 3


async def test_connections_are_used_again(script: Script) -> None:
    peers: set[object] = set()

    async def note(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        await request.read()
        answers = {
            "POST": (202, {"Location": "/up"}),
            "PUT": (201, {}),
            "HEAD": (200, {"Content-Length": str(BLOB.size)}),
            "GET": (200, {}),
        }
        status, headers = answers[request.method]
        return web.Response(status=status, headers=headers, body=DATA if request.method == "GET" else b"")

    for method in ("HEAD", "POST", "PUT", "GET"):
        script.on(method, "/", note)
    async with client_for(script.url) as client:
        for _ in range(5):
            await client.has_blob(TEAM, BLOB)
            await client.send_blob(TEAM, BLOB, whole_body)
            assert await read_blob(client) == DATA
    assert len(peers) == 1


@pytest.mark.parametrize(("pause", "connections"), [(50.0, 1), (61.0, 2)])
async def test_a_connection_stays_warm_between_pushes_that_are_less_than_a_minute_apart(
    script: Script, monkeypatch: pytest.MonkeyPatch, pause: float, connections: int
) -> None:
    """A balancer that closes idle ones after 60 s never closes one under a request of ours."""
    ahead = 0.0
    # The HTTP library's clock, and not the loop's: nothing else may run out of time.
    monkeypatch.setattr(aiohttp.connector, "monotonic", lambda: time.monotonic() + ahead)
    peers: set[object] = set()

    async def note(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(headers={"Content-Length": str(BLOB.size)})

    script.on("HEAD", "/", note)
    async with client_for(script.url) as client:
        await client.has_blob(TEAM, BLOB)
        ahead = pause
        await client.has_blob(TEAM, BLOB)
    assert len(peers) == connections


async def test_the_latency_is_that_of_the_quickest_answers_of_late(fake_clock: FakeClock) -> None:
    async with run_script() as script, client_for(script.url, clock=fake_clock) as client:
        waits = iter([0.5, 0.04, 0.5, *[0.5] * 200])

        async def answer(_: web.Request) -> web.StreamResponse:
            fake_clock.advance(next(waits))
            return web.Response(body=PING.body, headers=plain(PING.headers))

        script.on("GET", "/v2/$", answer)
        seen = [client.latency]
        for _ in range(3):
            await client.ping()
            seen.append(client.latency)
        assert seen == [0.0, pytest.approx(0.5), pytest.approx(0.04), pytest.approx(0.04, rel=0.1)]
        for _ in range(200):
            await client.ping()
        assert client.latency == pytest.approx(0.5), "a line that has become slow shows in time"


async def test_a_client_that_was_closed_says_so(script: Script) -> None:
    """Somebody may have begun to ask when the configuration gave it up."""
    client = client_for(script.url)
    await client.close()
    with pytest.raises(RegistryError, match="another configuration") as raised:
        await client.ping()
    assert raised.value.temporary
    assert script.asked("GET") == []
