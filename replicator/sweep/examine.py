"""One repository compared: its tags listed, held against the rows, digests asked for where that is due."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
import structlog

from replicator.clock import Clock
from replicator.model import Digest, Recorded, Repository, Tag
from replicator.observability.labels import DifferenceKind, SweepRequest, UpdateKind
from replicator.store.sweep_rows import KnownTag, Swept
from replicator.store.sweeps import Sweeps
from replicator.sweep.compare import Difference, Listed, Question, Routes, answered, compare, doomed, still
from replicator.sweep.events import SweepEvent
from replicator.sweep.ports import Counts, DeletionSink, KnownTags, Primary, Sink, Updates
from replicator.sweep.schedule import Outcome, under_way
from replicator.together import together

RANGE = 200
"""Tags compared at once."""
AT_ONCE = 8
"""Digests asked for at once, by all comparisons together."""
CALM = 3.0
"""Seconds after which what is news is held against the rows again: a webhook may have been on its way."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What differences are found with: `known` says what the replicas hold, `calm` as CALM (0: no second look)."""

    primary: Primary
    known: KnownTags
    routes: Routes
    replicas: tuple[str, ...]
    counts: Counts
    clock: Clock
    calm: float = CALM


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What comparisons work with; `scope` identifies the rules, `replicas` are the names of those they know."""

    primary: Primary
    sweeps: Sweeps
    sink: Sink
    routes: Routes
    scope: str
    replicas: tuple[str, ...]
    counts: Counts
    updates: Updates
    clock: Clock
    deletions: DeletionSink | None = None

    @property
    def sight(self) -> Sight:
        """What differences from the store's memory are found with."""
        return Sight(
            primary=self.primary,
            known=self.sweeps,
            routes=self.routes,
            replicas=self.replicas,
            counts=self.counts,
            clock=self.clock,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What differs in one range of tags, the last of which is `upto`; `left` says whether more follow."""

    differences: tuple[Difference, ...]
    upto: Tag | None
    left: bool


class Finder:
    """Finds what differs; changes nothing, anywhere."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._asking = anyio.CapacityLimiter(AT_ONCE)

    async def find(
        self, repository: Repository, began_at: float, *, compared: bool, digests: bool, progress: Tag | None = None
    ) -> AsyncIterator[Found]:
        """Yield what differs, range by range of names. Raises RegistryError, ContentError and StoreError.

        With `digests` those behind the tag `progress` are asked for where the primary's list does not tell them.
        `compared` as in Listed.
        """
        self._sight.counts.sweep_requested(SweepRequest.TAGS)
        listing = await self._sight.primary.all_tags(repository, digests=digests)
        tags = sorted(listing.tags)
        starts = range(0, max(1, len(tags)), RANGE)
        before: Tag | None = None
        for start in starts:
            part = tags[start : start + RANGE]
            left = start + RANGE < len(tags)
            upto = part[-1] if left else None
            listed = Listed(
                repository=repository,
                tags={tag: listing.tags[tag] for tag in part},
                began_at=began_at,
                whole=listing.whole,
                compared=compared,
            )
            wanted = digests and (progress is None or not part or part[-1] > progress)
            found = await self._compare(listed, before, upto, digests=wanted)
            yield Found(differences=found, upto=part[-1] if part else None, left=left)
            before = upto

    async def _compare(
        self, listed: Listed, after: Tag | None, upto: Tag | None, *, digests: bool
    ) -> tuple[Difference, ...]:
        result = compare(listed, await self._known(listed, after, upto), self._sight.routes)
        differences = [*result.differences]
        if digests:
            differences += await self._ask(listed.repository, result.questions)
        is_news = any(one.kind not in {DifferenceKind.BACKFILL, DifferenceKind.EXTRA} for one in differences)
        if not is_news or self._sight.calm == 0:
            return tuple(differences)
        await self._sight.clock.sleep(self._sight.calm)
        return still(differences, await self._known(listed, after, upto))

    async def _known(self, listed: Listed, after: Tag | None, upto: Tag | None) -> tuple[KnownTag, ...]:
        return await self._sight.known.tags(self._sight.replicas, listed.repository, after=after, upto=upto)

    async def _ask(self, repository: Repository, questions: Sequence[Question]) -> list[Difference]:
        async def ask(question: Question) -> tuple[Difference, ...]:
            async with self._asking:
                self._sight.counts.sweep_requested(SweepRequest.DIGEST)
                named: Digest | None = await self._sight.primary.named(repository, question.tag, question.known)
            return answered(question, named)

        found = await together([partial(ask, question) for question in questions])
        return [difference for some in found for difference in some]


class Examiner:
    """Makes owed what differs."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._finder = Finder(means.sight)

    async def examine(self, swept: Swept, *, digests: bool) -> Outcome:
        """Compare one repository and make owed what differs. Raises RegistryError, ContentError and StoreError."""
        means, began = self._means, self._means.clock.now()
        kinds: Counter[DifferenceKind] = Counter()
        extra: Counter[str] = Counter()
        found = self._finder.find(
            swept.repository,
            began,
            compared=swept.scope == means.scope,
            digests=digests,
            progress=swept.progress,
        )
        async for part in found:
            kinds += await self._record(part.differences)
            await self._doom(part.differences)
            extra.update(one.key.replica for one in part.differences if one.kind is DifferenceKind.EXTRA)
            if digests and part.left and part.upto is not None and part.upto > (swept.progress or ""):
                swept = under_way(swept, began, part.upto)
                await means.sweeps.keep([swept])
        for replica, count in extra.items():
            # Each of them is news once only, however often it is found to be still there.
            means.counts.difference_found(replica, DifferenceKind.EXTRA, max(0, count - swept.gone))
        if kinds:
            _log.info(SweepEvent.SWEEP_FOUND, repository=swept.repository, **{str(one): kinds[one] for one in kinds})
        return Outcome(
            began_at=began,
            full_began_at=swept.full_began_at or began,
            digests=digests,
            changed=any(kinds[one] for one in (DifferenceKind.MISSING, DifferenceKind.STALE)),
            gone=max(extra.values(), default=0),
            scope=means.scope,
        )

    async def _doom(self, differences: Sequence[Difference]) -> None:
        """Have deleted what the primary lost, where a rule says so; it is asked again before."""
        means = self._means
        found = () if means.deletions is None else doomed(differences, means.routes, means.clock.now())
        if means.deletions is None or not found:
            return
        for deletion, count in zip(found, await means.deletions.add_deletions(found), strict=True):
            if count:
                means.updates.update_owed(deletion.key.replica, UpdateKind.DELETE)

    async def _record(self, differences: Iterable[Difference]) -> Counter[DifferenceKind]:
        """Keep the intents, and count those that make something owed that was not."""
        owed = [(one, one.intent) for one in differences if one.intent is not None]
        kinds: Counter[DifferenceKind] = Counter()
        if not owed:
            return kinds
        recorded = await self._means.sink.record([intent for _, intent in owed])
        for (difference, intent), what in zip(owed, recorded, strict=True):
            if what is not Recorded.ACCEPTED:
                continue
            kinds[difference.kind] += 1
            self._means.counts.difference_found(intent.key.replica, difference.kind)
            self._means.updates.update_owed(intent.key.replica, UpdateKind.TAG)
        return kinds
