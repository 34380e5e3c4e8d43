"""Commands of the program run beside a site, with the site's own configuration."""

import json
from pathlib import Path

import anyio.to_thread
import yaml
from click.testing import CliRunner, Result

from replicator.cli.main import main
from tests.integration.site import Site


async def command(site: Site, *arguments: str) -> Result:
    """Run a command in a thread of its own."""
    config = Path(site.config["webhooks"]["endpoints"][0]["auth"]["bearer_token_file"]).with_name("commands.yaml")
    config.write_text(yaml.safe_dump(site.config))
    return await anyio.to_thread.run_sync(CliRunner().invoke, main, ["-c", str(config), *arguments])


async def copied(site: Site, ref: str, *replicas: str) -> list[str]:
    """Run `copy`, which must end well, and return the results."""
    named = [word for name in replicas for word in ("--replica", name)]
    result = await command(site, "copy", ref, *named, "--json")
    assert result.exit_code == 0, result.output
    return [one["result"] for one in json.loads(result.stdout)["copies"]]
