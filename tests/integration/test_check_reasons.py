"""What `check` finds of registries whose TLS, clock or rights are not as they must be, over real sockets."""

import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from replicator.cli.advice import clock_remark
from replicator.cli.clock_readings import ClockReadings
from replicator.cli.probe import Finding, probe
from replicator.clock import SystemClock
from replicator.registry.client import open_registry
from replicator.settings.credentials import Credentials
from replicator.settings.registries import Tls
from replicator.settings.schema import PrimarySettings, ReplicaSettings
from replicator.settings.secrets import Secret
from tests.support.ports import Port
from tests.support.web import serve


async def _probed(settings: PrimarySettings | ReplicaSettings, readings: ClockReadings | None = None) -> Finding:
    clock = SystemClock()
    client = open_registry(settings, clock=clock, observer=readings)
    try:
        return await probe(settings, client, clock, patience=10)
    finally:
        await client.close()


def _registry(*, ahead: float = 0.0, push: int = 202) -> web.Application:
    """Answer as a registry with no content, whose clock is `ahead`, and that answers `push` to uploads."""

    async def answer(request: web.Request) -> web.Response:
        date = {"Date": formatdate(time.time() + ahead, usegmt=True)}
        if request.path == "/v2/":
            return web.json_response({}, headers=date)
        status = push if request.method == "POST" else 404
        return web.json_response({"errors": [{"code": "DENIED"}]}, status=status, headers=date)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    return app


@contextlib.asynccontextmanager
async def _secured(certificate: trustme.LeafCert) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    port, runner = Port(), web.AppRunner(_registry(), access_log=None, shutdown_timeout=0.1)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port.number, ssl_context=context).start()
        yield f"https://127.0.0.1:{port.number}"
    finally:
        await runner.cleanup()
        port.release()


def _trust(authority: trustme.CA, folder: Path) -> Tls:
    file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return Tls(ca_file=file)


async def test_an_authority_that_nobody_knows_is_told() -> None:
    async with _secured(trustme.CA().issue_cert("127.0.0.1")) as url:
        finding = await _probed(PrimarySettings(url=url))
    assert not finding.ok
    assert "certificate is not trusted" in finding.problem
    assert "tls.ca_file" in finding.advice


async def test_a_certificate_for_another_name_is_told(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with _secured(authority.issue_cert("registry.example.com")) as url:
        finding = await _probed(PrimarySettings(url=url, tls=_trust(authority, tmp_path)))
    assert "another name" in finding.advice


async def test_a_registry_that_speaks_plain_http_is_told() -> None:
    async with serve(_registry()) as url:
        finding = await _probed(PrimarySettings(url=url.replace("http:", "https:")))
    assert "http://" in finding.advice


@pytest.mark.parametrize(("ahead", "said"), [(0.0, ""), (120.0, "ahead of"), (-120.0, "behind")])
async def test_a_clock_that_is_wrong_is_told(ahead: float, said: str) -> None:
    readings = ClockReadings()
    async with serve(_registry(ahead=ahead)) as url:
        await _probed(PrimarySettings(url=url), readings)
    told = readings.ahead("primary")
    assert told is not None
    assert abs(told - ahead) < 5
    assert said in clock_remark(told)


async def test_a_missing_right_to_push_is_told_with_its_scope() -> None:
    account = Credentials(username="u", password_file=Secret.of_text("canary"))
    async with serve(_registry(push=403)) as url:
        replica = ReplicaSettings(name="eu", url=url, repository_prefix="mirror/", credentials=account)
        finding = await _probed(replica)
    assert (finding.ok, finding.may) == (False, "not push")
    assert "repository:mirror/replicator-check:pull,push" in finding.advice
    assert "canary" not in finding.problem + finding.advice
