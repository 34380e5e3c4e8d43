"""A replica that takes an upload drop by drop: that image alone waits, and arrives when the line is well (S21)."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from replicator.clock import SystemClock
from replicator.errors import Reason
from replicator.model import Intent, IntentKey, Repository, Tag
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.client import open_registry
from replicator.registry.http import Timeouts
from replicator.replication.engine import Engine
from replicator.settings.schema import PrimarySettings, ReplicaSettings, Settings
from replicator.store.rows import Row
from replicator.store.sqlite import SqliteStore
from tests.support.content import Content, Image, make_image
from tests.support.eventually import eventually
from tests.support.faults import Hang, Throttle
from tests.support.images import fetch_closure, push
from tests.support.permissive import PermissiveRegistry, run_permissive
from tests.support.proxy import Proxy, run_proxy

MIB = 1024 * 1024
TEAM, OTHER = Repository("team/app"), Repository("team/other")
TAG = Tag("v1")
IMPATIENT = Timeouts(write=0.5, commit=0.5)
"""A piece of 64 KiB that is not taken in half a second: below the floor, as in a minute by default."""
BIG = make_image("big", [12 * MIB])


@dataclass(frozen=True, slots=True)
class Scene:
    """A primary, a replica at the end of a line, one beside us, and the engine between them."""

    primary: PermissiveRegistry
    far: PermissiveRegistry
    near: PermissiveRegistry
    line: Proxy
    store: SqliteStore
    engine: Engine

    async def push(self, repository: Repository, content: Content) -> None:
        """Push to the primary, and record that both replicas are owed it."""
        digest = await push(self.primary.url, repository, TAG, content)
        now = SystemClock().now()
        keys = (IntentKey(name, repository, TAG) for name in ("far", "near"))
        await self.store.record([Intent(key=key, digest=digest, since=now, due_at=now) for key in keys])

    async def row(self) -> Row:
        """Return what the store says of the big image at the far replica."""
        row = await self.store.row(IntentKey("far", TEAM, TAG))
        assert row is not None
        return row

    async def failed(self, times: int) -> Row:
        """Return the row once so many attempts have failed."""

        async def so_often() -> Row | None:
            row = await self.row()
            return row if row.attempts >= times else None

        row = await eventually(so_often, what=f"{times} attempts have failed")
        assert row is not None
        return row


async def arrived(registry: PermissiveRegistry, repository: Repository, content: Content) -> None:
    """Wait until a registry holds all of a content under the tag."""
    await eventually(lambda: registry.storage.manifest(repository, TAG), what=f"{repository} at {registry.url}")
    await fetch_closure(registry.url, repository, TAG, deep=True)
    held = registry.storage.manifest(repository, TAG)
    assert held is not None
    assert held.digest == content.digest


@contextlib.asynccontextmanager
async def scene(folder: Path, timeouts: Timeouts = IMPATIENT) -> AsyncIterator[Scene]:
    """Run all of it."""
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        primary, far, near = [await stack.enter_async_context(run_permissive()) for _ in range(3)]
        line = await stack.enter_async_context(run_proxy(far.url))
        settings = Settings.model_validate(
            {
                "version": 1,
                "primary": {"url": primary.url},
                "replicas": [{"name": "far", "url": line.url}, {"name": "near", "url": near.url}],
                "retry": {"first": "100ms", "max": "1s"},
            }
        )
        ends: list[PrimarySettings | ReplicaSettings] = [settings.primary, *settings.replicas]
        registries = {
            one.name: await stack.enter_async_context(open_registry(one, clock=clock, timeouts=timeouts))
            for one in ends
        }
        store = await SqliteStore.open(folder / "state" / "replicator.db", clock=clock)
        stack.push_async_callback(store.close)
        engine = Engine(
            settings=settings,
            store=store,
            registries=registries,
            metrics=Metrics(Scope.of(settings, version="0"), clock=clock),
            clock=clock,
            rng=random.Random(0),
        )
        running = asyncio.create_task(engine.run())
        try:
            yield Scene(primary, far, near, line, store, engine)
        finally:
            running.cancel()
            await asyncio.wait([running])


def drips(image: Image) -> Throttle:
    """Return the fault by which the line takes a byte a second of the image's layer."""
    return Throttle(method="PUT", path=image.layers[0].digest.encoded, times=None, up=1)


async def test_an_upload_that_drips_is_a_stall_and_is_tried_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as running:
        with running.line.during(drips(BIG)) as dripping:
            await running.push(TEAM, BIG)
            row = await running.failed(2)
            assert (row.reason, row.parked) == (Reason.TIMEOUT, False)
            assert "takes hardly any bytes of an upload" in row.message
            assert dripping.acted >= 2
            assert running.far.storage.manifest(TEAM, TAG) is None
        await arrived(running.far, TEAM, BIG)


async def test_f35_an_upload_that_drips_holds_neither_other_images_nor_other_lanes(tmp_path: Path) -> None:
    other = make_image("other", [MIB, 3_000])
    async with scene(tmp_path) as running:
        with running.line.during(drips(BIG)) as dripping:
            await running.push(TEAM, BIG)
            await eventually(lambda: dripping.acted, what="the upload drips")
            await running.push(OTHER, other)
            await arrived(running.near, TEAM, BIG)
            await arrived(running.near, OTHER, other)
            await arrived(running.far, OTHER, other)
            assert (await running.row()).owed
            assert running.far.storage.manifest(TEAM, TAG) is None
        await arrived(running.far, TEAM, BIG)


async def test_a_lane_that_is_open_because_one_upload_drips_still_brings_what_comes_next(tmp_path: Path) -> None:
    other = make_image("other", [MIB, 3_000])
    async with scene(tmp_path) as running:
        with running.line.during(drips(BIG)):
            await running.push(TEAM, BIG)
            await running.failed(3)
            await running.push(OTHER, other)
            await arrived(running.far, OTHER, other)
            assert (await running.row()).owed
        await arrived(running.far, TEAM, BIG)


async def test_an_upload_that_is_taken_and_not_answered_is_found_there(tmp_path: Path) -> None:
    # Only who gets no answer is given up soon: on a busy machine any piece may take half a second.
    async with scene(tmp_path, Timeouts(commit=0.5)) as running:
        silent = running.line.add(Hang(method="PUT", path=BIG.layers[0].digest.encoded))
        await running.push(TEAM, BIG)
        await arrived(running.far, TEAM, BIG)
        assert silent.acted == silent.seen == 1, "it is not sent again"
        assert (await running.row()).attempts == 0
