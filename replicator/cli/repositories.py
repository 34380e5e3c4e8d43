"""The arguments REPO... of commands: names of repositories, and patterns as in rules."""

from collections.abc import Sequence

import click

from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.sweep.selection import Selection


def selected(settings: Settings, arguments: Sequence[str], router: Router) -> Selection:
    """Return which repositories are meant. Raises click's usage error, saying what would be right."""
    swept = () if settings.sweep is None else settings.sweep.repositories
    try:
        return Selection(arguments, swept, router)
    except ValueError as error:
        raise click.BadParameter(f"{' '.join(arguments)}: {error}", param_hint="REPO") from error
