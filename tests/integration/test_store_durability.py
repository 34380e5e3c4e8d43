"""What the store acknowledged is on disk: seen from outside, by the system calls it makes and by killing it (G1)."""

import random
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from replicator.clock import SystemClock
from replicator.errors import StoreError
from replicator.model import Digest, Intent, IntentKey, Repository, Tag
from replicator.store.sqlite import SqliteStore
from tests.support.processes import require_tool

_ROOT = Path(__file__).parents[2]
_CALL = re.compile(r"^(?P<pid>\d+) +(?:<\.\.\. )?(?P<name>\w+)(?: resumed>|\()(?P<rest>.*)$")
_ACK = re.compile(r'1<.*?>, "ack ')
_EVENTS = 60


def sender(database: Path, prefix: str, senders: int, events: int, *more: str) -> list[str]:
    """Return the command of a process that records and prints what is acknowledged."""
    arguments = [str(database), prefix, str(senders), str(events), *more]
    return [sys.executable, "-m", "tests.integration.store_sender", *arguments]


def acknowledged_without_sync(trace: str) -> tuple[int, int]:
    """Return how many acknowledgements a trace shows, and how many of them no sync of the log came before.

    An acknowledgement is a line on standard output. A sync counts when it has returned 0, for one acknowledgement,
    the next; the sender is serial.
    """
    acknowledged = unsynced = 0
    synced = False
    under_way: dict[str, str] = {}
    for line in trace.splitlines():
        call = _CALL.match(line)
        if call is None:
            continue
        rest = call["rest"]
        if rest.endswith("<unfinished ...>"):
            under_way[call["pid"]] = rest
            rest = rest.removesuffix("<unfinished ...>") if call["name"] == "write" else ""
        elif line.split(maxsplit=1)[1].startswith("<..."):
            rest = under_way.pop(call["pid"], "") + rest
            if call["name"] == "write":
                continue  # it counted when it began
        if call["name"] in {"fdatasync", "fsync"}:
            synced = synced or ("replicator.db-wal>" in rest and rest.endswith("= 0"))
        elif _ACK.match(rest):
            acknowledged += 1
            unsynced += not synced
            synced = False
    return acknowledged, unsynced


def traced(tmp_path: Path, *more: str) -> tuple[int, int]:
    """Run a serial sender under strace and judge its trace."""
    log = tmp_path / "trace"
    calls = [require_tool("strace"), "-f", "-y", "-e", "trace=fdatasync,fsync,write", "-o", str(log)]
    command = sender(tmp_path / "state" / "replicator.db", "t", 1, _EVENTS, *more)
    subprocess.run([*calls, *command], cwd=_ROOT, check=True, timeout=60, stdout=subprocess.DEVNULL)
    return acknowledged_without_sync(log.read_text())


def test_f08_every_acknowledgement_comes_after_a_sync_of_its_commit(tmp_path: Path) -> None:
    assert traced(tmp_path) == (_EVENTS, 0)


def test_the_trace_would_show_a_store_that_does_not_sync(tmp_path: Path) -> None:
    """The control: with synchronous=NORMAL the same measurement fails."""
    acknowledged, unsynced = traced(tmp_path, "NORMAL")
    assert acknowledged == _EVENTS
    assert unsynced > _EVENTS / 2


def kill_while_it_writes(database: Path, prefix: str, after: int) -> set[str]:
    """Start eight senders, kill -9 them once `after` acknowledgements were seen, return all that were given."""
    with subprocess.Popen(sender(database, prefix, 8, 1_000_000), cwd=_ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        lines += process.stdout.readlines()
    whole = [line.decode() for line in lines if line.endswith(b"\n")]
    assert all(line.startswith("ack ") for line in whole)
    return {line.split()[1] for line in whole}


async def stored(database: Path) -> set[str]:
    """Return all tags that are owed, through the store, page by page."""
    store = await SqliteStore.open(database, clock=SystemClock())
    found: set[str] = set()
    after: IntentKey | None = None
    while page := await store.rows(replica="eu", after=after, limit=1000):
        found.update(str(row.key.reference) for row in page if row.owed)
        after = page[-1].key
    await store.close()
    return found


async def survive_kills(database: Path, rounds: int) -> None:
    """Kill a writing process again and again and check each time that nothing acknowledged is gone."""
    moments = random.Random(20_26)
    acknowledged: set[str] = set()
    for number in range(rounds):
        acknowledged |= kill_while_it_writes(database, f"r{number}", moments.randrange(1, 600))
        with sqlite3.connect(database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        lost = acknowledged - await stored(database)
        assert not lost, f"round {number}: {len(lost)} of {len(acknowledged)} acknowledged changes are lost"


async def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    await survive_kills(tmp_path / "state" / "replicator.db", 12)


@pytest.mark.prove
@pytest.mark.timeout(1800)
async def test_nothing_acknowledged_is_lost_by_two_hundred_kills(tmp_path: Path) -> None:
    await survive_kills(tmp_path / "state" / "replicator.db", 200)


@contextmanager
def full_disk(largest: int) -> Iterator[None]:
    """Let no file of this process grow beyond `largest` bytes: writes fail as they do on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def change(name: str) -> Intent:
    key = IntentKey("eu", Repository("team/app"), Tag(name))
    return Intent(key=key, digest=Digest.of(name.encode()), since=1.0, due_at=1.0)


async def test_a_full_disk_is_refused_and_the_store_recovers_unaided(tmp_path: Path) -> None:
    database = tmp_path / "state" / "replicator.db"
    store = await SqliteStore.open(database, clock=SystemClock())
    await store.record([change("before")])
    heard: list[IntentKey] = []
    store.listen(heard.extend)
    largest = database.with_name("replicator.db-wal").stat().st_size
    with full_disk(largest):
        for attempt in range(3):
            with pytest.raises(StoreError):
                await store.record([change(f"lost-{attempt}-{number}") for number in range(500)])
        assert not await store.writable()
        assert heard == []
        assert [row.key.reference for row in await store.rows(limit=5)] == ["before"], "reading goes on"
    assert await store.writable()
    await store.record([change("after")])
    assert [key.reference for key in heard] == ["after"]
    await store.close()
    assert await stored(database) == {"before", "after"}
