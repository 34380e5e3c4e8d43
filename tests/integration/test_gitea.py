"""A real Gitea: its webhooks and access tokens by what `init` prints, and Gitea as a replica.

It takes minutes to build, so this belongs to the long proof.
"""

import json
import re
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import yaml
from click.testing import CliRunner

from replicator.cli.main import main
from tests.integration.site import arrival
from tests.support.daemon import Daemon
from tests.support.eventually import eventually
from tests.support.gitea import basic, run_gitea
from tests.support.images import fetch_closure, make_image, make_index, push, tag_digest
from tests.support.ports import Port
from tests.support.quick_start import QuickStart, quick_start, run_step
from tests.support.registries import run_registry

pytestmark = pytest.mark.prove

_SCOPES = {"package: Read, nothing else": "read:package", "package: Read and Write": "write:package"}


def scope(step: str) -> str:
    """Return what the printed step says that the token may do, in the words of Gitea's API."""
    (found,) = [scope for words, scope in _SCOPES.items() if words in step]
    return found


def pasted(start: QuickStart, of: str, secret: str, folder: Path) -> None:
    """Do a step that wants a secret pasted."""
    commands, found = re.subn(r"(?m)^(cat > \S+)  # paste it.*$", rf"\1 <<END\n{secret}\nEND", start.step(of))
    assert found == 1
    run_step(commands, folder)


async def checked(daemon: Daemon, *more: str) -> dict[str, Any]:
    """Run `replicator check`, which must find nothing wrong."""
    arguments = ["-c", str(daemon.config), "check", "--json", *more]
    result = await anyio.to_thread.run_sync(CliRunner().invoke, main, arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def test_what_is_pushed_to_gitea_arrives_with_nothing_but_what_was_printed(tmp_path: Path) -> None:
    hooks = Port()
    async with run_gitea(tmp_path) as gitea, run_registry(tmp_path, name="eu") as replica:
        hook_url = f"http://127.0.0.1:{hooks.number}/webhooks/primary"
        start = quick_start(
            *("--primary", "gitea", "--primary-url", gitea.url, "--replica", f"eu={replica.url}"),
            *("--hook-url", hook_url),
        )
        owner = basic("owner", gitea.user("owner"))
        gitea.user("replicator")
        run_step(start.step("Secrets"), tmp_path)
        pasted(start, "read with", gitea.token("replicator", scope(start.step("read with"))), tmp_path)
        pasted(start, "account of eu", "canary-of-nobody", tmp_path)
        config = yaml.safe_load(start.config)
        # This replica is a Distribution that anybody may push to.
        del config["replicas"][0]["credentials"]
        daemon = Daemon(tmp_path, config)
        try:
            await daemon.start()
            target, secret = run_step(start.step("The webhook"), tmp_path).split()
            await gitea.hook(owner, target, secret)
            found = await checked(daemon, "--hook-url", hook_url)
            assert [hook["delivery"] for hook in found["webhooks"]] == ["passed"]

            first, moved = make_image("first"), make_image("moved")
            await push(gitea.url, "owner/app", "v1", first, headers=owner)
            await arrival(replica.url, "owner/app", "v1", first.digest)
            await push(gitea.url, "owner/app", "v1", moved, headers=owner)
            await arrival(replica.url, "owner/app", "v1", moved.digest)
            index = make_index((make_image("amd64"), make_image("arm64")))
            await push(gitea.url, "owner/sub/app", "multi", index, headers=owner)
            await arrival(replica.url, "owner/sub/app", "multi", index.digest)
            await fetch_closure(replica.url, "owner/sub/app", "multi", deep=True)
            # Gitea itself knows tags in lower case alone.
            await push(gitea.url, "owner/app", "V2-RC", first, headers=owner)
            await arrival(replica.url, "owner/app", "v2-rc", first.digest)

            await gitea.ask("DELETE", "/v2/owner/app/manifests/v1", owner)
            await gitea.ask("DELETE", "/api/v1/packages/owner/container/app/v2-rc", owner)
            events = "replicator_webhook_events_total"
            await eventually(
                lambda: daemon.metric(events) >= 9, within=20, what="seven pushes and two deletes are told"
            )
            scrape = daemon.metrics()
            assert scrape.value(events, result="unparsable") == 0
            assert scrape.value(events, result="unauthorized") == 1, "the one without a secret, of check"
            assert await tag_digest(replica.url, "owner/app", "v1") == moved.digest, "deletes are not propagated yet"
        finally:
            await daemon.discard()
            hooks.release()


async def test_images_are_brought_to_gitea_by_an_access_token(tmp_path: Path) -> None:
    hooks = Port()
    async with run_gitea(tmp_path) as gitea, run_registry(tmp_path, name="primary") as primary:
        start = quick_start("--primary", "gitea", "--replica", f"eu={gitea.url}")
        login = basic("replicator", gitea.user("replicator"))
        run_step(start.step("Secrets"), tmp_path)
        pasted(start, "account of eu", gitea.token("replicator", scope(start.step("account of eu"))), tmp_path)
        config = yaml.safe_load(start.config) | {
            "primary": {"url": primary.url},
            "webhooks": {"listen": f"127.0.0.1:{hooks.number}"},
        }
        # A repository of Gitea begins with its owner.
        config["replicas"][0]["repository_prefix"] = "replicator/"
        daemon = Daemon(tmp_path, config)
        try:
            (_, found) = (await checked(daemon))["registries"]
            assert (found["may"], found["catalog"]) == ("push", "yes")
            print(f"Gitea can: {found['capabilities']}")
            await daemon.start()
            image, index = make_image("image", (100_000, 20)), make_index((make_image("amd64"), make_image("arm64")))
            await push(primary.url, "team/app", "v1", image)
            await push(primary.url, "team/app", "multi", index)
            for tag, content in (("v1", image), ("multi", index)):
                command = ["-c", str(daemon.config), "copy", f"team/app:{tag}"]
                result = await anyio.to_thread.run_sync(CliRunner().invoke, main, command)
                assert result.exit_code == 0, result.output
                await arrival(gitea.url, "replicator/team/app", tag, content.digest, headers=login)
                await fetch_closure(gitea.url, "replicator/team/app", tag, deep=True, headers=login)
        finally:
            await daemon.discard()
            hooks.release()
