"""What all commands share: the configuration file, exit codes, and how errors reach people."""

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import click

from replicator.admin.reference import parse_ref
from replicator.allocator import importing
from replicator.errors import NameInvalid, ReplicatorError, SettingsError
from replicator.model import Reference, Repository
from replicator.settings.load import load
from replicator.settings.schema import Settings


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
    """A group that imports a command when it is called: most need a part of the program only.

    `homes` says which module of this package each stands in. Our errors become a message on stderr and an exit code,
    never a traceback.
    """

    def __init__(self, *args: Any, homes: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._homes = homes

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return sorted(self._homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported now; None where there is none of that name."""
        del ctx
        home = self._homes.get(cmd_name)
        if home is None:
            return None
        name = f"replicator.cli.{home}"
        if name not in sys.modules:
            with importing():
                importlib.import_module(name)
        command: click.Command = getattr(sys.modules[name], cmd_name)
        return command

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


def chosen_replicas(settings: Settings, names: tuple[str, ...], hint: str = "--replica") -> tuple[str, ...]:
    """Return `names` without doubles. Raises click's usage error for a name that is not a replica's."""
    for name in names:
        if settings.replica(name) is None:
            known = ", ".join(replica.name for replica in settings.replicas)
            raise click.BadParameter(f"{name!r} is not a replica; there are {known}", param_hint=hint)
    return tuple(dict.fromkeys(names))
