"""Google Artifact Registry's login: the real SDK, an emulation of Google's token services, a real registry."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from replicator.errors import AccessDenied
from replicator.model import Repository, Tag
from replicator.registry.client import RegistryClient, open_registry
from replicator.settings.credentials import Credentials
from replicator.settings.registries import ReplicaSettings
from tests.integration.site import arrival, run_site
from tests.support.fake_clock import FakeClock
from tests.support.google import Google, run_google
from tests.support.images import make_image, push
from tests.support.token_server import AuthRegistry, User, run_auth_registry

_TEAM = Repository("project/images/app")
_IMAGE = make_image("image")
_USER = "oauth2accesstoken"


@dataclass(frozen=True, slots=True)
class Cloud:
    """Google, and a registry that takes the newest of its tokens as a password."""

    google: Google
    registry: AuthRegistry
    key: Path

    @property
    def allow(self) -> list[str]:
        """Where the token server is: not at the registry itself, as Google's is."""
        return [self.registry.tokens.url.partition("://")[2]]

    def client(self, clock: FakeClock, **gcp: Any) -> RegistryClient:
        """Return a client of the registry with these settings under `gcp`."""
        credentials = Credentials.model_validate({"gcp": gcp})
        url = self.registry.registry.url
        settings = ReplicaSettings(name="eu", url=url, credentials=credentials, realm_allow=tuple(self.allow))
        return open_registry(settings, clock=clock)


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    """Run both, with an image in the registry."""
    async with contextlib.AsyncExitStack() as stack:
        google = await stack.enter_async_context(run_google())
        users = {_USER: User(password="none yet"), "ci": User(password="ci-canary")}
        registry = await stack.enter_async_context(run_auth_registry(tmp_path, users))

        def issue(token: str) -> None:
            registry.tokens.users = users | {_USER: User(password=token)}

        google.issue = issue
        await push(registry.registry.url, _TEAM, "v1", _IMAGE, headers=registry.tokens.headers("ci", _TEAM))
        yield Cloud(google, registry, google.write_key(tmp_path / "key.json"))


async def _reads(client: RegistryClient) -> bool:
    return (await client.read_manifest(_TEAM, Tag("v1"))).digest == _IMAGE.digest


async def test_a_key_of_a_service_account(cloud: Cloud) -> None:
    clock = FakeClock()
    async with cloud.client(clock, key_file=str(cloud.key)) as client:
        assert await _reads(client)
        clock.advance(50 * 60)
        assert await _reads(client)
        assert cloud.google.asked == ["assertion"]
        clock.advance(5 * 60)
        assert await _reads(client)
    assert cloud.google.asked == ["assertion"] * 2


async def test_the_identity_of_the_machine(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    host = cloud.google.url.partition("://")[2]
    monkeypatch.setenv("GCE_METADATA_HOST", host)
    monkeypatch.setenv("GCE_METADATA_IP", host)
    async with cloud.client(FakeClock()) as client:
        assert await _reads(client)
    assert cloud.google.asked == ["metadata"]


async def test_a_key_that_was_withdrawn(cloud: Cloud) -> None:
    cloud.google.refusal = 400
    async with cloud.client(FakeClock(), key_file=str(cloud.key)) as client:
        with pytest.raises(AccessDenied, match="Google gave no token") as caught:
            await _reads(client)
    assert not caught.value.temporary
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"


async def test_a_replica_that_a_service_account_writes_to(cloud: Cloud, tmp_path: Path) -> None:
    section = {
        "name": "eu",
        "url": cloud.registry.registry.url,
        "credentials": {"gcp": {"key_file": str(cloud.key)}},
        "realm_allow": cloud.allow,
    }
    image = make_image("pushed", (100_000,))
    async with run_site(tmp_path, replicas=(), sections={"replicas": [section]}) as site:
        await push(site.primary.url, _TEAM, "v2", image)
        reading = cloud.registry.tokens.headers("ci", _TEAM)
        await arrival(cloud.registry.registry.url, _TEAM, "v2", image.digest, headers=reading)
        assert [line for line in site.daemon.log_lines() if "canary" in str(line)] == []
