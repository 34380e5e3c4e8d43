"""How far an audit is: one line that moves on a terminal, else a line every ten seconds, on stderr."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from replicator.cli.audit_report import AuditReport
from replicator.cli.output import bytes_text, counted
from replicator.clock import Clock

_REDRAWN_EVERY = 0.5
_LINE_EVERY = 10.0


@asynccontextmanager
async def shown_progress(report: AuditReport, clock: Clock) -> AsyncIterator[None]:
    """Show it while the block runs."""
    async with anyio.create_task_group() as group:
        group.start_soon(_draw if sys.stderr.isatty() else _write, report, clock)
        try:
            yield
        finally:
            group.cancel_scope.cancel()


async def _draw(report: AuditReport, clock: Clock) -> None:
    rate = _Rate(clock)
    with Live(console=Console(file=sys.stderr), transient=True, auto_refresh=False) as live:
        while True:
            live.update(Text(_text(report, rate)), refresh=True)
            await clock.sleep(_REDRAWN_EVERY)


async def _write(report: AuditReport, clock: Clock) -> None:
    rate = _Rate(clock)
    while True:
        await clock.sleep(_LINE_EVERY)
        click.echo(_text(report, rate), err=True)


class _Rate:
    """Bytes a second since it was last asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = clock.monotonic()
        self._count = 0

    def since(self, count: int) -> float:
        now = self._clock.monotonic()
        seconds, moved = now - self._at, count - self._count
        self._at, self._count = now, count
        return moved / seconds if seconds > 0 else 0.0


def _text(report: AuditReport, rate: _Rate) -> str:
    differing = counted(report.differing, "differs", "differ")
    text = f"{counted(report.references, 'reference')} compared, {differing}"
    moved = rate.since(report.bytes_read)
    if report.bytes_read:
        text += f", {bytes_text(report.bytes_read)} read ({bytes_text(int(moved))}/s)"
    return text
