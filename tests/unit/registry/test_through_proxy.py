"""Requests through a real HTTP proxy: who sees which login, what its refusals mean, where it must not lead."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from replicator.errors import AccessDenied, ProxyFailed, Reason, RegistryError
from replicator.model import Descriptor
from replicator.registry.client import RegistryClient, open_registry
from replicator.registry.http import Timeouts
from replicator.settings.proxies import ProxySettings
from replicator.settings.registries import Tls
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock
from tests.support.forward_proxy import ForwardProxy, run_forward_proxy
from tests.support.ports import Port
from tests.support.tls_registry import write_authority, write_certificate
from tests.unit.registry.scripted import (
    BLOB,
    BLOB_PATH,
    DATA,
    PATIENCE,
    TAG,
    TEAM,
    UPLOADS,
    Say,
    Script,
    bearer,
    client_for,
    demand,
    error,
    manifest_answer,
    password,
    read_blob,
    run_script,
    say_json,
    settings_for,
    whole_body,
)

_PLAIN = "http://registry.test"
_SECURE = "https://registry.test"
_MANIFEST = "/v2/team/app/manifests/v1"


@pytest.fixture
async def proxy() -> AsyncIterator[ForwardProxy]:
    async with run_forward_proxy() as running:
        yield running


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA, tmp_path: Path) -> Tls:
    return Tls(ca_file=write_authority(authority, tmp_path / "ca.pem"))


@contextlib.asynccontextmanager
async def _secure(authority: trustme.CA, *, clients: trustme.CA | None = None) -> AsyncIterator[Script]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("registry.test", "storage.test", "127.0.0.1").configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    async with run_script(context) as script:
        script.on("GET", "/v2/", say_json({}))
        script.on("GET", _MANIFEST, manifest_answer(b"{}"))
        yield script


def _client(proxy: ForwardProxy, url: str, *, timeouts: Timeouts = PATIENCE, **options: Any) -> RegistryClient:
    way = ProxySettings(url=proxy.url)
    if proxy.login is not None:
        way = ProxySettings(url=proxy.url, username="mirror", password_file=Secret.of_text("proxy-canary"))
    return client_for(url, timeouts=timeouts, proxy=way, **options)


async def test_a_plain_request_goes_by_its_whole_url_and_the_proxy_looks_the_name_up(
    proxy: ForwardProxy, script: Script
) -> None:
    proxy.hosts["registry.test:80"] = script.host
    proxy.login = ("mirror", "proxy-canary")
    script.on("GET", "/v2/", say_json({}))
    async with _client(proxy, _PLAIN) as client:
        await client.ping()
        await client.ping()
    assert proxy.plain == ["http://registry.test/v2/"] * 2
    assert not proxy.tunnels
    assert all("Proxy-Authorization" not in seen.headers for seen in script.seen)


async def test_s5_a_tunnel_hides_the_registrys_login_from_the_proxy_and_the_proxys_from_the_registry(
    proxy: ForwardProxy, authority: trustme.CA, trust: Tls
) -> None:
    proxy.login = ("mirror", "proxy-canary")
    async with _secure(authority) as script:
        proxy.hosts["registry.test:443"] = script.host
        challenge = error(401, "UNAUTHORIZED", **{"WWW-Authenticate": 'Basic realm="x"'})
        script.on("GET", _MANIFEST, challenge, manifest_answer(b"{}"))
        async with _client(proxy, _SECURE, tls=trust, credentials=password()) as client:
            await client.read_manifest(TEAM, TAG)
            await client.read_manifest(TEAM, TAG)
        assert [bool(seen.authorization) for seen in script.seen] == [False, True, True]
        assert all("Proxy-Authorization" not in seen.headers for seen in script.seen)
    assert proxy.tunnels == ["registry.test:443"], "the connection is used again"
    assert "authorization" not in proxy.asked[0].headers


async def test_uploads_go_through_both_kinds(
    proxy: ForwardProxy, script: Script, authority: trustme.CA, trust: Tls
) -> None:
    async with _secure(authority) as secure:
        proxy.hosts |= {"registry.test:80": script.host, "registry.test:443": secure.host}
        for url, server in ((_PLAIN, script), (_SECURE, secure)):
            server.on("POST", UPLOADS, Say(202, {"Location": f"{UPLOADS}1"}))
            server.on("PUT", f"{UPLOADS}1", Say(201))
            async with _client(proxy, url, tls=trust if url == _SECURE else None) as client:
                session = await client.start_upload(TEAM)
                await client.send_blob(TEAM, BLOB, whole_body, session=session)
            assert [seen.body for seen in server.asked("PUT")] == [DATA]
    assert {one.method for one in proxy.asked} == {"CONNECT", "POST", "PUT"}


async def test_the_token_server_and_the_storage_are_reached_through_it_too(
    proxy: ForwardProxy, script: Script, elsewhere: Script
) -> None:
    proxy.hosts |= {
        "registry.test:80": script.host,
        "auth.test:80": elsewhere.host,
        "storage.test:80": elsewhere.host,
    }
    elsewhere.on("GET", "/token", say_json({"token": "canary-token"}))
    elsewhere.on("GET", "/blob", Say(200, {}, DATA))
    redirect = Say(307, {"Location": "http://storage.test/blob?sig=canary"})
    script.on("GET", BLOB_PATH, demand("canary-token", redirect, bearer("http://auth.test/token")))
    async with _client(proxy, _PLAIN, realm_allow=("auth.test",), credentials=password()) as client:
        assert await read_blob(client) == DATA
    assert [one.split("?")[0] for one in proxy.plain] == [
        f"{_PLAIN}{BLOB_PATH}",
        "http://auth.test/token",
        f"{_PLAIN}{BLOB_PATH}",
        "http://storage.test/blob",
    ]
    assert elsewhere.asked("GET", "/blob")[0].authorization is None


async def test_what_is_exempt_is_asked_directly(proxy: ForwardProxy, script: Script) -> None:
    script.on("GET", "/v2/", say_json({}))
    exempt = ProxySettings(url=proxy.url, no_proxy=("127.0.0.0/8",))
    async with client_for(script.url, proxy=exempt) as client:
        await client.ping()
    assert not proxy.asked


async def test_the_environment_leads_through_it_unless_the_settings_say_off(
    proxy: ForwardProxy, script: Script
) -> None:
    proxy.hosts["registry.test:80"] = script.host
    script.on("GET", "/v2/", say_json({}))
    environ = {"HTTP_PROXY": proxy.url}
    async with open_registry(settings_for(_PLAIN), clock=FakeClock(), environ=environ) as client:
        await client.ping()
    async with open_registry(settings_for(script.url), clock=FakeClock(), environ=environ) as client:
        await client.ping()
    assert proxy.plain == ["http://registry.test/v2/"], "this machine itself is never asked for through a proxy"
    off = settings_for("http://registry.invalid", proxy=ProxySettings(url=None))
    async with open_registry(off, clock=FakeClock(), environ=environ) as client:
        with pytest.raises(RegistryError, match="the name has no address"):
            await client.ping()
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("url", [_PLAIN, _SECURE])
@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (403, Reason.NETWORK, r"does not let us there \(403\)"),
        (500, Reason.NETWORK, r"does not reach it \(500\)"),
        (502, Reason.NETWORK, r"does not reach it \(502\)"),
        (503, Reason.NETWORK, r"does not reach it \(503\)"),
        (504, Reason.TIMEOUT, r"got no answer from it \(504\)"),
    ],
)
async def test_a_refusal_of_the_proxy_is_not_the_registrys(
    proxy: ForwardProxy, url: str, status: int, reason: Reason, said: str
) -> None:
    proxy.refusal = status
    async with _client(proxy, url) as client:
        with pytest.raises(ProxyFailed, match=rf"failed through the proxy {proxy.url}: it.*{said}") as caught:
            await client.stat_manifest(TEAM, TAG)
    assert (caught.value.reason, caught.value.temporary, caught.value.status) == (reason, True, 0)


@pytest.mark.parametrize("url", [_PLAIN, _SECURE])
async def test_a_login_that_the_proxy_refuses_is_told_and_not_shown(proxy: ForwardProxy, url: str) -> None:
    proxy.login = ("mirror", "another-canary")
    async with _client(proxy, url) as client:
        with pytest.raises(ProxyFailed, match=r"it refuses the user name and password \(407\)") as caught:
            await client.stat_manifest(TEAM, TAG)
    assert (caught.value.reason, caught.value.temporary) == (Reason.AUTH, True)
    assert not isinstance(caught.value, AccessDenied)
    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("url", [_PLAIN, _SECURE])
async def test_a_login_that_tinyproxy_refuses_is_not_the_registrys(proxy: ForwardProxy, url: str) -> None:
    proxy.refusal, proxy.server = 401, "tinyproxy/1.11.1"
    async with _client(proxy, url, credentials=password()) as client:
        with pytest.raises(ProxyFailed, match=r"\(401\)") as caught:
            await client.stat_manifest(TEAM, TAG)
    assert caught.value.reason is Reason.AUTH
    assert len(proxy.asked) == 1


async def test_a_login_that_is_missing_is_told(proxy: ForwardProxy) -> None:
    anonymous = ProxySettings(url=proxy.url)
    proxy.login = ("mirror", "another-canary")
    async with client_for(_SECURE, proxy=anonymous) as client:
        with pytest.raises(ProxyFailed, match=r"it asks for a user name and password \(407\)"):
            await client.ping()


async def test_a_password_of_the_proxy_that_cannot_be_read_is_told(proxy: ForwardProxy, tmp_path: Path) -> None:
    file = tmp_path / "password"
    settings = ProxySettings(url=proxy.url, username="mirror", password_file=Secret.of_file(file))
    async with client_for(_SECURE, proxy=settings) as client:
        with pytest.raises(ProxyFailed, match=rf"its password cannot be read: the file {file}") as caught:
            await client.ping()
    assert (caught.value.reason, caught.value.temporary) == (Reason.AUTH, True)


@pytest.mark.parametrize("url", [_PLAIN, _SECURE])
async def test_a_proxy_that_is_down_is_named(url: str) -> None:
    port = Port()
    settings = ProxySettings(url=f"http://127.0.0.1:{port.number}")
    try:
        async with client_for(url, proxy=settings) as client:
            with pytest.raises(
                ProxyFailed, match=rf"{settings.url}: it cannot be reached \(Connect call failed"
            ) as caught:
                await client.ping()
    finally:
        port.release()
    assert (caught.value.reason, caught.value.temporary) == (Reason.NETWORK, True)


async def test_a_proxy_whose_name_nobody_knows_is_named() -> None:
    async with client_for(_SECURE, proxy=ProxySettings(url="http://proxy.invalid:3128")) as client:
        with pytest.raises(ProxyFailed, match=r"http://proxy.invalid:3128: its name has no address"):
            await client.ping()


@pytest.mark.parametrize("upload", [False, True])
async def test_s21_a_proxy_that_never_answers_is_a_timeout(proxy: ForwardProxy, *, upload: bool) -> None:
    proxy.silent = True
    impatient = Timeouts(connect=0.1, read=0.1, write=5, commit=5)
    async with _client(proxy, _SECURE, timeouts=impatient) as client:
        with pytest.raises(RegistryError, match=rf"through the proxy {proxy.url}: no progress in time") as caught:
            await (client.start_upload(TEAM) if upload else client.ping())
    assert (caught.value.reason, caught.value.temporary) == (Reason.TIMEOUT, True)


async def test_an_answer_that_is_cut_tells_of_the_proxy_on_the_way(proxy: ForwardProxy, script: Script) -> None:
    proxy.hosts["registry.test:80"] = script.host
    script.on("GET", BLOB_PATH, Say(200, {"Content-Length": str(len(DATA) + 1), "Connection": "close"}, DATA))
    longer = Descriptor(BLOB.media_type, BLOB.digest, len(DATA) + 1)
    async with _client(proxy, _PLAIN) as client:
        with pytest.raises(RegistryError, match=rf"failed through the proxy {proxy.url}: the answer was cut short"):
            await read_blob(client, longer)


async def test_a_certificate_inside_the_tunnel_is_the_registrys(proxy: ForwardProxy, authority: trustme.CA) -> None:
    async with _secure(authority) as script:
        proxy.hosts["registry.test:443"] = script.host
        async with _client(proxy, _SECURE) as client:
            with pytest.raises(RegistryError, match="the certificate is not trusted") as caught:
                await client.ping()
    assert caught.value.reason is Reason.TLS
    assert not isinstance(caught.value, ProxyFailed)


async def test_s13_a_proxy_spoken_to_by_tls_has_its_own_trust_and_sees_no_client_certificate(
    authority: trustme.CA, trust: Tls, tmp_path: Path
) -> None:
    """It asks clients for a certificate and would take none of the registry's: it is shown none."""
    own, clients = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.issue_cert("127.0.0.1").configure_cert(context)
    own.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    tls = Tls(
        ca_file=trust.ca_file,
        cert_file=write_certificate(clients.issue_cert("mirror.test"), tmp_path / "client.pem"),
    )
    async with _secure(authority, clients=clients) as script, run_forward_proxy(tls=context) as proxy:
        proxy.hosts["registry.test:443"] = script.host
        trusted = ProxySettings(url=proxy.url, ca_file=write_authority(own, tmp_path / "proxy-ca.pem"))
        async with client_for(_SECURE, proxy=trusted, tls=tls) as client:
            await client.ping()
            await client.read_manifest(TEAM, TAG)
        assert proxy.tunnels == ["registry.test:443"]
        lenient = Tls(insecure_skip_verify=True)
        async with client_for(_SECURE, proxy=ProxySettings(url=proxy.url), tls=lenient) as client:
            with pytest.raises(ProxyFailed, match="its own certificate is not trusted") as caught:
                await client.ping()
    assert caught.value.reason is Reason.TLS


@pytest.mark.parametrize(
    "host",
    ["metadata.google.internal", "localhost", "database", "nas.local", "0x7f000001", "127.1", "10.0.0.1", "[::1]"],
)
async def test_s3_a_redirect_inside_is_refused_where_the_proxy_looks_names_up(
    proxy: ForwardProxy, script: Script, host: str
) -> None:
    proxy.hosts["registry.test:80"] = script.host
    script.on("GET", BLOB_PATH, Say(307, {"Location": f"http://{host}/secret"}))
    async with _client(proxy, _PLAIN) as client:
        with pytest.raises(
            RegistryError, match=r"is refused: its (address is private|name is one of an inner network)"
        ):
            await read_blob(client)
    assert len(proxy.asked) == 1


async def test_s3_an_inner_name_that_the_operator_wrote_is_asked_for(proxy: ForwardProxy, script: Script) -> None:
    proxy.hosts |= {"registry:80": script.host, "storage.internal:9000": script.host}
    script.on("GET", BLOB_PATH, Say(307, {"Location": "http://storage.internal:9000/blob"}))
    script.on("GET", "/blob", Say(200, {}, DATA))
    async with _client(proxy, "http://registry", redirect_allow=("storage.internal:9000",)) as client:
        assert await read_blob(client) == DATA


async def test_s3_a_redirect_to_the_proxy_itself_is_refused(proxy: ForwardProxy, script: Script) -> None:
    proxy.hosts["registry.test:80"] = script.host
    script.on("GET", BLOB_PATH, Say(307, {"Location": f"{proxy.url}/manager"}))
    async with _client(proxy, _PLAIN) as client:
        with pytest.raises(RegistryError, match="is refused: that is a proxy"):
            await read_blob(client)
    assert len(proxy.asked) == 1


async def test_s5_a_page_of_a_tunnelled_registry_is_its_own(
    proxy: ForwardProxy, authority: trustme.CA, trust: Tls
) -> None:
    async with _secure(authority) as script:
        proxy.hosts["registry.test:443"] = script.host
        script.on("HEAD", _MANIFEST, Say(502, {"Content-Type": "text/html"}))
        async with _client(proxy, _SECURE, tls=trust) as client:
            with pytest.raises(RegistryError, match="was answered 502") as caught:
                await client.stat_manifest(TEAM, TAG)
    assert (caught.value.reason, caught.value.status) == (Reason.SERVER_ERROR, 502)
