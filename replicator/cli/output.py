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

from replicator.admin.wording import counted, printable, seconds_text

__all__ = ["bytes_text", "counted", "print_json", "print_table", "printable", "seconds_text"]
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


def bytes_text(count: int) -> str:
    """Return bytes in the largest unit that gives at least one: `512B`, `1.5MiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < _KIB:
            return f"{size:.0f}{unit}" if unit == "B" else f"{size:.1f}{unit}"
        size /= _KIB
    return f"{size:.1f}TiB"
