"""The power is cut at any moment: what was acknowledged is on what is left of the disk.

The system calls of a process that records changes are read one by one. After each sync a file is, on the disk, what
it was then; of what was written later nothing, everything or any part may have got there. From such disks the store
is opened again. That a directory keeps the names of its files is taken for granted. Numbers: docs/faults.md.
"""

import random
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from tests.integration.test_store_durability import sender, stored
from tests.support.processes import require_tool

_ROOT = Path(__file__).parents[2]
_EVENTS = 12
_CALL = re.compile(r"^(?P<pid>\d+) +(?:<\.\.\. )?(?P<name>\w+)(?P<resumed> resumed>)?(?P<rest>.*)$")
_FILE = re.compile(r"\(\d+<(?P<path>[^>]*)>")
_UNLINKED = re.compile(r'\("(?P<path>[^"]*)"')
_WRITE = re.compile(r', "(?P<data>(?:\\x[0-9a-f]{2})*)", \d+, (?P<at>\d+)')
_SYNCS = ("fdatasync", "fsync")
_ACK = re.compile(r'\(1<.*?>, "(?P<data>(?:\\x[0-9a-f]{2})*)", \d+')


@dataclass(slots=True)
class Disk:
    """Each file as it was at its last sync, and what was written to it since then, in order."""

    synced: dict[str, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    later: dict[str, list[tuple[int, bytes | None]]] = field(default_factory=lambda: defaultdict(list))

    def write(self, path: str, at: int, data: bytes | None) -> None:
        """Take a write, or with None that the file is cut to `at` bytes."""
        self.later[path].append((at, data))

    def sync(self, path: str) -> None:
        """Take note that all of the file is on the disk."""
        for change in self.later.pop(path, ()):
            _apply(self.synced[path], *change)

    def forget(self, path: str) -> None:
        """Take note that the file is gone."""
        self.later.pop(path, None)
        self.synced.pop(path, None)

    def left(self, folder: Path, dice: random.Random | None) -> Path:
        """Write into `folder` what is left: nothing that was not synced, or of that what the dice say."""
        folder.mkdir()
        for path in self.synced.keys() | self.later.keys():
            content = bytearray(self.synced[path])
            for change in self.later[path]:
                if dice is not None and dice.random() < 0.5:
                    _apply(content, *change)
            (folder / Path(path).name).write_bytes(content)
        return folder / "replicator.db"


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
        return
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _text(escaped: str) -> str:
    return bytes.fromhex(escaped.replace("\\x", "")).decode(errors="replace")


def _whole(trace: str) -> Iterator[tuple[str, str, bool]]:
    """Yield name and rest of each call as it begins, and of syncs as they end; whether it has ended."""
    under_way: dict[str, str] = {}
    for line in trace.splitlines():
        call = _CALL.match(line)
        if call is None:
            continue
        rest, begun = call["rest"], call["resumed"] is None
        if not begun:
            rest = under_way.pop(call["pid"], "") + rest
        elif rest.endswith("<unfinished ...>"):
            under_way[call["pid"]] = rest
        if begun or call["name"] in _SYNCS:
            yield call["name"], rest, rest.endswith("= 0")


def _moments(trace: str, folder: Path) -> Iterator[tuple[str, Disk]]:
    """Yield each acknowledgement, a line on standard output, as it is given, with the disk of that moment."""
    disk = Disk()
    for name, rest, ended in _whole(trace):
        said = _ACK.match(rest) if name == "write" else None
        if said is not None:
            word, tag = _text(said["data"]).split()
            assert word == "ack", word
            yield tag, disk
            continue
        file = _UNLINKED.match(rest) if name == "unlink" else _FILE.match(rest)
        path = _text(file["path"]) if file else ""
        if not path.startswith(f"{folder}/") or path.endswith("-shm"):
            continue
        if name == "pwrite64":
            written = _WRITE.search(rest)
            assert written is not None, rest[:200]
            disk.write(path, int(written["at"]), bytes.fromhex(written["data"].replace("\\x", "")))
        elif name == "ftruncate":
            disk.write(path, int(rest.partition(", ")[2].partition(")")[0]), None)
        elif name == "unlink":
            disk.forget(path)
        elif name in _SYNCS and ended:
            disk.sync(path)


async def _lost(tmp_path: Path, *more: str, seed: int = 8) -> int:
    """Record changes, cut the power at every fourth acknowledgement, and return how many of them are lost in all.

    The `seed` decides what of the rest got to the disk.
    """
    state, log = tmp_path / "state", tmp_path / "trace"
    calls = "trace=pwrite64,ftruncate,unlink,write,fdatasync,fsync"
    strace = [require_tool("strace"), "-f", "-y", "-xx", "-s", "200000", "-e", calls, "-o", str(log)]
    await anyio.run_process([*strace, *sender(state / "replicator.db", "t", 1, _EVENTS, *more)], cwd=_ROOT)
    dice = random.Random(seed)
    acknowledged: set[str] = set()
    lost = 0
    for number, (tag, disk) in enumerate(_moments(log.read_text(), state)):
        acknowledged.add(tag)
        for how in (None, dice) if number % 4 == 0 else ():
            database = disk.left(tmp_path / f"left-{number}-{how is None}", how)
            lost += len(acknowledged - await stored(database))
            with sqlite3.connect(database) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            connection.close()
    assert len(acknowledged) == _EVENTS
    return lost


async def test_f08_what_was_acknowledged_is_there_after_the_power_is_cut(tmp_path: Path) -> None:
    assert await _lost(tmp_path) == 0


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(20))
async def test_it_is_there_whatever_else_got_to_the_disk(seed: int, tmp_path: Path) -> None:
    assert await _lost(tmp_path, seed=seed) == 0


async def test_what_is_not_synced_would_be_seen_to_be_lost(tmp_path: Path) -> None:
    """The control: with synchronous=NORMAL the same measurement fails."""
    assert await _lost(tmp_path, "NORMAL") > 0


def test_only_what_is_written_to_standard_output_acknowledges() -> None:
    """A compiled module, a page of the database or a line of a log may hold the same bytes."""
    told = _escaped("ack t-1\n")
    trace = [
        f'7 write(3<{_escaped("/tmp/__pycache__/a.pyc")}>, "{_escaped("stack ")}", 6) = 6',
        f'7 write(11<{_escaped("/tmp/state/replicator.db")}>, "{told}", 8) = 8',
        f'7 write(2<{_escaped("pipe:[2]")}>, "{told}", 8) = 8',
        f'7 write(1<{_escaped("pipe:[1]")}>, "{_escaped("ack t-2")}", 8 <unfinished ...>',
        "7 <... write resumed>) = 8",
        f'7 write(1<{_escaped("/dev/null")}<char 1:3>>, "{_escaped("ack t-3")}", 8) = 8',
    ]
    assert [tag for tag, _ in _moments("\n".join(trace), Path("/tmp/state"))] == ["t-2", "t-3"]


def _escaped(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())
