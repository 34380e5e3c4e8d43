"""Deliveries that are signed, carry a secret in the URL, or come over TLS: over real sockets, into the real store."""

import base64
import hashlib
import hmac
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from replicator.errors import SettingsError, StoreError
from replicator.heard import Heard
from replicator.intake.server_tls import ServerTls
from replicator.model import Intent, Recorded
from replicator.settings.credentials import EndpointAuth, HmacSha256Auth, QueryAuth, StandardWebhooksAuth
from replicator.settings.schema import Endpoint, WebhookTls
from replicator.settings.secrets import Secret
from replicator.store.sqlite import SqliteStore
from tests.integration.events import post_push
from tests.integration.intake_site import Running, body_of, push, running
from tests.integration.site import HOOK_SECRET, run_site
from tests.support.eventually import eventually
from tests.support.images import make_image
from tests.support.images import push as push_image
from tests.support.logging_state import logging_as_before
from tests.support.ports import Port

KEY = "canary-7f21"
STANDARD_KEY = b"canary key of 24 bytes.."


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with logging_as_before():
        yield


class Full:
    """A sink that cannot commit until it is told that there is room."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.has_room = False

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        if not self.has_room:
            raise StoreError("no space left on device")
        return await self._store.record(intents, heard)

    def overhear(self, heard: Sequence[Heard]) -> None:
        self._store.overhear(heard)

    async def keep_unreadable(self, endpoint: str, reason: str, body: bytes) -> None:
        await self._store.keep_unreadable(endpoint, reason, body)


def endpoints() -> tuple[Endpoint, ...]:
    key = Secret.of_text(KEY)
    encoded = Secret.of_text(f"whsec_{base64.b64encode(STANDARD_KEY).decode()}")
    return (
        Endpoint(path="/signed", name="signed", auth=EndpointAuth(hmac_sha256=HmacSha256Auth(secret_file=(key,)))),
        Endpoint(path="/query", name="query", auth=EndpointAuth(query=QueryAuth(value_file=(key,)))),
        Endpoint(
            path="/standard",
            name="standard",
            auth=EndpointAuth(standard_webhooks=StandardWebhooksAuth(secret_file=(encoded,))),
        ),
    )


def standard(identifier: str, body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    digest = hmac.new(STANDARD_KEY, f"{identifier}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


async def test_a_signed_body_is_taken_and_a_forged_one_leaves_no_trace(tmp_path: Path) -> None:
    body = body_of(push())
    signature = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    async with running(tmp_path, endpoints()) as here:
        forged = await here.send(body_of(push("v2")), "/signed", X_Hub_Signature_256=f"sha256={signature}")
        assert (forged.status, forged.json()) == (401, {"error": "unauthorized"})
        assert (await here.send(b"no json", "/signed")).status == 401
        assert await here.owed() == []
        assert here.events("signed") == {"unauthorized": 2}
        taken = await here.send(body, "/signed", X_Hub_Signature_256=f"sha256={signature}")
        assert taken.status == 202
        assert await here.owed() == ["eu team/app:v1", "us team/app:v1"]


async def test_a_secret_in_the_url_is_asked_for_and_written_down_nowhere(tmp_path: Path) -> None:
    async with running(tmp_path, endpoints()) as here:
        assert (await here.send(body_of(push()), "/query")).status == 401
        assert (await here.send(body_of(push()), "/query?token=canary-wrong")).status == 401
        assert (await here.send(body_of(push()), f"/query?token={KEY}&token={KEY}")).status == 401
        assert (await here.send(body_of(push()), f"/query?token={KEY}")).status == 202
        assert (await here.send(body_of(push()), f"/elsewhere?token={KEY}")).status == 404
        assert "canary" not in here.log.getvalue()
        assert "canary" not in here.metrics.exposition("")[0].decode()


async def test_what_the_store_could_not_keep_may_come_again_and_what_it_kept_counts_once(tmp_path: Path) -> None:
    sinks: list[Full] = []

    def full(store: SqliteStore) -> Full:
        sinks.append(Full(store))
        return sinks[0]

    body = body_of(push())
    async with running(tmp_path, endpoints(), sink=full) as here:
        assert (await here.send(body, "/standard", **standard("msg_1", body))).status == 503
        sinks[0].has_room = True
        assert (await here.send(body, "/standard", **standard("msg_1", body))).status == 202
        again = await here.send(body, "/standard", **standard("msg_1", body))
        assert (again.status, again.json()["accepted"], again.json()["ignored"]) == (200, 0, 1)
        assert here.count("replicator_updates_total", kind="tag") == 2
        assert here.events("standard") == {"unavailable": 1, "accepted": 1, "ignored": 1}


class Certificates:
    """The listener's files, and clients that believe in the authority that signed them."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.folder = folder
        self.authority.cert_pem.write_to_path(folder / "ca.pem")
        self.exchange()

    def exchange(self) -> None:
        """Issue another certificate and put it in place."""
        issued = self.authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(self.folder / "server.key")
        (self.folder / "server.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))

    def settings(self, *, clients: bool = False) -> WebhookTls:
        return WebhookTls(
            cert_file=self.folder / "server.pem",
            key_file=self.folder / "server.key",
            client_ca_file=self.folder / "ca.pem" if clients else None,
        )

    def client(self, known_to: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if known_to is not None:
            known_to.issue_cert("sender.test").configure_cert(context)
        return context


async def status_over_tls(here: Running, context: ssl.SSLContext) -> int:
    url = f"https://127.0.0.1:{here.port}/query?token={KEY}"
    async with aiohttp.ClientSession() as session, session.post(url, data=body_of(push()), ssl=context) as answer:
        return answer.status


@asynccontextmanager
async def secured(tmp_path: Path, tls: ServerTls) -> AsyncIterator[Running]:
    async with running(tmp_path, endpoints(), tls=tls.context) as here:
        yield here


async def test_https_is_spoken_where_certificates_are_named(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    async with secured(tmp_path, ServerTls(certificates.settings())) as here:
        assert await status_over_tls(here, certificates.client()) == 202
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await status_over_tls(here, ssl.create_default_context())
        url = f"http://127.0.0.1:{here.port}/query?token={KEY}"
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(url, data=body_of(push("plain")))
        assert await here.owed() == ["eu team/app:v1", "us team/app:v1"]


async def test_only_senders_with_a_certificate_of_ours_may_connect(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    async with secured(tmp_path, ServerTls(certificates.settings(clients=True))) as here:
        for stranger in (None, trustme.CA()):
            with pytest.raises(aiohttp.ClientError):
                await status_over_tls(here, certificates.client(stranger))
        assert await status_over_tls(here, certificates.client(certificates.authority)) == 202


async def test_a_renewed_certificate_is_shown_and_one_that_does_not_fit_its_key_is_not(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    tls = ServerTls(certificates.settings())
    before = certificates.client()
    async with secured(tmp_path, tls) as here:
        certificates.authority = trustme.CA()
        certificates.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        former_key = (tmp_path / "server.key").read_bytes()
        certificates.exchange()
        key = (tmp_path / "server.key").read_bytes()
        (tmp_path / "server.key").write_bytes(former_key)
        with pytest.raises(SettingsError, match=r"webhooks\.tls: the certificates cannot be used"):
            tls.renew()
        assert await status_over_tls(here, before) == 202
        (tmp_path / "server.key").write_bytes(key)
        tls.renew()
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await status_over_tls(here, before)
        assert await status_over_tls(here, certificates.client()) == 202


@pytest.mark.parametrize("spoil", ["cert", "key", "encrypted"])
def test_certificates_that_cannot_be_used_are_named_at_the_start(tmp_path: Path, spoil: str) -> None:
    certificates = Certificates(tmp_path)
    if spoil == "encrypted":
        key = load_pem_private_key((tmp_path / "server.key").read_bytes(), None)
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary"))
        (tmp_path / "server.key").write_bytes(locked)
    else:
        (tmp_path / {"cert": "server.pem", "key": "server.key"}[spoil]).write_text("nothing of the kind")
    with pytest.raises(SettingsError, match=r"webhooks\.tls: the certificates cannot be used"):
        ServerTls(certificates.settings())


async def test_the_daemon_follows_its_certificate_files(tmp_path: Path) -> None:
    """Without a signal: the next connection is shown what the files hold now."""
    certificates, port = Certificates(tmp_path), Port()
    image = make_image("over tls")
    (tmp_path / "hook").write_text(HOOK_SECRET)
    webhooks = {
        "listen": f"127.0.0.1:{port.number}",
        "tls": {"cert_file": str(tmp_path / "server.pem"), "key_file": str(tmp_path / "server.key")},
        "endpoints": [{"path": "/hook", "auth": {"bearer_token_file": str(tmp_path / "hook")}}],
    }
    url = f"https://127.0.0.1:{port.number}/hook"

    async def status() -> int:
        connector = aiohttp.TCPConnector(ssl=certificates.client())
        async with aiohttp.ClientSession(connector=connector) as session:
            return await post_push(url, "team/app", "v1", image.digest, session=session)

    async with AsyncExitStack() as stack:
        stack.callback(port.release)
        site = await stack.enter_async_context(
            run_site(tmp_path, replicas=("eu",), notifies=False, sections={"webhooks": webhooks})
        )
        await push_image(site.primary.url, "team/app", "v1", image)
        assert await status() == 202
        await site.arrived("team/app", "v1", image.digest)
        certificates.authority = trustme.CA()
        certificates.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await status()
        certificates.exchange()
        await eventually(lambda: site.daemon.events("certificates_renewed"), what="they are looked at", within=20.0)
        assert await status() in {200, 202}
