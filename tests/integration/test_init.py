"""What `init` prints for Distribution makes a real one deliver to a real daemon, which copies by those accounts."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread
import pytest
import yaml
from click.testing import CliRunner

from replicator.cli.main import main
from tests.integration.site import arrival
from tests.support.daemon import Daemon
from tests.support.images import make_image, push
from tests.support.ports import Port
from tests.support.quick_start import quick_start, run_step
from tests.support.registries import Distribution3, DockerRegistry

# Stands for Apache's program, which is not everywhere: called in the same way, it keeps the password as it is.
_HTPASSWD = """#!/bin/sh
test "$1" = -niB && printf '%s:' "$2" && cat
"""


def _accounts(commands: str, folder: Path) -> dict[str, str]:
    """Run the commands that make an account and return it by name; files of secrets are left in `folder`."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "htpasswd").write_text(_HTPASSWD)
    (programs / "htpasswd").chmod(0o755)
    run_step(commands, folder, environ={"PATH": f"{programs}:{os.environ['PATH']}"})
    user, _, password = (folder / "htpasswd").read_text().partition(":")
    (folder / "htpasswd").unlink()
    return {user: password}


def _login(accounts: Mapping[str, str]) -> dict[str, str]:
    ((user, password),) = accounts.items()
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@pytest.mark.parametrize("kind", [DockerRegistry, Distribution3])
async def test_a_push_arrives_with_nothing_but_what_was_printed(kind: type[DockerRegistry], tmp_path: Path) -> None:
    hooks = Port()
    replica = kind(tmp_path, name="eu")
    primary = kind(tmp_path, name="primary")
    start = quick_start(
        *("--primary", "distribution", "--primary-url", primary.url, "--replica", f"eu={replica.url}"),
        *("--hook-url", f"http://127.0.0.1:{hooks.number}/webhooks/primary"),
    )
    run_step(start.step("Secrets"), tmp_path)
    accounts = _accounts(start.step("read with"), tmp_path)
    primary.options["htpasswd"] = accounts
    replica.options["htpasswd"] = _accounts(start.step("account of eu"), tmp_path)
    primary.options["sections"] = yaml.safe_load(run_step(start.step("The webhook"), tmp_path))
    daemon = Daemon(tmp_path, yaml.safe_load(start.config), preloaded=True)
    try:
        await primary.start()
        await replica.start()
        checked = await anyio.to_thread.run_sync(CliRunner().invoke, main, ["-c", str(daemon.config), "check"])
        assert checked.exit_code == 0, checked.output
        await daemon.start()
        image = make_image("printed", (1_000,))
        await push(primary.url, "team/app", "v1", image, headers=_login(accounts))
        await arrival(replica.url, "team/app", "v1", image.digest, headers=_login(replica.options["htpasswd"] or {}))
    finally:
        await daemon.discard()
        replica.discard()
        primary.discard()
        hooks.release()
