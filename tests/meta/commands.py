"""The commands of the program, as the command line finds them."""

import click

from replicator.cli.main import main


def commands() -> dict[str, click.Command]:
    """Return every command that does something by its words, as in `config check`."""
    return _within(click.Context(main), main, "")


def _within(context: click.Context, group: click.Group, prefix: str) -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= _within(context, command, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = command
    return found
