"""Priorities for systemd's journal, which reads them at the beginning of each line of standard error."""

import os
from collections.abc import Mapping
from typing import Final, TextIO

PRIORITIES: Final[Mapping[str, str]] = {
    "critical": "<2>",
    "error": "<3>",
    "warning": "<4>",
    "info": "<6>",
    "debug": "<7>",
}
"""By level, as syslog numbers them (sd-daemon)."""


def leads_to_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Say whether `stream` is the one that systemd connected to the journal, and not a file it was redirected to."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no real file
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def with_priority(line: str, level: str) -> str:
    """Return `line`, each of its lines with the priority of `level`."""
    priority = PRIORITIES[level]
    return "\n".join(priority + part for part in line.split("\n"))
