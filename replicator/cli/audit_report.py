"""What `verify` shows: how far it is while it runs, and what it found in the end."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click

from replicator.admin.reference import ref_text
from replicator.audit.findings import OWED, Drift, Finding
from replicator.cli.output import bytes_text, counted, print_json, print_table, printable

SHOWN = 10_000
"""Findings kept for the end; all others are counted."""
Owe = Callable[[Sequence[Finding]], Awaitable[tuple[str, ...]]]
"""Makes findings owed, and returns for each what it became."""
_LOT = 100
_STATES = {"accepted": "owed now", "coalesced": "owed already", "known": "ignored", "": "-"}


class AuditReport:
    """Takes what an audit finds, has it made owed, and keeps what is told in the end."""

    def __init__(self, replicas: Sequence[str], owe: Owe) -> None:
        self._owe = owe
        self._waiting: list[Finding] = []
        self._kinds: dict[str, Counter[str]] = {name: Counter() for name in replicas}
        self._findings: list[tuple[Finding, str]] = []
        self._left_off = 0
        self.references = 0
        self.bytes_read = 0
        self.differing = 0
        self.problem = ""

    @property
    def equal(self) -> bool:
        """Whether nothing was found but extra tags, which a delete that waits may explain."""
        return not self.differing and not self.problem

    def broke_off(self, problem: str) -> None:
        """Note why the list of repositories could not be read to its end."""
        self.problem = problem

    def compared(self, replica: str, finding: Finding | None) -> None:
        """Count one reference of one replica."""
        self.references += 1
        self._kinds[replica]["equal" if finding is None else str(finding.kind)] += 1

    def read(self, count: int) -> None:
        """Count bytes read back."""
        self.bytes_read += count

    async def found(self, finding: Finding) -> None:
        """Take a finding; of what is owed a lot at a time is told."""
        self.differing += finding.kind is not Drift.EXTRA
        if finding.kind not in OWED:
            self._keep(finding, "")
            return
        self._waiting.append(finding)
        if len(self._waiting) >= _LOT:
            await self.settle()

    async def settle(self) -> None:
        """Have all that waits made owed."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            for finding, result in zip(waiting, await self._owe(waiting), strict=True):
                self._keep(finding, result)

    def _keep(self, finding: Finding, result: str) -> None:
        if len(self._findings) < SHOWN:
            self._findings.append((finding, result))
        else:
            self._left_off += 1

    def print_json(self) -> None:
        """Print all of it for programs."""
        document = {
            "equal": self.equal,
            "problem": self.problem or None,
            "bytes_read": self.bytes_read,
            "replicas": [{"replica": name, **_counted(kinds)} for name, kinds in self._kinds.items()],
            "findings": [_document(finding, result) for finding, result in self._findings],
            "left_off": self._left_off,
        }
        print_json(document)

    def print_tables(self) -> None:
        """Print all of it for people."""
        if self._findings:
            headers = ("REPLICA", "REFERENCE", "FOUND", "STATE", "DETAIL")
            print_table(headers, [_row(finding, result) for finding, result in self._findings])
            click.echo()
        if self.problem:
            click.echo(f"Not all was looked at: {printable(self.problem)}")
        if self._left_off:
            click.echo(f"{counted(self._left_off, 'more is', 'more are')} not shown.")
        words = ["equal", *(str(kind) for kind in Drift)]
        rows = [(name, *(str(kinds[word]) for word in words)) for name, kinds in self._kinds.items()]
        print_table(("REPLICA", *(word.upper() for word in words)), rows)
        if self.bytes_read:
            click.echo(f"{bytes_text(self.bytes_read)} read back and hashed.")


def _counted(kinds: Counter[str]) -> dict[str, int]:
    return {"compared": kinds.total(), "equal": kinds["equal"], **{str(kind): kinds[kind] for kind in Drift}}


def _document(finding: Finding, result: str) -> dict[str, Any]:
    return {
        "replica": finding.replica,
        "ref": _ref(finding),
        "found": str(finding.kind),
        "expected": None if finding.expected is None else str(finding.expected),
        "held": None if finding.held is None else str(finding.held),
        "lacks": [
            {"digest": str(lack.digest), "part": str(lack.part), "fault": str(lack.fault)} for lack in finding.lacks
        ],
        "problem": finding.problem,
        "result": result or None,
    }


def _row(finding: Finding, result: str) -> tuple[str, ...]:
    return finding.replica, _ref(finding), str(finding.kind), _STATES[result], _detail(finding)


def _detail(finding: Finding) -> str:
    if finding.problem or finding.kind is Drift.EXTRA:
        return finding.problem or "the primary has no such tag"
    if finding.lacks:
        first = finding.lacks[0]
        rest = f" and {len(finding.lacks) - 1} more" if finding.lacks[1:] else ""
        return f"{first.part} {first.digest}: {first.fault}{rest}"
    return f"{finding.held or 'nothing'} instead of {finding.expected}"


def _ref(finding: Finding) -> str:
    if finding.reference is None:
        return finding.repository
    return ref_text(finding.repository, finding.reference)
