"""How far a sync is shown to be: bars on a terminal, lines elsewhere."""

import io
import json
import sys
from typing import Any

import pytest

from replicator.admin.documents import SyncDocument, SyncedReplica
from replicator.cli.sync_display import LINES_EVERY, display
from replicator.settings.schema import Log
from tests.support.fake_clock import FakeClock
from tests.support.logging_state import logging_as_before

LOG = Log.model_validate({"level": "info", "format": "auto"})
MIB = 1024 * 1024


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def sync(settled: int, sent: int, *, searched: bool = True) -> SyncDocument:
    replica = SyncedReplica(
        replica="eu",
        complete=False,
        found=4,
        settled=settled,
        failed=0,
        put=settled,
        bytes_to_send=8 * MIB,
        bytes_sent=sent,
        bytes_mounted=0,
        problem="",
    )
    return SyncDocument(
        id="1",
        complete=False,
        searched=searched,
        ended=False,
        repositories=1,
        replicas=[replica],
        failed=[],
        problems=[],
        refused="",
    )


def test_a_terminal_is_shown_bytes_and_references(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with logging_as_before(), display(LOG, FakeClock()) as shown:
        shown.update(sync(1, 2 * MIB, searched=False))
        shown.update(sync(3, 6 * MIB))
    text = terminal.getvalue()
    assert "eu" in text
    assert "6.0/8.0 MiB" in text
    assert "3 of 4 references" in text


def test_elsewhere_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, clock = io.StringIO(), FakeClock()
    monkeypatch.setattr(sys, "stderr", stream)
    with logging_as_before(), display(LOG, clock) as shown:
        shown.update(sync(0, 0))
        clock.advance(LINES_EVERY)
        shown.update(sync(1, 4 * MIB))
        shown.update(sync(1, 4 * MIB))
        clock.advance(LINES_EVERY)
        shown.update(sync(4, 8 * MIB))
    lines: list[dict[str, Any]] = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["settled"], line["bytes_sent"]) for line in lines] == [("sync_progress", 1, 4 * MIB)]
    assert (lines[0]["bytes_per_second"], lines[0]["seconds_left"]) == (round(4 * MIB / LINES_EVERY), 10)
