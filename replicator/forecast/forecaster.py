"""Looks at repository after repository: what differs on the replicas, and what mending it takes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio

from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.forecast.amounts import Forecast, Problem, RepositoryForecast
from replicator.forecast.estimate import Estimator
from replicator.forecast.ports import Memory, ReadPrimary, Rules
from replicator.forecast.replica_rows import Replica, ReplicaRows
from replicator.model import Digest, Reference, Repository
from replicator.observability.labels import DifferenceKind
from replicator.referrers import is_fallback_tag
from replicator.replication.survey import ManifestCache
from replicator.sweep.compare import Difference
from replicator.sweep.examine import Finder, Sight
from replicator.sweep.ports import Counts, KnownTags
from replicator.together import together

_TOGETHER = 8


async def _nothing(difference: Difference) -> None:
    del difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a forecast works with; `decided` are rows that say what an operator ignores, and what we put."""

    primary: ReadPrimary
    replicas: Mapping[str, Replica]
    rules: Rules
    memory: Memory
    decided: KnownTags
    counts: Counts
    clock: Clock


class Forecaster:
    """Forecasts for the given replicas. Reads only.

    An error of a replica that may pass drops that replica, any other error the repository or the reference that it is
    about; all are told in the forecast.
    """

    def __init__(self, means: Means, then: Callable[[Difference], Awaitable[None]] = _nothing) -> None:
        """Make a forecaster that calls `then` with each difference that it has counted, and each it cannot count."""
        self._means = means
        self._then = then
        self._current: Mapping[str, RepositoryForecast] = {}
        self._sent_before = dict.fromkeys(means.replicas, 0)
        self._forecast = Forecast(replicas={name: [] for name in means.replicas})
        cache = ManifestCache()
        self._estimators = {
            name: Estimator(means.primary, replica, cache, means.memory, means.clock)
            for name, replica in means.replicas.items()
        }
        self._rows = ReplicaRows(means.replicas, means.rules, means.clock, means.decided, self._lose)
        self._sight = Sight(
            primary=means.primary,
            known=self._rows,
            routes=means.rules,
            replicas=tuple(means.replicas),
            counts=means.counts,
            clock=means.clock,
            calm=0,
        )

    async def forecast(self, repositories: AsyncIterator[Repository]) -> Forecast:
        """Look at all of them. Raises RegistryError and ContentError of the primary that may pass."""
        async for repository in repositories:
            self._forecast.repositories += 1
            await self._look_at(repository)
        return self._forecast

    @property
    def found(self) -> Forecast:
        """What was found so far."""
        return self._forecast

    def to_send(self, replica: str) -> int:
        """Return the bytes to send to a replica, as far as was looked."""
        current = self._current.get(replica)
        return self._sent_before[replica] + (0 if current is None else current.send.bytes)

    async def _look_at(self, repository: Repository) -> None:
        counted = self._current = {name: RepositoryForecast(repository=repository) for name in self._estimators}
        try:
            async for part in self._finder(repository).find(
                repository, self._means.clock.now(), compared=True, digests=True
            ):
                await self._count(part.differences, counted)
        except (RegistryError, ContentError) as error:
            if error.temporary:
                raise
            self._tell(None, repository, None, error)
        self._current = {}
        for name, one in counted.items():
            self._sent_before[name] += one.send.bytes
            if (one.to_put or one.kept or one.extra) and not self._forecast.is_lost(name, repository):
                self._forecast.replicas[name].append(one)

    def _finder(self, repository: Repository) -> Finder:
        """Return what asks nothing of a replica that is in trouble."""
        asked = tuple(name for name in self._estimators if not self._forecast.is_lost(name, repository))
        return Finder(replace(self._sight, replicas=asked))

    async def _count(self, differences: Sequence[Difference], counted: Mapping[str, RepositoryForecast]) -> None:
        limiter = anyio.CapacityLimiter(_TOGETHER)

        async def count(difference: Difference, into: RepositoryForecast) -> None:
            async with limiter:
                await self._estimate(difference, into)

        # The rules also name replicas that nobody asked about.
        asked = [one for one in differences if one.key.replica in counted]
        await together([partial(count, one, counted[one.key.replica]) for one in asked])

    async def _estimate(self, difference: Difference, into: RepositoryForecast) -> None:
        replica, repository, reference = difference.key.replica, difference.key.repository, difference.key.reference
        if self._forecast.is_lost(replica, repository):
            return
        if difference.kind is DifferenceKind.EXTRA:
            into.extra += 1
            return
        policy = self._means.rules.policy(replica, repository, reference)
        if policy.keeps_conflicts and self._is_foreign(difference):
            into.kept += 1
            return
        try:
            differs = await self._estimators[replica].estimate(difference, policy, into)
        except (RegistryError, ContentError) as error:
            if error.registry == replica and error.temporary:
                self._lose(replica, repository, error)
                return
            if error.temporary:
                raise
            self._tell(replica, repository, reference, error)
            differs = True
        if differs:
            await self._then(difference)

    def _is_foreign(self, difference: Difference) -> bool:
        """Say whether somebody else put what the tag names there; lists of referrers are merged."""
        tag, intent = difference.key.reference, difference.intent
        if isinstance(tag, Digest) or is_fallback_tag(tag) or intent is None or intent.digest is None:
            return False
        return self._rows.is_foreign(difference.key.replica, tag, intent.digest)

    def _lose(self, replica: str, repository: Repository, error: RegistryError | ContentError) -> None:
        """Say no more of a replica that is in trouble, or of the one repository that it tells nothing of."""
        if not self._forecast.is_lost(replica, repository):
            self._tell(replica, None if error.temporary else repository, None, error)

    def _tell(
        self,
        replica: str | None,
        repository: Repository | None,
        reference: Reference | None,
        error: RegistryError | ContentError,
    ) -> None:
        self._forecast.tell(Problem(replica=replica, repository=repository, reference=reference, error=error))
