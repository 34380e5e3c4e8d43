"""What sweeps learn of webhooks on their way to the store."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from replicator.errors import StoreError
from replicator.model import Digest, Intent, IntentKey, Repository, Tag
from replicator.observability.metrics import Metrics, Scope
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.store.session import Session
from replicator.store.sqlite import SqliteStore
from replicator.store.sweeps import Sweeps
from replicator.sweep.activity import Activity, WatchedSink
from replicator.sweep.examine import Means
from replicator.sweep.repositories import Chosen
from replicator.sweep.schedule import Rhythm
from replicator.sweep.sweeper import Sweeper
from tests.support.fake_clock import FakeClock
from tests.unit.replication.model_catalog import ModelCatalog
from tests.unit.replication.support import ModelRegistry

T = TypeVar("T")

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


def test_of_several_gaps_the_first_counts() -> None:
    activity = Activity(STARTED)
    activity.take_gap()
    for since in (STARTED + 7, STARTED + 5, STARTED + 9):
        activity.missed(since)
    assert (activity.take_gap(), activity.take_gap()) == (STARTED + 5, None)


class Unsteady(SqliteStore):
    """A store that fails once, at the operation of sweeps that comes after so many."""

    fails_after = -1

    async def submit(self, operation: Callable[[Session], T]) -> T:
        """Run an operation, or fail."""
        self.fails_after -= 1
        if self.fails_after == -1:
            raise StoreError("the disk is full")
        return await super().submit(operation)


def sweeper_over(store: SqliteStore, activity: Activity, clock: FakeClock) -> Sweeper:
    settings = Settings.model_validate(
        {
            "version": 1,
            "primary": {"url": "http://primary.example.com"},
            "replicas": [{"name": "eu", "url": "http://eu.example.com"}],
        }
    )
    router, metrics = Router(settings), Metrics(Scope(replicas=("eu",)), clock=clock)
    means = Means(
        primary=ModelCatalog(ModelRegistry("primary")),
        sweeps=Sweeps(store),
        sink=store,
        routes=router,
        scope=router.scope,
        replicas=("eu",),
        counts=metrics.sweeps,
        updates=metrics,
        clock=clock,
    )
    rhythm = Rhythm(every=3600.0, full_every=86400.0)
    return Sweeper(means, chosen=Chosen((), router), rhythm=rhythm, activity=activity, rng=random.Random(1))


@pytest.mark.parametrize("fails_after", range(4))
async def test_what_a_store_that_fails_could_not_be_told_is_told_again(tmp_path: Path, fails_after: int) -> None:
    """A store that failed a moment ago, so that there is a gap, may well fail once more."""
    clock, activity = FakeClock(STARTED), Activity(STARTED)
    store = await Unsteady.open(tmp_path / "replicator.db", clock=clock)
    assert isinstance(store, Unsteady)
    sweeper = sweeper_over(store, activity, clock)
    activity.changed(APP, STARTED + 1)
    store.fails_after = fails_after
    with pytest.raises(StoreError):
        await sweeper.turn()
    activity.changed(Repository("team/other"), STARTED + 2)
    store.fails_after = -1
    await sweeper.turn()
    # Those that changed lately are compared before this turn is over, both tags and digests.
    for name, at in ((APP, STARTED + 1), (Repository("team/other"), STARTED + 2)):
        swept = await Sweeps(store).one(name)
        assert swept is not None
        assert (swept.changed_at, swept.full_at) == (at, STARTED)
    assert (activity.drain(), activity.take_gap()) == ({}, None)
    await store.close()
