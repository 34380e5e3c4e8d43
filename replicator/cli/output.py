"""How commands print: tables for people, aligned text for pipes, JSON for programs.

Text from registries is printed without control characters, so that it cannot steer a terminal.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KIB = 1024


def print_json(document: Any, *, compact: bool = False) -> None:
    """Print a JSON document; `compact` on one line."""
    click.echo(json.dumps(document, indent=None if compact else 2, ensure_ascii=True))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, else columns apart by two spaces, the last one as long as it is."""
    clean = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        table = Table(*headers, box=box.SIMPLE_HEAD)
        for row in clean:
            table.add_row(*(Text(cell) for cell in row))
        Console(file=sys.stdout).print(table)
        return
    lines = [list(headers), *clean]
    widths = [max(len(line[index]) for line in lines) for index in range(len(headers))]
    for row in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def printable(text: str) -> str:
    """Return `text` on one line, with a question mark for each character that is not plainly printable."""
    return "".join(character if character.isprintable() else "?" for character in text)


def seconds_text(seconds: float) -> str:
    """Return a length of time in two units at most: `0.4s`, `3m12s`, `2h05m`, `1d03h`."""
    if seconds < _MINUTE:
        return "0s" if seconds == 0 else f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR:02}h"


def bytes_text(count: int) -> str:
    """Return bytes in the largest unit that gives at least one: `512B`, `1.5MiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < _KIB:
            return f"{size:.0f}{unit}" if unit == "B" else f"{size:.1f}{unit}"
        size /= _KIB
    return f"{size:.1f}TiB"
