"""Commands of the program run beside a site, with the site's own configuration."""

import json
import subprocess
import sysconfig
from functools import partial
from pathlib import Path

import anyio.to_thread
from click.testing import CliRunner, Result

from replicator.cli.main import main
from tests.integration.site import Site
from tests.support.logging_state import logging_as_before


async def command(site: Site, *arguments: str) -> Result:
    """Run a command in a thread of its own."""
    with logging_as_before():
        return await anyio.to_thread.run_sync(CliRunner().invoke, main, ["-c", str(site.daemon.config), *arguments])


async def copied(site: Site, ref: str, *replicas: str) -> list[str]:
    """Run `copy`, which must end well, and return the results."""
    named = [word for name in replicas for word in ("--replica", name)]
    result = await command(site, "copy", ref, *named, "--json")
    assert result.exit_code == 0, result.output
    return [one["result"] for one in json.loads(result.stdout)["copies"]]


def started(site: Site, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command as a process of its own, so that signals can be sent to it; end it with `finished`."""
    program = Path(sysconfig.get_path("scripts")) / "replicator"
    return subprocess.Popen(
        [program, "-c", site.daemon.config, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


async def finished(process: subprocess.Popen[bytes], *, within: float = 60.0) -> tuple[int, str, str]:
    """Wait until a command has ended; return its exit code and what it printed to stdout and stderr."""
    try:
        out, err = await anyio.to_thread.run_sync(partial(process.communicate, timeout=within))
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out.decode(), err.decode()
