"""`replicator run`: the daemon."""

from functools import partial

import anyio
import click

from replicator.cli.invocation import Invocation
from replicator.daemon import run_daemon


@click.command("run")
@click.pass_obj
def run(invocation: Invocation) -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    anyio.run(partial(run_daemon, invocation.settings(), config_path=invocation.config))
