"""One configuration after the other: what happens when they are exchanged while something is under way."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio

from replicator.model import Repository, Tag
from replicator.observability.metrics import Metrics
from replicator.reload import Reloader
from replicator.routing import Router
from replicator.secret_watch import SecretWatch
from replicator.service import Service
from replicator.settings.schema import Settings
from replicator.store import sweep_statements
from replicator.store.session import Session
from replicator.store.sqlite import SqliteStore
from replicator.store.sweeps import Sweeps
from replicator.sweep.activity import Activity
from replicator.sweep.examine import Means
from replicator.sweep.repositories import Chosen
from replicator.sweep.schedule import Rhythm
from replicator.sweep.sweeper import Sweeper
from replicator.world import Ground, World, build_world, scope_of
from replicator.worlds import Worlds
from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.unit.replication.model_catalog import ModelCatalog
from tests.unit.replication.support import Call, ModelRegistry, Op

T = TypeVar("T")
QUICK, SLOW = Repository("team/quick"), Repository("team/slow")


class Told(SqliteStore):
    """A store that keeps what sweeps asked of it, and calls `when_due` before it makes rows due."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.asked: list[Any] = []
        self.when_due: Callable[[], None] = lambda: None

    async def submit(self, operation: Callable[[Session], T]) -> T:
        """Run an operation."""
        self.asked.append(operation)
        return await super().submit(operation)

    async def make_due(self, replica: str, *, parked: bool = True, limit: int | None = None) -> int:
        """Make due."""
        self.when_due()
        return await super().make_due(replica, parked=parked, limit=limit)


@dataclass
class Scene:
    """Worlds over a store of their own; nothing is asked of a registry."""

    folder: Path
    store: Told
    clock: FakeClock
    ground: Ground
    worlds: Worlds = field(init=False)

    def world(self, replicas: Sequence[str], former: World | None = None) -> World:
        """Return what is made of a configuration with these replicas."""
        return build_world(settings_of(self.folder, replicas), self.ground, former)


def settings_of(folder: Path, replicas: Sequence[str]) -> Settings:
    """Return a configuration whose primary has a password in a file."""
    secret = {"username": "puller", "password_file": str(folder / "password")}
    return Settings.model_validate(
        {
            "version": 1,
            "primary": {"url": "http://primary.example.com", "credentials": secret},
            "replicas": [{"name": name, "url": f"http://{name}.example.com"} for name in replicas],
            "sweep": "off",
            "verify": "off",
        }
    )


@asynccontextmanager
async def running(folder: Path, first: Callable[[Scene], World]) -> AsyncIterator[Scene]:
    (folder / "password").write_text("old-canary")
    clock = FakeClock()
    store = await Told.open(folder / "state" / "replicator.db", clock=clock)
    assert isinstance(store, Told)
    for name in ("eu", "us"):
        await store.pause(name)  # so that lanes ask nothing of registries
    ground = Ground(
        store=store,
        clock=clock,
        rng=random.Random(1),
        metrics=Metrics(scope_of(settings_of(folder, ["eu"])), clock=clock),
        activity=Activity(clock.now()),
    )
    scene = Scene(folder, store, clock, ground)
    scene.worlds = Worlds(first(scene))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(scene.worlds.run)
            await anyio.wait_all_tasks_blocked()
            yield scene
            group.cancel_scope.cancel()
    finally:
        await scene.worlds.close()
        await store.close()


async def test_a_replica_that_a_reload_takes_away_while_its_secrets_are_looked_at_is_left_alone(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, lambda scene: scene.world(["eu", "us"])) as scene:
        worlds = scene.worlds
        reloader = Reloader(worlds, scene.ground, Service({}, scene.clock), worlds.settings)
        watch = SecretWatch(worlds, scene.ground, reloader)
        await watch.look()
        (tmp_path / "password").write_text("newer-canary")
        scene.store.when_due = lambda: worlds.use(scene.world(["eu"], worlds.used))
        await watch.look()
        assert [one.name for one in worlds.settings().replicas] == ["eu"]


async def test_a_sweeper_begins_once_the_former_one_has_kept_what_it_found(tmp_path: Path) -> None:
    """Else what the former one keeps last, of rules of before, would say that nothing is due for an hour."""
    hangs = anyio.Event()

    async def hook(call: Call) -> None:
        listed = [one for one in primary.calls if (one.op, one.repository) == (Op.TAGS, SLOW)]
        # First it is named by the catalog.
        if call.repository == SLOW and len(listed) == 2:
            hangs.set()
            await anyio.sleep_forever()

    primary = ModelRegistry("primary", hook=hook)
    for repository in (QUICK, SLOW):
        primary.hold(repository, make_image("image"), Tag("v1"))

    def world(scene: Scene, replicas: Sequence[str]) -> World:
        built = scene.world(replicas)
        return replace(built, sweeper=sweeper_of(built, scene, primary))

    async with running(tmp_path, partial(world, replicas=["eu"])) as scene:
        await hangs.wait()
        await eventually(lambda: any(call.repository == QUICK for call in primary.calls), what="the other is listed")
        await anyio.wait_all_tasks_blocked()
        asked = scene.store.asked
        before = len(asked)
        scene.worlds.use(world(scene, ["eu", "us"]))
        await eventually(lambda: sweep_statements.RESCOPED in kinds(asked[before:]), what="the new sweeper works")
        assert kinds(asked[before:])[0] == "_keep"


def kinds(asked: Sequence[Any]) -> list[Any]:
    return [one.keywords.get("statement", one.func.__name__) for one in asked]


def sweeper_of(world: World, scene: Scene, primary: ModelRegistry) -> Sweeper:
    router = Router(world.settings)
    means = Means(
        primary=ModelCatalog(primary),
        sweeps=Sweeps(scene.store),
        sink=scene.store,
        routes=router,
        scope=router.scope,
        replicas=tuple(one.name for one in world.settings.replicas),
        counts=world.metrics.sweeps,
        updates=world.metrics,
        clock=scene.clock,
    )
    rhythm = Rhythm(every=3600.0, full_every=86400.0)
    activity = Activity(scene.clock.now())
    return Sweeper(means, chosen=Chosen((), router), rhythm=rhythm, activity=activity, rng=random.Random(1))
