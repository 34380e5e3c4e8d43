"""Continuous verification finds what a replica lost, at its pace, and all of it after the replica was down."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from replicator.audit.downtime import DOWN_FOR
from replicator.audit.holdings import Holdings, Manifests
from replicator.audit.turns import Means, ReplicaTurns
from replicator.audit.verifier import Verifier
from replicator.errors import StoreError
from replicator.model import Change, ChangeKind, Digest, IntentKey, Reference, Repository, Tag
from replicator.observability.labels import LaneState, VerifyResult
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.client import RegistryClient, open_registry
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.store.outcome import Done, Result
from replicator.store.session import Session
from replicator.store.sqlite import SqliteStore
from replicator.store.verifications import Place, Verifications
from tests.support.content import make_image
from tests.support.daemon import Scrape
from tests.support.fake_clock import FakeClock
from tests.support.images import push
from tests.support.proxy import Proxy, run_proxy
from tests.support.registries import DockerRegistry, run_registry

APP = Repository("team/app")
IMAGES = {f"v{number}": make_image(f"verified {number}") for number in range(6)}


class Hasty(FakeClock):
    """A clock on which a pause is over at once."""

    async def sleep(self, seconds: float) -> None:
        """Move on."""
        await anyio.lowlevel.checkpoint()
        self.advance(max(0.0, seconds))


@dataclass
class View:
    """A lane as it looks."""

    state: str = LaneState.RUNNING
    last_success: float | None = None


class Crashing(Holdings):
    """Holdings with a bug."""

    async def named(self, repository: Repository, reference: Reference) -> Digest | None:
        """See Holdings."""
        if reference == "v1":
            raise RuntimeError("a bug")
        return await super().named(repository, reference)


@dataclass
class Scene:
    """A replica that holds six images, a store that knows it, and the verification between them."""

    registry: DockerRegistry
    line: Proxy
    client: RegistryClient
    store: SqliteStore
    settings: Settings
    metrics: Metrics
    clock: Hasty
    lane: View = field(default_factory=View)

    @property
    def means(self) -> Means:
        """What verification works with."""
        return Means(
            replicas=("eu",),
            holdings=lambda _: Holdings(self.client, self.client, prefix="", at_once=4, manifests=Manifests()),
            lanes=lambda: {"eu": self.lane},
            verifications=Verifications(self.store),
            sink=self.store,
            routes=Router(self.settings),
            counts=self.metrics.audits,
            updates=self.metrics,
            clock=self.clock,
        )

    def crashing(self) -> Holdings:
        """Return what the replica is asked by, but that a bug is met at one of its tags."""
        return Crashing(self.client, self.client, prefix="", at_once=4, manifests=Manifests())

    def turns(self, full_every: float = 360_000.0) -> ReplicaTurns:
        """Return the verification of a new life."""
        return ReplicaTurns("eu", self.means, full_every=full_every, first=0.0)

    async def spend(self, seconds: float, turns: ReplicaTurns) -> None:
        """Let that time pass."""
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            self.clock.advance(await turns.turn())

    def counted(self) -> dict[str, float]:
        """Return how many references had which result, of those that had one."""
        page = Scrape(self.metrics.exposition("")[0].decode())
        counts = {str(one): page.value("replicator_verified_references_total", result=one) for one in VerifyResult}
        return {result: count for result, count in counts.items() if count}

    async def owed(self) -> set[str]:
        """Return the tags that are owed."""
        return {str(row.key.reference) for row in await self.store.rows(replica="eu", parked=False)}


@asynccontextmanager
async def run_scene(folder: Path) -> AsyncIterator[Scene]:
    clock = Hasty()
    async with run_registry(folder) as registry, run_proxy(registry.url) as line:
        settings = Settings.model_validate(
            {"version": 1, "primary": {"url": registry.url}, "replicas": [{"name": "eu", "url": line.url}]}
        )
        store = await SqliteStore.open(folder / "state" / "replicator.db", clock=clock)
        metrics = Metrics(Scope(replicas=("eu",)), clock=clock)
        router = Router(settings)
        try:
            async with open_registry(settings.replicas[0], clock=clock) as client:
                for tag, image in IMAGES.items():
                    await push(registry.url, APP, tag, image)
                    change = Change(kind=ChangeKind.PUSH, repository=APP, reference=Tag(tag))
                    await store.record(router.route(change, clock.now()))
                    (lease,) = await store.lease("eu", 1, 60.0)
                    await store.settle(lease, Done(result=Result.COPIED, digest=image.digest))
                yield Scene(registry, line, client, store, settings, metrics, clock)
        finally:
            await store.close()


def damage(registry: DockerRegistry) -> None:
    """Lose a tag, and a layer of another image."""
    tags = registry.root / f"docker/registry/v2/repositories/{APP}/_manifests/tags"
    for path in (tags / "v1").rglob("link"):
        path.unlink()
    registry.blob_file(IMAGES["v4"].layers[0].digest).unlink()


async def test_rows_are_looked_at_at_the_pace_that_is_set_and_a_new_life_goes_on_behind_them(tmp_path: Path) -> None:
    async with run_scene(tmp_path) as scene:
        damage(scene.registry)
        await scene.spend(3500, scene.turns(full_every=7200))
        assert scene.counted() == {"equal": 2, "missing": 1}, "three of six rows an hour"
        assert await scene.owed() == {"v1"}
        assert await scene.store.wanted_repair(IntentKey("eu", APP, Tag("v1"))) == frozenset()
        await scene.spend(3500, scene.turns(full_every=7200))
        assert scene.counted() == {"equal": 4, "missing": 1, "incomplete": 1}
        assert await scene.owed() == {"v1", "v4"}
        assert {one.method for one in scene.line.requests} <= {"GET", "HEAD"}
        assert scene.line.received("blob") == 0, "no blob is read"


async def test_all_of_a_replica_is_looked_at_after_it_was_down_also_by_a_later_life(tmp_path: Path) -> None:
    async with run_scene(tmp_path) as scene:
        damage(scene.registry)
        turns = scene.turns()
        scene.lane.state = LaneState.OPEN
        scene.clock.advance(await turns.turn())
        scene.clock.advance(DOWN_FOR)
        await turns.turn()
        assert (scene.counted(), len(scene.line.requests)) == ({}, 0), "what is down is not asked"
        turns = scene.turns()
        scene.lane.state = LaneState.PAUSED
        await turns.turn()
        assert scene.counted() == {}
        scene.lane.state = LaneState.RUNNING
        await turns.turn()
        assert scene.counted() == {"equal": 4, "missing": 1, "incomplete": 1}
        assert await scene.owed() == {"v1", "v4"}
        await turns.turn()
        assert (await Verifications(scene.store).places("eu")).whole is None


@pytest.mark.parametrize("known_by", ["its lane", "what it answers"])
async def test_a_time_of_being_down_goes_on_over_a_reload(tmp_path: Path, known_by: str) -> None:
    """The new configuration's lane has yet to find out: it is neither down nor known to work."""
    async with run_scene(tmp_path) as scene:
        means = scene.means
        scene.lane.state = LaneState.OPEN
        await ReplicaTurns("eu", means, full_every=360_000.0, first=0.0).turn()
        scene.clock.advance(DOWN_FOR - 100)
        turns = ReplicaTurns("eu", means, full_every=360_000.0, first=0.0 if known_by == "what it answers" else 1.0)
        scene.lane.state = LaneState.RUNNING
        if known_by == "its lane":
            await turns.turn()
        scene.clock.advance(100)
        scene.lane.last_success = scene.clock.now() if known_by == "its lane" else None
        await turns.turn()
        await turns.turn()
        assert scene.counted()["equal"] >= 6, "all of it"
        assert await turns.turn() > 0
        assert (await Verifications(scene.store).places("eu")).whole is None, "once"


async def test_all_of_it_is_looked_at_also_where_the_store_was_away_as_long_as_the_replica(tmp_path: Path) -> None:
    """One network that is cut takes both away."""

    def run(session: Session, statement: str) -> None:
        session.connection.execute(statement)

    away = "CREATE TRIGGER away BEFORE INSERT ON verification BEGIN SELECT RAISE(ABORT, 'away'); END"
    async with run_scene(tmp_path) as scene:
        turns = scene.turns()
        scene.lane.state = LaneState.OPEN
        scene.clock.advance(await turns.turn())
        scene.clock.advance(DOWN_FOR)
        await scene.store.submit(partial(run, statement=away))
        with pytest.raises(StoreError):
            await turns.turn()
        await scene.store.submit(partial(run, statement="DROP TRIGGER away"))
        scene.lane.state = LaneState.RUNNING
        await turns.turn()
        assert scene.counted() == {"equal": 6}


async def test_a_bug_that_is_met_at_one_tag_keeps_no_other_from_being_looked_at(tmp_path: Path) -> None:
    async with run_scene(tmp_path) as scene:
        await Verifications(scene.store).keep_whole("eu", Place())
        means = replace(scene.means, holdings=lambda _: scene.crashing())
        turns = ReplicaTurns("eu", means, full_every=360_000.0, first=0.0)
        await turns.turn()
        assert scene.counted() == {"equal": 5, "failed": 1}
        await turns.turn()
        assert (await Verifications(scene.store).places("eu")).whole is None


async def test_a_short_absence_asks_for_nothing(tmp_path: Path) -> None:
    async with run_scene(tmp_path) as scene:
        turns = scene.turns()
        scene.lane.state = LaneState.OPEN
        scene.clock.advance(await turns.turn())
        scene.lane.state = LaneState.RUNNING
        await turns.turn()
        assert (await Verifications(scene.store).places("eu")).whole is None


async def test_a_replica_that_tells_nothing_is_asked_again_later_and_nothing_is_owed(tmp_path: Path) -> None:
    async with run_scene(tmp_path) as scene:
        await Verifications(scene.store).keep_whole("eu", Place())
        await scene.registry.stop()
        turns = scene.turns()
        await turns.turn()
        assert (await Verifications(scene.store).places("eu")).whole == Place()
        await scene.registry.start()
        verifier = Verifier(scene.means, full_every=360_000, rng=random.Random(1))
        async with anyio.create_task_group() as group:
            group.start_soon(verifier.run)
            while (await Verifications(scene.store).places("eu")).whole is not None:
                await anyio.lowlevel.checkpoint()
            verifier.stop()
        assert scene.counted()["equal"] >= len(IMAGES)
        assert await scene.owed() == set()
