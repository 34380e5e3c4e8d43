"""Registries behind a real token server, as primary and as replica; a wrong password is one clear error, no storm."""

import contextlib
from pathlib import Path
from typing import Any

from tests.integration.events import post_push
from tests.integration.site import arrival, run_site
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, make_image, make_index, push
from tests.support.token_server import AuthRegistry, User, run_auth_registry

_PULLER = User(password="puller-password-canary", access={"*": ("pull",)})
_PUSHER = User(password="pusher-password-canary", access={"*": ("pull", "push")})
_CI = User(password="ci-canary", access={"*": ("pull", "push", "delete")})


def _section(folder: Path, where: AuthRegistry, user: str, password: str) -> dict[str, Any]:
    secret = folder / f"{user}-{len(password)}"
    secret.write_text(password + "\n")
    return {
        "url": where.registry.url,
        "credentials": {"username": user, "password_file": str(secret)},
        "realm_allow": [where.tokens.url.partition("://")[2]],
    }


async def test_primary_and_replica_behind_token_auth(tmp_path: Path) -> None:
    """Pull rights suffice at the primary; a blob in another repository is mounted with rights for both."""
    base = make_image("base", (500_000,)).layers[0]
    first = make_index([make_image("a", (base, 1_000)), make_image("b", (base, 2_000), platform="linux/arm64")])
    second = make_image("c", (base, 3_000))
    async with contextlib.AsyncExitStack() as stack:
        users = {"puller": _PULLER, "pusher": _PUSHER, "ci": _CI}
        primary = await stack.enter_async_context(run_auth_registry(tmp_path, users, name="auth-primary"))
        replica = await stack.enter_async_context(run_auth_registry(tmp_path, users, name="auth-replica"))
        sections = {
            "primary": _section(tmp_path, primary, "puller", _PULLER.password),
            "replicas": [{"name": "eu"} | _section(tmp_path, replica, "pusher", _PUSHER.password)],
        }
        site = await stack.enter_async_context(run_site(tmp_path, replicas=(), notifies=False, sections=sections))
        for repository, content in (("team/app", first), ("team/other", second)):
            pushing = primary.tokens.headers("ci", repository)
            await push(primary.registry.url, repository, "v1", content, headers=pushing)
            assert await post_push(site.hook_url, repository, "v1", content.digest) == 202
            reading = replica.tokens.headers("ci", repository)
            await arrival(replica.registry.url, repository, "v1", content.digest, headers=reading)
            await fetch_closure(replica.registry.url, repository, "v1", deep=True, headers=reading)
            await site.settled()
        metrics = site.daemon.metrics()
        assert metrics.value("replicator_deduplicated_bytes_total", replica="eu", how="mounted") == base.size
        assert {request.user for request in primary.tokens.requests} == {"puller"}
        assert not _canaries(site.daemon.log_lines())


async def test_a_token_that_still_lives_is_used_again(tmp_path: Path) -> None:
    image = make_image("short-lived", (200_000, 100_000))
    async with contextlib.AsyncExitStack() as stack:
        users = {"pusher": _PUSHER}
        replica = await stack.enter_async_context(run_auth_registry(tmp_path, users, name="auth-replica"))
        sections = {"replicas": [{"name": "eu"} | _section(tmp_path, replica, "pusher", _PUSHER.password)]}
        site = await stack.enter_async_context(run_site(tmp_path, replicas=(), sections=sections))
        await push(site.primary.url, "team/app", "v1", image)
        headers = replica.tokens.headers("pusher", "team/app")
        await arrival(replica.registry.url, "team/app", "v1", image.digest, headers=headers)
        before = len(replica.tokens.requests)
        again = make_image("second", (100_000,))
        await push(site.primary.url, "team/app", "v2", again)
        await arrival(replica.registry.url, "team/app", "v2", again.digest, headers=headers)
        assert len(replica.tokens.requests) == before, "a token that still lives is used again"


async def test_a_wrong_password_is_one_clear_error_and_no_storm(tmp_path: Path) -> None:
    images = [make_image(f"image-{number}") for number in range(10)]
    async with contextlib.AsyncExitStack() as stack:
        replica = await stack.enter_async_context(run_auth_registry(tmp_path, {"pusher": _PUSHER}))
        sections = {"replicas": [{"name": "eu"} | _section(tmp_path, replica, "pusher", "wrong-password-canary")]}
        site = await stack.enter_async_context(run_site(tmp_path, replicas=(), sections=sections))
        for number, image in enumerate(images):
            await push(site.primary.url, "team/app", f"v{number}", image)

        def parked() -> list[dict[str, Any]]:
            return [line for line in site.daemon.log_lines() if line.get("event") == "reference_parked"]

        await eventually(lambda: len(parked()) >= len(images), what="all are parked")
        assert {line["reason"] for line in parked()} == {"auth"}
        assert all("eu" in str(line["error"]) and "401" in str(line["error"]) for line in parked())
        assert len(replica.tokens.requests) <= 5
        failing = "replicator_replica_failing_updates"
        assert site.daemon.metric(failing, replica="eu", reason="auth") == len(images)
        assert not _canaries(site.daemon.log_lines())


def _canaries(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if "canary" in str(line) or "Bearer ey" in str(line)]
