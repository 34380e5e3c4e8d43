"""Who may use the state directory, and who may read it."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from replicator.errors import StoreError
from replicator.store.connections import open_reader
from replicator.store.lock import StateLock
from replicator.store.sqlite import SqliteStore
from tests.support.fake_clock import FakeClock

_HOLD = """
import sys, pathlib
from replicator.store.lock import StateLock
lock = StateLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_second_store_on_the_same_directory_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    database = tmp_path / "state" / "replicator.db"
    first = await SqliteStore.open(database, clock=FakeClock())
    with pytest.raises(StoreError, match=rf"in use by pid {os.getpid()}$"):
        await SqliteStore.open(database, clock=FakeClock())
    assert first.healthy()
    await first.close()
    second = await SqliteStore.open(database, clock=FakeClock())
    await second.close()


def test_the_lock_of_another_process_ends_with_it_even_by_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"in use by pid {process.pid}$"):
            StateLock(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        StateLock(tmp_path).release()


async def test_only_the_owner_can_read_what_is_stored(tmp_path: Path) -> None:
    database = tmp_path / "deep" / "state" / "replicator.db"
    before = os.umask(0)
    try:
        store = await SqliteStore.open(database, clock=FakeClock())
    finally:
        os.umask(before)
    assert await store.writable()
    modes = {path.name: path.stat().st_mode & 0o777 for path in database.parent.iterdir()}
    assert modes == dict.fromkeys(["lock", "replicator.db", "replicator.db-wal", "replicator.db-shm"], 0o600)
    assert database.parent.stat().st_mode & 0o777 == 0o700
    await store.close()


async def test_a_database_left_readable_is_made_private(tmp_path: Path) -> None:
    database = tmp_path / "replicator.db"
    database.touch(0o666)
    database.chmod(0o666)
    store = await SqliteStore.open(database, clock=FakeClock())
    await store.close()
    assert database.stat().st_mode & 0o777 == 0o600


async def test_what_is_no_database_is_refused_and_the_lock_given_up(tmp_path: Path) -> None:
    database = tmp_path / "replicator.db"
    database.write_bytes(b"not a database at all, but long enough to look like one" * 100)
    for _ in range(2):
        with pytest.raises(StoreError, match="not a database"):
            await SqliteStore.open(database, clock=FakeClock())
    database.unlink()
    store = await SqliteStore.open(database, clock=FakeClock())
    await store.close()


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="state directory"):
        await SqliteStore.open(tmp_path / "file" / "replicator.db", clock=FakeClock())


async def test_any_file_name_will_do(tmp_path: Path) -> None:
    database = tmp_path / "a?mode=memory#b%20c & d.db"
    store = await SqliteStore.open(database, clock=FakeClock())
    assert await store.writable()
    assert await store.rows() == ()
    await store.close()
    assert database.stat().st_size > 0


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    database = tmp_path / "replicator.db"
    store = await SqliteStore.open(database, clock=FakeClock())
    with closing(open_reader(database)) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("UPDATE state SET epoch = 0")
    await store.close()
