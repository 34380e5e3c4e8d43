"""`replicator run`: the daemon."""

import os
from functools import partial

import anyio
import click

from replicator.cli.invocation import Invocation
from replicator.daemon import run_daemon


@click.command("run")
@click.pass_obj
def run(invocation: Invocation) -> None:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP reads the configuration anew."""
    life = partial(
        run_daemon,
        invocation.settings(),
        config_path=invocation.config,
        load=invocation.settings,
        environ=os.environ,
    )
    anyio.run(life)
