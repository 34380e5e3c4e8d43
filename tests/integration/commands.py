"""Commands of the program run beside a site, with the site's own configuration."""

import json

import anyio.to_thread
from click.testing import CliRunner, Result

from replicator.cli.main import main
from tests.integration.site import Site


async def command(site: Site, *arguments: str) -> Result:
    """Run a command in a thread of its own."""
    return await anyio.to_thread.run_sync(CliRunner().invoke, main, ["-c", str(site.daemon.config), *arguments])


async def copied(site: Site, ref: str, *replicas: str) -> list[str]:
    """Run `copy`, which must end well, and return the results."""
    named = [word for name in replicas for word in ("--replica", name)]
    result = await command(site, "copy", ref, *named, "--json")
    assert result.exit_code == 0, result.output
    return [one["result"] for one in json.loads(result.stdout)["copies"]]
