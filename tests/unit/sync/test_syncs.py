"""The syncs that a daemon is asked for: so many at once, so many remembered, none longer than its configuration."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel

from replicator.clock import SystemClock
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.client import open_registry
from replicator.replication.watchers import Watchers
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.store.sqlite import SqliteStore
from replicator.sync.sync import Means, means_of
from replicator.sync.syncs import AT_ONCE, KEPT, Syncs
from replicator.world import configured
from tests.support.eventually import eventually
from tests.support.ports import Port
from tests.support.proxy import run_proxy
from tests.support.traffic import Link


@dataclass(frozen=True)
class World:
    """What works under one configuration."""

    settings: Settings
    router: Router
    sync_means: Means


@dataclass
class Scene:
    """Syncs of a primary that takes connections and never answers, or of one where nobody listens."""

    syncs: Syncs
    exchanged: anyio.Event

    def exchange(self) -> None:
        """Leave the configuration, as a reload does."""
        event, self.exchanged = self.exchanged, anyio.Event()
        event.set()


@asynccontextmanager
async def scene(folder: Path, *, listens: bool) -> AsyncIterator[Scene]:
    port = Port()
    async with run_proxy(f"http://127.0.0.1:{port.number}", link=Link(black_hole=True)) as silent:
        primary = f"http://127.0.0.1:{port.number}" if not listens else silent.url
        document = {"version": 1, "primary": {"url": primary}, "replicas": [{"name": "eu", "url": primary}]}
        settings, clock = Settings.model_validate(document), SystemClock()
        store = await SqliteStore.open(folder / "state" / "replicator.db", clock=clock)
        clients = {one.name: open_registry(one, clock=clock) for one in configured(settings)}
        metrics = Metrics(Scope(replicas=("eu",)), clock=clock)
        world = World(settings, Router(settings), means_of(settings, clients, store, metrics, Watchers(), clock))
        made = Scene(Syncs(lambda: world, lambda: made.exchanged), anyio.Event())
        async with anyio.create_task_group() as group:
            group.start_soon(made.syncs.run)
            await anyio.wait_all_tasks_blocked()
            yield made
            group.cancel_scope.cancel()
        for client in clients.values():
            await client.close()
        await store.close()
    port.release()


async def begun(scene: Scene) -> str | None:
    document = await scene.syncs.start((), ())
    return None if document is None else document["id"]


def has_ended(scene: Scene, identity: str) -> bool:
    document = scene.syncs.document(identity)
    assert document is not None
    return document["ended"]


async def test_few_run_at_once_and_a_new_configuration_ends_them(tmp_path: Path) -> None:
    async with scene(tmp_path, listens=True) as made:
        running = [one for _ in range(AT_ONCE) if (one := await begun(made)) is not None]
        assert len(set(running)) == AT_ONCE
        assert await begun(made) is None
        made.exchange()
        for one in running:
            await eventually(partial(has_ended, made, one), what="it has ended")
            document = made.syncs.document(one)
            assert document is not None
            assert (document["complete"], document["problems"]) == (
                False,
                ["the configuration was read anew meanwhile: ask again"],
            )
        assert await begun(made) is not None


async def test_one_that_begins_while_its_configuration_is_left_is_ended_too(tmp_path: Path) -> None:
    """Else it would go on with clients that are closed, and hold its place."""
    async with scene(tmp_path, listens=True) as made:
        begins: list[str | None] = []

        async def begin() -> None:
            begins.append(await begun(made))

        async with anyio.create_task_group() as group:
            group.start_soon(begin)
            await anyio.lowlevel.checkpoint()
            assert begins == [], "it asks the store"
            made.exchange()
        (one,) = begins
        assert one is not None
        await eventually(partial(has_ended, made, one), what="it has ended")
        document = made.syncs.document(one)
        assert document is not None
        assert document["problems"] == ["the configuration was read anew meanwhile: ask again"]


async def test_trouble_of_the_primary_ends_a_sync_and_is_told_and_the_oldest_is_forgotten(tmp_path: Path) -> None:
    async with scene(tmp_path, listens=False) as made:
        first = await begun(made)
        assert first is not None
        await eventually(lambda: has_ended(made, first), within=30, what="it has ended")
        document = made.syncs.document(first)
        assert document is not None
        assert (document["complete"], document["searched"], len(document["problems"])) == (False, False, 1)
        assert "primary" in document["problems"][0]
        for _ in range(KEPT):
            other = await begun(made)
            assert other is not None
            await eventually(partial(has_ended, made, other), within=30, what="it has ended")
        await eventually(lambda: made.syncs.document(first) is None, what="the first is forgotten")
