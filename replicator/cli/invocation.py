"""What all commands share: the configuration file, exit codes, and how errors reach people."""

import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import click

from replicator.admin.queries import TIMEOUT_MAX
from replicator.admin.reference import parse_ref
from replicator.errors import NameInvalid, ReplicatorError, SettingsError
from replicator.model import Reference, Repository
from replicator.settings.load import load
from replicator.settings.schema import Settings
from replicator.settings.units import parse_duration


class Exit(IntEnum):
    """How a command ends."""

    DONE = 0
    NO = 1  # it ran, and the answer is no: failed, timed out, differs
    USAGE = 2  # wrong use, or a wrong configuration


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of the program; `config` is the file that `-c` or its defaults name."""

    config: Path

    def settings(self) -> Settings:
        """Return the settings. Raises SettingsError."""
        return load(self.config, os.environ)


class Commands(click.Group):
    """A group that turns our errors into a message on stderr and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            click.echo(str(error), err=True)
            ctx.exit(Exit.USAGE)
        except ReplicatorError as error:
            click.echo(f"replicator: {error}", err=True)
            ctx.exit(Exit.NO)


def ref_argument(settings: Settings, text: str) -> tuple[Repository, Reference]:
    """Return what REF names. Raises click's usage error, saying what would be right."""
    try:
        return parse_ref(text, settings.primary.url)
    except NameInvalid as error:
        raise click.BadParameter(str(error), param_hint="REF") from error


def timeout_option(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Return the seconds of a duration written as the configuration has it; the callback of a --timeout."""
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a duration: write 30s, 5m or 1h", ctx, param) from error
    if seconds > TIMEOUT_MAX:
        raise click.BadParameter(f"{value} is more than {TIMEOUT_MAX:g} s", ctx, param)
    return seconds


def chosen_replicas(settings: Settings, names: tuple[str, ...], hint: str = "--replica") -> tuple[str, ...]:
    """Return `names` without doubles. Raises click's usage error for a name that is not a replica's."""
    for name in names:
        if settings.replica(name) is None:
            known = ", ".join(replica.name for replica in settings.replicas)
            raise click.BadParameter(f"{name!r} is not a replica; there are {known}", param_hint=hint)
    return tuple(dict.fromkeys(names))
