"""One sweep now: finds what differs on the replicas themselves, makes it owed, and follows it to its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.forecast.amounts import Problem
from replicator.forecast.forecaster import Forecaster
from replicator.forecast.forecaster import Means as LookingMeans
from replicator.forecast.ports import Memory, ReadRegistry
from replicator.forecast.replica_rows import Replica
from replicator.model import Priority, Recorded
from replicator.observability.labels import DifferenceKind, UpdateKind
from replicator.observability.metrics import Metrics
from replicator.replication.watchers import Watchers
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.store.sweeps import Sweeps, Threads
from replicator.sweep.compare import Difference
from replicator.sweep.ports import Sink, Updates
from replicator.sweep.selection import Selection
from replicator.sync.follow import Follow
from replicator.sync.progress import Progress, ReplicaProgress


class SyncStore(Sink, Memory, Threads, Protocol):
    """Where a sync makes owed."""

    async def paused_since(self, replica: str) -> float | None:
        """Return since when the replica's lane is paused, Unix seconds; None: it is not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a sync works with: what it `looks` with, and where it makes owed; the lanes at work tell `watchers`."""

    looks: LookingMeans
    store: SyncStore
    updates: Updates
    watchers: Watchers

    def only(self, names: Sequence[str]) -> "Means":
        """Return what a sync of some replicas works with."""
        replicas = {name: replica for name, replica in self.looks.replicas.items() if name in names}
        return replace(self, looks=replace(self.looks, replicas=replicas))


def means_of(
    settings: Settings,
    registries: Mapping[str, ReadRegistry],
    store: SyncStore,
    metrics: Metrics,
    watchers: Watchers,
    clock: Clock,
) -> Means:
    """Return what syncs work with under one configuration, with the clients of its registries by name."""
    looks = LookingMeans(
        primary=registries[settings.primary.name],
        replicas={one.name: Replica(registries[one.name], one.repository_prefix) for one in settings.replicas},
        rules=Router(settings),
        memory=store,
        decided=Sweeps(store),
        counts=metrics.sweeps,
        clock=clock,
    )
    return Means(looks=looks, store=store, updates=metrics, watchers=watchers)


class Sync:
    """One run over what is selected. What it made owed stays owed when it is cut short: the next one goes on.

    `left_alone` are replicas for which nothing can be done now, and why; `delivery` is the id that log lines carry.
    """

    def __init__(
        self,
        means: Means,
        selection: Selection,
        *,
        left_alone: Mapping[str, str] = MappingProxyType({}),
        delivery: str = "",
    ) -> None:
        self.delivery = delivery
        self._means = means
        self._selection = selection
        self._left_alone = left_alone
        looks = means.looks
        self._replicas = tuple(looks.replicas)
        self._follow = Follow(self._replicas, selection.__contains__, looks.clock)
        asked = {name: replica for name, replica in looks.replicas.items() if name not in left_alone}
        self._forecaster = Forecaster(replace(looks, replicas=asked), self._owe)
        self._searched = False
        self._ended = False
        self._trouble = ""
        self._refused = ""

    def end(self, *, trouble: str = "", refused: str = "") -> None:
        """Say that it ended before all was done, because of trouble, or since what was asked for does not exist."""
        self._trouble, self._refused, self._ended = self._trouble or trouble, refused, True

    async def run(self) -> None:
        """Return when all is settled or given up. Raises UnknownRepository, StoreError."""
        self._means.watchers.add(self._follow)
        try:
            await self._search()
            await self._follow.settled()
            self._ended = True
        finally:
            self._means.watchers.remove(self._follow)

    def progress(self) -> Progress:
        """Return how far it is."""
        found = self._forecaster.found
        problems = [_told(one) for one in found.problems if not _is_of_replica(one) and one.reference is None]
        return Progress(
            id=self.delivery,
            replicas=tuple(self._of(name) for name in self._replicas),
            failed=self._follow.failed(),
            problems=(*problems, self._trouble) if self._trouble else tuple(problems),
            repositories=found.repositories,
            searched=self._searched,
            ended=self._ended,
            refused=self._refused,
        )

    async def _search(self) -> None:
        """Find what differs and make it owed; trouble of the primary ends that, not what is owed already."""
        try:
            await self._forecaster.forecast(self._selection.repositories(self._means.looks.primary))
        except (RegistryError, ContentError) as error:
            self._trouble = str(error)
        else:
            self._searched = True

    async def _owe(self, difference: Difference) -> None:
        if difference.intent is None:
            return
        # With no digest the row becomes owed whatever the store believes: the replica itself was asked.
        intent = replace(difference.intent, digest=None, delivery=self.delivery)
        if difference.kind is not DifferenceKind.STALE:
            intent = replace(intent, priority=Priority.LOW, backfill=True)
        self._follow.owe(intent.key)
        (recorded,) = await self._means.store.record([intent])
        if recorded is Recorded.ACCEPTED:
            self._means.updates.update_owed(intent.key.replica, UpdateKind.TAG)

    def _of(self, name: str) -> ReplicaProgress:
        lost = [
            str(one.error) for one in self._forecaster.found.problems if _is_of_replica(one) and one.replica == name
        ]
        problem = self._left_alone.get(name) or self._follow.problem(name) or next(iter(lost), "")
        to_send = 0 if name in self._left_alone else self._forecaster.to_send(name)
        return ReplicaProgress(replica=name, to_send=to_send, problem=problem, **self._follow.counts(name))


def _is_of_replica(problem: Problem) -> bool:
    """Say whether a whole replica could not be looked at."""
    return problem.replica is not None and problem.repository is None


def _told(problem: Problem) -> str:
    where = " ".join(filter(None, (problem.replica, problem.repository)))
    return f"{where}: {problem.error}"


async def paused(store: SyncStore, names: Sequence[str]) -> dict[str, str]:
    """Return which replicas are paused, and what to do about it. Raises StoreError."""
    return {
        name: f"it is paused: replicator resume {name}"
        for name in names
        if await store.paused_since(name) is not None
    }
