"""Real registries that take only clients with a certificate of their own authority, as primary and as replica."""

import datetime as dt
from pathlib import Path

import pytest
import trustme

from replicator.cli.probe import Finding, probe
from replicator.clock import SystemClock
from replicator.errors import Reason
from replicator.registry.client import open_registry
from replicator.settings.registries import Tls
from replicator.settings.schema import PrimarySettings, ReplicaSettings
from tests.integration.site import arrival, run_site
from tests.support.eventually import eventually
from tests.support.images import make_image, push
from tests.support.tls_registry import run_tls_registry, write_authority, write_certificate

_YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)


async def _found(settings: PrimarySettings | ReplicaSettings) -> Finding:
    clock = SystemClock()
    async with open_registry(settings, clock=clock) as client:
        return await probe(settings, client, clock, patience=20)


@pytest.mark.parametrize("shown", ["none", "a stranger's", "one that has run out"])
async def test_a_certificate_that_is_not_taken_is_told_at_both(tmp_path: Path, shown: str) -> None:
    authority, clients = trustme.CA(), trustme.CA()
    trust = write_authority(authority, tmp_path / "ca.pem")
    certificates = {
        "a stranger's": trustme.CA().issue_cert("mirror.test"),
        "one that has run out": clients.issue_cert("mirror.test", not_after=_YESTERDAY),
    }
    given = certificates.get(shown)
    cert_file = None if given is None else write_certificate(given, tmp_path / "client.pem")
    tls = Tls(ca_file=trust, cert_file=cert_file)
    async with run_tls_registry(tmp_path, authority, clients=clients) as registry:
        url = registry.secure.url
        for settings in (PrimarySettings(url=url, tls=tls), ReplicaSettings(name="eu", url=url, tls=tls)):

            async def advised(settings: PrimarySettings | ReplicaSettings = settings) -> str:
                # Where the machine is busy the line may be cut before the server's reason is read.
                finding = await _found(settings)
                assert not finding.ok
                return finding.advice if "refuses our client certificate, or wants one (" in finding.problem else ""

            assert "set tls.cert_file and tls.key_file" in await eventually(advised, what="the registry's reason")


async def test_the_right_one_is_taken_at_both(tmp_path: Path) -> None:
    authority, clients = trustme.CA(), trustme.CA()
    certificate = clients.issue_cert("mirror.test")
    certificate.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    tls = Tls(
        ca_file=write_authority(authority, tmp_path / "ca.pem"),
        cert_file=tmp_path / "client.pem",
        key_file=tmp_path / "client.key",
    )
    async with run_tls_registry(tmp_path, authority, clients=clients) as registry:
        primary = await _found(PrimarySettings(url=registry.secure.url, tls=tls))
        replica = await _found(ReplicaSettings(name="eu", url=registry.secure.url, tls=tls))
    assert (primary.problem, primary.may) == ("", "pull")
    assert (replica.problem, replica.may) == ("", "push")


async def test_a_rotated_certificate_is_shown_to_both(tmp_path: Path) -> None:
    """The file holds a stranger's first, so nothing can be read or written; then the right one, and all arrives."""
    image, authority, clients = make_image("image"), trustme.CA(), trustme.CA()
    file = write_certificate(trustme.CA().issue_cert("mirror.test"), tmp_path / "client.pem")
    tls = {"ca_file": str(write_authority(authority, tmp_path / "ca.pem")), "cert_file": str(file)}
    async with (
        run_tls_registry(tmp_path, authority, clients=clients, name="from") as primary,
        run_tls_registry(tmp_path, authority, clients=clients, name="to") as replica,
    ):
        sections = {
            "primary": {"url": primary.secure.url, "tls": tls},
            "replicas": [{"name": "eu", "url": replica.secure.url, "tls": tls}],
        }
        async with run_site(tmp_path, replicas=(), sections=sections) as site:
            await push(primary.plain.url, "team/app", "v1", image)
            # The site's own primary tells of the same push.
            await push(site.primary.url, "team/app", "v1", image)
            await eventually(lambda: _reasons(site.daemon.events("reference_failed")) >= {Reason.TLS}, what="refusal")
            right = write_certificate(clients.issue_cert("mirror.test"), tmp_path / "next.pem")
            right.replace(file)
            await arrival(replica.plain.url, "team/app", "v1", image.digest, within=30.0)
            assert len(site.daemon.events("certificates_renewed")) == 1


def _reasons(lines: list[dict[str, object]]) -> set[object]:
    return {line["reason"] for line in lines}
