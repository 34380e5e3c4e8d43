"""Azure Container Registry's logins: the real SDK, an emulation of Entra over HTTPS, a real registry behind it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from replicator.errors import AccessDenied
from replicator.model import Descriptor, Repository, Tag
from replicator.registry.client import RegistryClient, open_registry
from replicator.settings.credentials import Credentials
from replicator.settings.registries import ReplicaSettings
from replicator.settings.secrets import Secret
from tests.integration.site import arrival, run_site
from tests.support.acr import Acr, run_acr
from tests.support.entra import CLIENT, TENANT, Entra, run_entra
from tests.support.fake_clock import FakeClock
from tests.support.images import make_image, push
from tests.support.token_server import User

_TEAM = Repository("team/app")
_USERS = {
    "identity": User(password="unused-canary"),
    "admin": User(password="admin-canary"),
    "mirror-token": User(password="scoped-canary", access={"team/*": ("pull",)}),
    "ci": User(password="ci-canary"),
}
_IMAGE = make_image("image")


@dataclass(frozen=True, slots=True)
class Cloud:
    """Entra, a registry that believes its tokens, and where the certificate and the secret lie."""

    entra: Entra
    acr: Acr
    folder: Path

    def principal(self) -> dict[str, Any]:
        """Return the settings of the service principal; its secret stands in a file."""
        return {
            "identity": "service_principal",
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "client_secret_file": str(self.folder / "client-secret"),
            "authority": self.entra.authority,
        }

    def client(self, clock: FakeClock, **azure: Any) -> RegistryClient:
        """Return a client of the registry with these settings under `azure`."""
        return self.client_with(clock, Credentials.model_validate({"azure": azure}))

    def client_with(self, clock: FakeClock, credentials: Credentials) -> RegistryClient:
        """Return a client of the registry with other credentials."""
        settings = ReplicaSettings(name="eu", url=self.acr.url, credentials=credentials)
        return open_registry(settings, clock=clock)


@pytest.fixture
async def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """Run both, with an image in the registry."""
    (tmp_path / "client-secret").write_text("s-canary\n")
    async with contextlib.AsyncExitStack() as stack:
        entra = await stack.enter_async_context(run_entra(tmp_path))
        acr = await stack.enter_async_context(run_acr(tmp_path, _USERS))
        acr.entra_tokens, acr.holder = entra.issued.__contains__, "identity"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "entra.pem"))
        await push(acr.url, _TEAM, "v1", _IMAGE, headers=acr.tokens.headers("ci", _TEAM))
        yield Cloud(entra, acr, tmp_path)


async def _reads(client: RegistryClient, repository: Repository = _TEAM) -> bool:
    return (await client.read_manifest(repository, Tag("v1"))).digest == _IMAGE.digest


async def test_a_service_principal(cloud: Cloud) -> None:
    cloud.acr.tenant = TENANT
    clock = FakeClock()
    async with cloud.client(clock, **cloud.principal()) as client:
        assert await _reads(client)
        await client.has_blob(Repository("team/other"), Descriptor("application/octet-stream", _IMAGE.digest, 1))
        assert [form["scope"] for form in cloud.acr.grants] == [
            "repository:team/app:pull",
            "repository:team/other:pull",
        ]
        assert {form["refresh_token"] for form in cloud.acr.grants} == {cloud.acr.refresh_tokens[0]}
        clock.advance(70 * 60)
        assert await _reads(client)
        assert len(cloud.acr.grants) == 2, "the access token says itself that it lives 75 minutes"
        assert cloud.acr.exchanges == 1
        clock.advance(2 * 3600)
        assert await _reads(client)
        assert cloud.acr.exchanges == 2, "the refresh token is renewed before it ends"
    assert len(cloud.entra.asked) == 2


async def test_a_rotated_secret_counts(cloud: Cloud) -> None:
    clock = FakeClock()
    async with cloud.client(clock, **cloud.principal()) as client:
        cloud.entra.secret = "new-canary"
        with pytest.raises(AccessDenied, match=r"eu: no login: Microsoft Entra refused .*AADSTS7000215") as caught:
            await _reads(client)
        with pytest.raises(AccessDenied):
            await _reads(client)
        assert len(cloud.entra.asked) == 1, "a refusal is not repeated at once"
        assert not caught.value.temporary
        assert "canary" not in f"{caught.value} {caught.value.__cause__}"
        (cloud.folder / "client-secret").write_text("new-canary\n")
        client.credentials_changed()
        assert await _reads(client)


def _certified(cloud: Cloud) -> dict[str, Any]:
    """Write a client certificate with its key, and return the settings of who shows it."""
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("replicator", key_type=trustme.KeyType.RSA)
    cloud.entra.certificate = issued.cert_chain_pems[0].bytes()
    file = cloud.folder / "client.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(file))
    principal = {key: value for key, value in cloud.principal().items() if key != "client_secret_file"}
    return {**principal, "client_certificate_file": str(file)}


async def test_a_service_principal_by_a_client_certificate(cloud: Cloud) -> None:
    async with cloud.client(FakeClock(), **_certified(cloud)) as client:
        assert await _reads(client)
    (asked,) = cloud.entra.asked
    assert "client_secret" not in asked


async def test_another_certificate_is_refused_and_a_rotated_one_counts(cloud: Cloud) -> None:
    section = _certified(cloud)
    file = cloud.folder / "client.pem"
    right = file.read_bytes()
    _certified(cloud)
    strange, cloud.entra.certificate = file.read_bytes(), right[right.index(b"-----BEGIN CERT") :]
    async with cloud.client(FakeClock(), **section) as client:
        with pytest.raises(AccessDenied, match=r"Microsoft Entra refused .*AADSTS7000215"):
            await _reads(client)
        for broken in (b"canary, no certificate", strange[strange.index(b"-----BEGIN CERT") :]):
            file.write_bytes(broken)
            client.credentials_changed()
            with pytest.raises(AccessDenied, match=r"the file .*client.pem holds no certificate") as caught:
                await _reads(client)
            assert "canary" not in f"{caught.value} {caught.value.__cause__}"
        file.write_bytes(right)
        client.credentials_changed()
        assert await _reads(client)


@pytest.mark.parametrize("client_id", [None, CLIENT])
async def test_a_managed_identity(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, client_id: str | None) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", cloud.entra.metadata)
    async with cloud.client(FakeClock(), identity="managed_identity", client_id=client_id) as client:
        assert await _reads(client)
    assert [asked.get("client_id") for asked in cloud.entra.asked] == [client_id]


async def test_a_machine_without_an_identity(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", cloud.entra.metadata)
    cloud.entra.metadata_status = 400
    async with cloud.client(FakeClock(), identity="managed_identity") as client:
        with pytest.raises(AccessDenied, match="Microsoft Entra gave no token") as caught:
            await _reads(client)
    assert caught.value.temporary
    assert "canary" not in str(caught.value)


async def test_a_workload_identity(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    federated = cloud.folder / "federated"
    federated.write_text("f-canary")
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(federated))
    async with cloud.client(FakeClock(), identity="workload_identity", authority=cloud.entra.authority) as client:
        assert await _reads(client)
    assert [asked["client_assertion"] for asked in cloud.entra.asked] == ["f-canary"]


async def test_a_pod_without_a_workload_identity(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    async with cloud.client(FakeClock(), identity="workload_identity") as client:
        with pytest.raises(AccessDenied, match="Microsoft Entra gave no token"):
            await _reads(client)


async def test_an_identity_without_a_role_at_the_registry(cloud: Cloud) -> None:
    cloud.acr.entra_tokens = lambda _: False
    async with cloud.client(FakeClock(), **cloud.principal()) as client:
        with pytest.raises(AccessDenied, match="AcrPull to read, AcrPush to write"):
            await _reads(client)
    assert cloud.acr.grants == []


async def test_a_refresh_token_that_was_revoked_is_got_anew(cloud: Cloud) -> None:
    clock = FakeClock()
    async with cloud.client(clock, **cloud.principal()) as client:
        assert await _reads(client)
        cloud.acr.refresh_tokens.clear()
        clock.advance(75 * 60)
        with pytest.raises(AccessDenied, match="refused the credentials"):
            await _reads(client)
        clock.advance(6)
        assert await _reads(client)
    assert cloud.acr.exchanges == 2


async def test_a_refresh_token_outlives_trouble_at_entra(cloud: Cloud) -> None:
    """It is renewed early, so that who renews it may be away for a while."""
    clock = FakeClock()
    async with cloud.client(clock, **cloud.principal()) as client:
        assert await _reads(client)
        cloud.acr.exchange_status = 503
        clock.advance(3 * 3600 - 300)
        assert await _reads(client)
        assert cloud.acr.exchanges > 1


@pytest.mark.parametrize(("user", "word"), [("admin", "admin-canary"), ("mirror-token", "scoped-canary")])
async def test_the_admin_account_and_tokens_of_the_registry_are_user_and_password(
    cloud: Cloud, user: str, word: str
) -> None:
    credentials = Credentials(username=user, password_file=Secret.of_text(word))
    clock = FakeClock()
    async with cloud.client_with(clock, credentials) as client:
        assert await _reads(client)
        clock.advance(60 * 60)
        assert await _reads(client)
    assert cloud.acr.grants == [{"user": user, "scope": "repository:team/app:pull"}]
    assert cloud.acr.exchanges == 0


async def test_a_replica_that_a_service_principal_writes_to(cloud: Cloud) -> None:
    """The whole daemon; nothing of the secrets is in its log."""
    section = {"name": "eu", "url": cloud.acr.url, "credentials": {"azure": cloud.principal()}}
    environ = {"REQUESTS_CA_BUNDLE": str(cloud.folder / "entra.pem")}
    image = make_image("pushed", (100_000,))
    async with run_site(cloud.folder, replicas=(), sections={"replicas": [section]}, environ=environ) as site:
        await push(site.primary.url, "team/new", "v1", image)
        reading = cloud.acr.tokens.headers("ci", "team/new")
        await arrival(cloud.acr.url, "team/new", "v1", image.digest, headers=reading)
        secrets = [*cloud.entra.issued, *cloud.acr.refresh_tokens, "canary"]
        assert [line for line in site.daemon.log_lines() if any(one in str(line) for one in secrets)] == []
