"""What sweeps learn of webhooks on their way to the store."""

from pathlib import Path

import pytest

from replicator.errors import StoreError
from replicator.model import Digest, Intent, IntentKey, Repository, Tag
from replicator.store.sqlite import SqliteStore
from replicator.sweep.activity import Activity, WatchedSink
from tests.support.fake_clock import FakeClock

APP = Repository("team/app")
STARTED = 1_700_000_000.0


async def opened(folder: Path, clock: FakeClock, activity: Activity) -> tuple[SqliteStore, WatchedSink]:
    store = await SqliteStore.open(folder / "replicator.db", clock=clock)
    return store, WatchedSink(store, activity, clock)


async def test_active_repositories_and_gaps_are_told_once(tmp_path: Path) -> None:
    clock, activity = FakeClock(STARTED), Activity(STARTED)
    assert (activity.take_gap(), activity.take_gap()) == (STARTED, None), "the time before the start"
    key = IntentKey("eu", APP, Tag("v1"))
    intent = Intent(key=key, digest=Digest.of(b"a"), since=STARTED, due_at=STARTED)
    store, sink = await opened(tmp_path, clock, activity)
    clock.advance(5)
    await sink.record([intent])
    assert (activity.drain(), activity.drain()) == ({APP: STARTED + 5}, {})
    await store.close()
    for _ in range(3):
        clock.advance(10)
        with pytest.raises(StoreError):
            await sink.record([intent])
    assert (activity.take_gap(), activity.drain()) == (None, {}), "it has not ended"
    store, sink = await opened(tmp_path, clock, activity)
    await sink.record([intent])
    assert (activity.take_gap(), activity.take_gap()) == (STARTED + 15, None)
    await store.close()
