"""Robots and tokens of GHCR, Quay, Harbor and GitLab, as the guide writes them, at token services built as theirs.

What tells these apart is where tokens are fetched, what the service calls itself, which names it gives to accounts
and that it does not say how long a token lives. The service checks what it is sent; a real Distribution its tokens.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from replicator.errors import AccessDenied
from replicator.model import Repository, Tag
from replicator.registry.client import open_registry
from replicator.settings.load import load
from tests.support.fake_clock import FakeClock
from tests.support.images import make_image, push
from tests.support.token_server import User, run_auth_registry

_GUIDE = Path(__file__).parents[2] / "docs" / "logins.md"
_TEAM = Repository("org/team/app")


@dataclass(frozen=True, slots=True)
class _Service:
    """`user` as the guide has it, `shown` how; `lifetime_told` as these services do."""

    user: str
    shown: str
    service: str
    path: str
    lifetime_told: bool = False


_SERVICES = {
    "ghcr": _Service("anybody", "any `username`", "ghcr.io", "/token"),
    "quay": _Service("org+mirror", "`username: org+mirror`", "quay.io", "/v2/auth"),
    "harbor": _Service(
        "robot$project+mirror", "`robot$project+mirror`", "harbor-registry", "/service/token", lifetime_told=True
    ),
    "gitlab": _Service("gitlab+deploy-token-7", "a deploy token", "container_registry", "/jwt/auth"),
}


@pytest.mark.parametrize("kind", _SERVICES)
async def test_a_robot_reads_with_one_token_for_what_it_reads(kind: str, tmp_path: Path) -> None:
    service, image = _SERVICES[kind], make_image(kind)
    assert service.shown in _GUIDE.read_text()
    robot = User(password="robot-canary", access={"org/*": ("pull",)})
    users = {service.user: robot, "ci": User(password="ci-canary")}
    async with run_auth_registry(tmp_path, users, service=service.service, path=service.path) as where:
        where.tokens.tell_lifetime = service.lifetime_told
        await push(where.registry.url, _TEAM, "v1", image, headers=where.tokens.headers("ci", _TEAM))
        secret = tmp_path / "secret"
        secret.write_text("robot-canary\n")
        config = tmp_path / "replicator.yaml"
        config.write_text(
            f"version: 1\nprimary: {{url: '{where.registry.url}'}}\nreplicas:\n  - name: eu\n"
            f"    url: {where.registry.url}\n    repository_prefix: mirror/\n"
            f"    realm_allow: ['{where.tokens.url.partition('://')[2]}']\n"
            f"    credentials:\n      username: {service.user}\n      password_file: secret\n"
        )
        (replica,) = load(config, {}).replicas
        clock = FakeClock()
        async with open_registry(replica, clock=clock) as client:
            assert (await client.read_manifest(_TEAM, Tag("v1"))).digest == image.digest
            await client.stat_manifest(_TEAM, Tag("v1"))
            (asked,) = where.tokens.requests
            assert (asked.user, asked.service) == (service.user, service.service)
            assert asked.scopes == (f"repository:{_TEAM}:pull",)
            secret.write_text("wrong-canary")
            client.credentials_changed()
            clock.advance(3600)
            with pytest.raises(AccessDenied) as caught:
                await client.read_manifest(_TEAM, Tag("v1"))
            assert "canary" not in f"{caught.value} {caught.value.__cause__}"
