"""The program `replicator`."""

from pathlib import Path

import click

from replicator import __version__
from replicator.cli.invocation import Commands, Invocation
from replicator.settings.document import DEFAULT_CONFIG

_NAMES = ("init", "run", "check", "copy", "plan", "sync", "verify", "status", "wait", "explain", "retry", "ignore")
_HOMES = {name: name for name in _NAMES} | {"pause": "lanes", "resume": "lanes", "config": "configuration"}


@click.group(cls=Commands, homes=_HOMES, context_settings={"help_option_names": ["-h", "--help"]})
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
