"""A look at the store from outside: beside whoever has it open, after that, with none; it leaves nothing behind."""

from pathlib import Path

from replicator.clock import SystemClock
from replicator.model import Digest, Repository
from replicator.settings.schema import Store as Where
from replicator.store.glimpse import glimpse
from replicator.store.sqlite import SqliteStore

APP = Repository("team/app")
BLOB = Digest.of(b"blob")


async def seen(path: Path) -> tuple[tuple[Repository, ...], str]:
    async with glimpse(Where(url=f"sqlite:///{path}")) as memory:
        return (await memory.locations("eu", [BLOB])).get(BLOB, ()), memory.problem


async def test_known_blobs_are_seen_beside_a_running_store_and_after_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "replicator.db"
    store = await SqliteStore.open(path, clock=SystemClock())
    await store.remember_blobs("eu", APP, [BLOB])
    assert await seen(path) == ((APP,), "")
    await store.close()
    before = {one.name: one.stat().st_mtime_ns for one in path.parent.iterdir()}
    assert await seen(path) == ((APP,), "")
    assert {one.name: one.stat().st_mtime_ns for one in path.parent.iterdir()} == before


async def test_without_a_store_nothing_is_remembered_and_none_is_made(tmp_path: Path) -> None:
    assert await seen(tmp_path / "state" / "replicator.db") == ((), "")
    assert not (tmp_path / "state").exists()


async def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    path = tmp_path / "replicator.db"
    path.write_bytes(b"no database, however long one looks at it " * 100)
    found, problem = await seen(path)
    assert (found, "not a database" in problem) == ((), True)
