"""What `verify` tells while it runs and in the end."""

import anyio
import pytest

from replicator.audit.findings import Drift, Fault, Finding, Lack, Part
from replicator.cli.audit_progress import shown_progress
from replicator.cli.audit_report import SHOWN, AuditReport
from replicator.model import Digest, Repository, Tag
from tests.support.fake_clock import FakeClock

LAYER = Digest.of(b"layer")


def finding(kind: Drift, number: int = 1) -> Finding:
    lacks = (Lack(LAYER, Part.BLOB, Fault.ABSENT), Lack(Digest.of(b"other"), Part.BLOB, Fault.SIZE))
    return Finding(
        kind=kind,
        replica="eu",
        repository=Repository("team/app"),
        reference=Tag(f"v{number}"),
        lacks=lacks if kind is Drift.INCOMPLETE else (),
        problem="it is down" if kind is Drift.UNREAD else "",
    )


async def test_findings_are_owed_by_the_lot_and_what_could_not_be_read_is_not() -> None:
    lots: list[int] = []

    async def owe(findings: object) -> tuple[str, ...]:
        assert isinstance(findings, list)
        lots.append(len(findings))
        return ("accepted",) * len(findings)

    report = AuditReport(["eu"], owe)
    for number in range(250):
        await report.found(finding(Drift.MISSING, number))
    await report.found(finding(Drift.UNREAD))
    await report.settle()
    assert lots == [100, 100, 50]
    assert not report.equal


async def test_tables_say_what_was_found_and_how_many_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    async def owe(findings: object) -> tuple[str, ...]:
        assert isinstance(findings, list)
        return ("coalesced",) * len(findings)

    report = AuditReport(["eu"], owe)
    report.compared("eu", None)
    report.compared("eu", finding(Drift.INCOMPLETE))
    report.read(3 << 20)
    await report.found(finding(Drift.INCOMPLETE))
    await report.settle()
    for number in range(SHOWN + 1):
        await report.found(finding(Drift.UNREAD, number))
    report.print_tables()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:5] == ["eu", "team/app:v1", "incomplete", "owed", "already"]
    assert lines[1].endswith(f"blob {LAYER}: absent and 1 more")
    assert "2 more are not shown." in lines
    assert lines[-2].split()[:2] == ["eu", "1"]
    assert lines[-1] == "3.0MiB read back and hashed."


async def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()

    async def owe(findings: object) -> tuple[str, ...]:
        del findings
        return ()

    report = AuditReport(["eu"], owe)
    async with shown_progress(report, clock):
        await anyio.wait_all_tasks_blocked()
        report.compared("eu", None)
        report.read(20 << 20)
        clock.advance(10)
        await anyio.wait_all_tasks_blocked()
    assert capsys.readouterr().err == "1 reference compared, 0 differ, 20.0MiB read (2.0MiB/s)\n"
