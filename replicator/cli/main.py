"""The program `replicator`."""

from pathlib import Path

import click

from replicator import __version__
from replicator.cli.check import check
from replicator.cli.configuration import config
from replicator.cli.copy import copy
from replicator.cli.explain import explain
from replicator.cli.ignore import ignore
from replicator.cli.init import init
from replicator.cli.invocation import Commands, Invocation
from replicator.cli.lanes import pause, resume
from replicator.cli.plan import plan
from replicator.cli.retry import retry
from replicator.cli.run import run
from replicator.cli.status import status
from replicator.cli.sync import sync
from replicator.cli.verify import verify
from replicator.cli.wait import wait
from replicator.settings.document import DEFAULT_CONFIG


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="REPLICATOR_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    show_envvar=True,
    help="Configuration file.",
)
@click.version_option(__version__, prog_name="replicator")
@click.pass_context
def main(ctx: click.Context, config: Path) -> None:
    """Keep container registries equal to one that people push to.

    Exit codes: 0 done, 1 it ran and the answer is no, 2 wrong use or a wrong configuration.
    """
    ctx.obj = Invocation(config)


for command in (
    init,
    run,
    check,
    copy,
    plan,
    sync,
    verify,
    status,
    wait,
    explain,
    retry,
    ignore,
    pause,
    resume,
    config,
):
    main.add_command(command)
