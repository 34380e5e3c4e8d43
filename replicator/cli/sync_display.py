"""How far a sync is, while it runs: bars with bytes, rate and time left on a terminal, log lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from replicator.admin.documents import SyncDocument, SyncedReplica
from replicator.admin.wording import counted
from replicator.clock import Clock
from replicator.observability.logs import configure_logs
from replicator.settings.schema import Log
from replicator.sync.events import SyncEvent

LINES_EVERY = 10.0
"""Seconds between two lines about a replica."""

_log = structlog.get_logger(__name__)


class Display(Protocol):
    """Shows a sync."""

    def update(self, document: SyncDocument) -> None:
        """Show how far it is now."""
        ...


@contextmanager
def display(log: Log, clock: Clock) -> Iterator[Display]:
    """Yield what shows a sync on standard error, where log lines go too; on a terminal only the warnings."""
    if not sys.stderr.isatty():
        configure_logs(log, sys.stderr, clock=clock)
        yield _Lines(clock)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[references]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        # Lines written while the bars stand there go above them: rich has put itself in the place of the stream.
        configure_logs(log.model_copy(update={"level": "warning"}), sys.stderr, clock=clock)
        yield _Bars(progress)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def update(self, document: SyncDocument) -> None:
        for one in document["replicas"]:
            name = one["replica"]
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(name, total=None, references="")
            total = max(one["bytes_to_send"], one["bytes_sent"]) if document["searched"] or one["found"] else None
            self._progress.update(
                self._tasks[name],
                total=total,
                completed=one["bytes_sent"],
                references=_references(one, searched=document["searched"]),
            )


class _Lines:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, tuple[float, int]] = {}
        self._began = clock.monotonic()

    def update(self, document: SyncDocument) -> None:
        now = self._clock.monotonic()
        for one in document["replicas"]:
            at, sent = self._told.get(one["replica"], (self._began, 0))
            if now - at < LINES_EVERY or (document["searched"] and one["settled"] + one["failed"] == one["found"]):
                continue
            self._told[one["replica"]] = (now, one["bytes_sent"])
            rate = (one["bytes_sent"] - sent) / (now - at)
            left = max(0, one["bytes_to_send"] - one["bytes_sent"])
            _log.info(
                SyncEvent.SYNC_PROGRESS,
                replica=one["replica"],
                found=one["found"],
                settled=one["settled"],
                failed=one["failed"],
                bytes_sent=one["bytes_sent"],
                bytes_to_send=one["bytes_to_send"],
                bytes_per_second=round(rate),
                seconds_left=round(left / rate) if rate and document["searched"] else None,
            )


def _references(one: SyncedReplica, *, searched: bool) -> str:
    failed = f", {one['failed']} failed" if one["failed"] else ""
    found = counted(one["found"], "reference") if searched else f"{one['found']}+ references"
    return f"{one['settled']} of {found}{failed}"
