"""The admin listener's surroundings: a real store and router; the registries as the test scripts them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from replicator.admin.changes import Changes
from replicator.admin.wait import WaitLimits, Waits
from replicator.clock import SystemClock
from replicator.errors import RegistryError
from replicator.lacks import Absent, Look, Part
from replicator.model import (
    Change,
    ChangeKind,
    Descriptor,
    Digest,
    IntentKey,
    MediaType,
    Reference,
    Repository,
)
from replicator.policy import Policy
from replicator.routing import Router
from replicator.settings.schema import PrimarySettings, ReplicaSettings, Rule, Settings
from replicator.store.outcome import Done, Outcome, Result
from replicator.store.sqlite import SqliteStore

APP = Repository("team/app")


class Primary:
    """A primary that names what the test says, after failing with the errors the test lists."""

    def __init__(self) -> None:
        self.names: dict[Reference, Digest] = {}
        self.errors: list[RegistryError] = []

    async def stat_manifest(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Return what the test says."""
        if self.errors:
            raise self.errors.pop(0)
        digest = self.names.get(reference) if repository == APP else None
        return None if digest is None else Descriptor(MediaType.OCI_MANIFEST, digest, 2)


class Holdings:
    """What each replica itself says it holds; every question is kept."""

    def __init__(self) -> None:
        self.held: set[tuple[str, Digest]] = set()
        self.errors: list[RegistryError] = []
        self.asked: list[tuple[str, Digest]] = []

    async def holds(self, replica: str, _repository: Repository, digest: Digest) -> bool:
        """Return what the test says."""
        self.asked.append((replica, digest))
        if self.errors:
            raise self.errors.pop(0)
        return (replica, digest) in self.held

    async def look(
        self, replica: str, _repository: Repository, _reference: Reference, digest: Digest, _policy: Policy
    ) -> Look:
        """Return what `holds` would say of the manifest alone."""
        held = (replica, digest) in self.held
        absent = () if held else (Absent(Part.MANIFEST, digest, 2),)
        return Look(shown=digest if held else None, absent=absent, asked=1)


class Counts:
    """Updates that became owed."""

    def __init__(self) -> None:
        self.owed: list[tuple[str, str]] = []

    def update_owed(self, replica: str, kind: str) -> None:
        """Keep it."""
        self.owed.append((replica, kind))


@dataclass(slots=True, kw_only=True)
class Scene:
    """All that a wait touches."""

    store: SqliteStore
    router: Router
    primary: Primary = field(default_factory=Primary)
    holdings: Holdings = field(default_factory=Holdings)
    counts: Counts = field(default_factory=Counts)
    bell: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.store.listen(self._ring)

    def changes(self) -> Changes:
        """Return the way by which changes are told."""
        return Changes(store=self.store, routes=self.router, metrics=self.counts, clock=SystemClock())

    def waits(self, limits: WaitLimits | None = None) -> Waits:
        """Return waits over these parts."""
        return Waits(source=self.primary, presence=self.holdings, changes=self.changes(), limits=limits)

    async def event(self, reference: Reference, digest: Digest) -> None:
        """Record a push as a webhook would, on the store's rows alone."""
        change = Change(kind=ChangeKind.PUSH, repository=APP, reference=reference, digest=digest)
        await self.store.record(self.router.route(change, SystemClock().now()))

    async def settle(self, replica: str, reference: Reference, digest: Digest | None) -> None:
        """Do what a lane does when the replica has got `digest` (None: the primary names nothing)."""
        result = Result.GONE if digest is None else Result.COPIED
        await self.end(replica, reference, Done(result=result, digest=digest))

    async def end(self, replica: str, reference: Reference, outcome: Outcome) -> None:
        """Lease the row and settle it."""
        key = IntentKey(replica, APP, reference)
        leases = await self.store.lease(replica, 10, 60)
        mine = [lease for lease in leases if lease.key == key]
        await self.store.release([lease for lease in leases if lease.key != key])
        assert mine, f"{key} is not due; due are {[str(lease.key) for lease in leases]}"
        assert await self.store.settle(mine[0], outcome)

    async def until_owed(self, *keys: str) -> None:
        """Return once all of these rows are owed."""
        with anyio.fail_after(60):
            while True:
                bell = self.bell
                if set(keys) <= await self.owed():
                    return
                await bell.wait()

    def _ring(self, _keys: Sequence[IntentKey]) -> None:
        self.bell.set()
        self.bell = anyio.Event()

    async def owed(self) -> set[str]:
        """Return the keys of all owed rows."""
        return {str(row.key) for row in await self.store.rows() if row.owed}


def settings(**more: Any) -> Settings:
    """Return replicas eu and us, both getting team/**, and eu/** for eu alone."""
    return Settings(
        version=1,
        primary=PrimarySettings(url="https://registry.example.com"),
        replicas=(
            ReplicaSettings(name="eu", url="https://eu.example.com", labels={"region": "eu-west-1"}),
            ReplicaSettings(name="us", url="https://us.example.com"),
        ),
        **{"rules": (Rule(repositories=("team/**",)), Rule(repositories=("eu/**",), replicas=("eu",)))} | more,
    )


@asynccontextmanager
async def open_scene(folder: Path) -> AsyncIterator[Scene]:
    """Yield a scene whose store lies in `folder`."""
    store = await SqliteStore.open(folder / "state" / "replicator.db", clock=SystemClock())
    try:
        yield Scene(store=store, router=Router(settings()))
    finally:
        await store.close()
