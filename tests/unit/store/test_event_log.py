"""The log of events is bounded on the disk, and costs nobody a commit."""

import sqlite3
from contextlib import closing
from pathlib import Path

from replicator.heard import Heard
from replicator.model import Change, ChangeKind, Digest, Intent, IntentKey, Recorded, Repository, Tag
from replicator.store.event_rows import MOST, TRIM_EVERY
from replicator.store.outcome import Done, Result
from replicator.store.sqlite import SqliteStore
from tests.support.fake_clock import FakeClock

APP, V1 = Repository("team/app"), Tag("v1")
_FILL = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)
INSERT INTO event (repository, reference, told) SELECT 'team/other', x'7631', zeroblob(100) FROM number
"""


class Commits:
    """Counts the commits that wrote."""

    def __init__(self) -> None:
        self.count = 0

    def committed(self, _seconds: float, _operations: int, _delivery: str = "") -> None:
        """See StoreObserver."""
        self.count += 1


def intent(digest: Digest) -> Intent:
    return Intent(key=IntentKey("eu", APP, V1), digest=digest, since=1.0, due_at=1.0)


def heard(digest: Digest) -> Heard:
    change = Change(kind=ChangeKind.PUSH, repository=APP, reference=V1, digest=digest)
    return Heard(change=change, endpoint="primary", at=1.0, made=1)


async def test_the_disk_holds_so_many_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "replicator.db"
    await (await SqliteStore.open(path, clock=FakeClock())).close()
    with closing(sqlite3.connect(path)) as direct, direct:
        direct.execute(_FILL, (MOST + 500,))
    store = await SqliteStore.open(path, clock=FakeClock())
    for number in range(TRIM_EVERY + 1):
        digest = Digest.of(number.to_bytes(2, "big"))
        await store.record([intent(digest)], [heard(digest)])
    newest = await store.events(APP, V1, 1000)
    await store.close()
    assert len(newest) == TRIM_EVERY + 1, "the newest are kept"
    with closing(sqlite3.connect(path)) as direct:
        (count,) = direct.execute("SELECT count(*) FROM event").fetchone()
    assert MOST <= count <= MOST + TRIM_EVERY


async def test_what_is_known_already_causes_no_commit(tmp_path: Path) -> None:
    commits = Commits()
    store = await SqliteStore.open(tmp_path / "replicator.db", clock=FakeClock(), observer=commits)
    digest = Digest.of(b"image")
    await store.record([intent(digest)], [heard(digest)])
    (lease,) = await store.lease("eu", 1, 60.0)
    await store.settle(lease, Done(result=Result.COPIED, digest=digest))
    before = commits.count
    assert await store.record([intent(digest)], [heard(digest)]) == (Recorded.KNOWN,)
    store.overhear([heard(digest)])
    assert len(await store.events(APP, V1, 10)) == 3
    assert commits.count == before
    await store.close()
