"""Goes through repositories tag by tag and holds each replica against the primary; writes nothing to any registry."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio

from replicator.audit.compare import Seen, compare, surplus
from replicator.audit.findings import Drift, Finding
from replicator.audit.holdings import Holdings
from replicator.audit.ports import Registry, Report, Rules
from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.model import Digest, Repository, Tag
from replicator.registry.listing import TagList
from replicator.together import together

RANGE = 500
"""Tags compared before what differs is looked at again."""
AT_ONCE = 16
"""Tags compared at a time."""
CALM = 3.0
"""Seconds after which what differs is looked at again: a push may have been on its way."""
_FAILURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What an audit works with: the primary, each replica by its name, and what it holds.

    `named` are repositories that somebody named, so that it is said where there are none; `propagating` are the
    replicas that some rule has deletes propagate to.
    """

    primary: Registry
    replicas: Mapping[str, Registry]
    holdings: Mapping[str, Holdings]
    rules: Rules
    report: Report
    clock: Clock
    named: Collection[Repository] = ()
    propagating: Collection[str] = ()


@dataclass(slots=True)
class _Reached:
    """Failures in a row of each registry that may pass, and those that were given up."""

    failures: Counter[str] = field(default_factory=Counter)
    given_up: dict[str, str] = field(default_factory=dict)


class Auditor:
    """One audit."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._reached = _Reached()

    async def audit(self, repositories: AsyncIterator[Repository]) -> None:
        """Compare all tags of each repository that a rule sends anywhere. Raises RegistryError of the list alone.

        Ends early where the primary fails again and again and does not even answer.
        """
        async for repository in repositories:
            await self._repository(repository)
            if self._means.primary.name in self._reached.given_up:
                return

    async def _repository(self, repository: Repository) -> None:
        primary = self._means.primary
        try:
            listing = await primary.all_tags(repository)
        except (RegistryError, ContentError) as error:
            await self._note_failure(primary, error)
            await self._unread(repository, str(error))
            return
        if not listing.tags and not listing.whole and repository in self._means.named:
            await self._unread(repository, f"{primary.name} shows no tags of {repository}: is the name right?")
        tags = [tag for tag in sorted(listing.tags) if self._chosen(repository, tag)]
        for start in range(0, len(tags), RANGE):
            await self._compare(repository, tags[start : start + RANGE], listing)
            if primary.name in self._reached.given_up:
                return
        for name in self._means.propagating:
            await self._tell_extra(name, repository, listing)

    def _chosen(self, repository: Repository, tag: Tag) -> list[str]:
        routed = self._means.rules.replicas_for(repository, tag)
        return [name for name in routed if name in self._means.holdings]

    async def _tell_extra(self, name: str, repository: Repository, listing: TagList) -> None:
        """Tell which tags a replica holds that deletes should have reached; one that is given up is not asked."""
        if name in self._reached.given_up:
            return

        def propagates(tag: Tag) -> bool:
            return name in self._chosen(repository, tag) and self._means.rules.policy(name, repository, tag).deletes

        try:
            held = await self._means.replicas[name].all_tags(self._means.holdings[name].target(repository))
            for tag in surplus(listing.tags, held.tags, whole=listing.whole, propagates=propagates):
                if await self._means.primary.stat_manifest(repository, tag) is None:
                    finding = Finding(kind=Drift.EXTRA, replica=name, repository=repository, reference=tag)
                    self._means.report.compared(name, finding)
                    await self._means.report.found(finding)
        except (RegistryError, ContentError) as error:
            await self._means.report.found(_finding(name, repository, None, str(error)))

    async def _compare(self, repository: Repository, tags: Sequence[Tag], listing: TagList) -> None:
        """Compare a range of tags; what differs is compared once more before it counts."""
        results = await self._each(repository, tags, listing)
        doubted = [tag for tag, found in results.items() if any(one is not None for one in found.values())]
        if doubted:
            await self._means.clock.sleep(CALM)
            results |= await self._each(repository, doubted, TagList({}, whole=False))
        for found in results.values():
            for replica, finding in found.items():
                self._means.report.compared(replica, finding)
                if finding is not None:
                    await self._means.report.found(finding)

    async def _each(
        self, repository: Repository, tags: Sequence[Tag], listing: TagList
    ) -> dict[Tag, dict[str, Finding | None]]:
        results: dict[Tag, dict[str, Finding | None]] = {}
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one(tag: Tag) -> None:
            async with limiter:
                results[tag] = await self._tag(repository, tag, listing.tags.get(tag))

        await together([partial(one, tag) for tag in tags])
        return {tag: results[tag] for tag in tags}

    async def _tag(self, repository: Repository, tag: Tag, listed: Digest | None) -> dict[str, Finding | None]:
        """Return what each replica lacks of one tag. The replicas first: the primary then need not tell much."""
        held: dict[str, Digest | None] = {}
        found: dict[str, Finding | None] = {}

        async def ask(name: str) -> None:
            try:
                held[name] = await self._means.holdings[name].named(repository, tag)
            except (RegistryError, ContentError) as error:
                found[name] = await self._failed(name, repository, tag, error)

        async def look(name: str, expected: Digest | None) -> None:
            try:
                found[name] = await self._one(name, repository, tag, expected, held[name])
            except (RegistryError, ContentError) as error:
                found[name] = await self._failed(error.registry or name, repository, tag, error, replica=name)

        chosen = self._chosen(repository, tag)
        for name in chosen:
            if name in self._reached.given_up:
                found[name] = _finding(name, repository, tag, self._reached.given_up[name])
        await together([partial(ask, name) for name in chosen if name not in found])
        try:
            expected = listed or await self._expected(repository, tag, [one for one in held.values() if one])
        except (RegistryError, ContentError) as error:
            await self._note_failure(self._means.primary, error)
            return found | {name: _finding(name, repository, tag, str(error)) for name in held}
        self._reached.failures[self._means.primary.name] = 0
        await together([partial(look, name, expected) for name in held])
        return {name: found[name] for name in chosen}

    async def _expected(self, repository: Repository, tag: Tag, held: Sequence[Digest]) -> Digest | None:
        primary = self._means.primary
        if held:
            return await primary.named(repository, tag, Counter(held).most_common(1)[0][0])
        there = await primary.stat_manifest(repository, tag)
        return None if there is None else there.digest

    async def _one(
        self, name: str, repository: Repository, tag: Tag, expected: Digest | None, held: Digest | None
    ) -> Finding | None:
        seen = Seen(expected=expected, held=held)
        if held is not None and held == expected:
            policy = self._means.rules.policy(name, repository, tag)
            lacks = await self._means.holdings[name].lacks(repository, held, policy)
            seen = Seen(expected=expected, held=held, lacks=lacks)
        self._reached.failures[name] = 0
        return compare(name, repository, tag, seen)

    async def _failed(
        self,
        registry: str,
        repository: Repository,
        tag: Tag,
        error: RegistryError | ContentError,
        *,
        replica: str | None = None,
    ) -> Finding:
        """Return what could not be read."""
        name = replica or registry
        if registry == name:
            await self._note_failure(self._means.replicas[name], error)
        return _finding(name, repository, tag, str(error))

    async def _note_failure(self, registry: Registry, error: RegistryError | ContentError) -> None:
        """Give up a registry that fails again and again, and does not even answer."""
        name, reached = registry.name, self._reached
        if not error.temporary or name in reached.given_up:
            return
        reached.failures[name] += 1
        if reached.failures[name] >= _FAILURES:
            reached.failures[name] = 0
            try:
                await registry.ping()
            except RegistryError:
                reached.given_up[name] = str(error)

    async def _unread(self, repository: Repository, problem: str) -> None:
        await self._means.report.found(_finding(self._means.primary.name, repository, None, problem))


def _finding(name: str, repository: Repository, tag: Tag | None, problem: str) -> Finding:
    return Finding(kind=Drift.UNREAD, replica=name, repository=repository, reference=tag, problem=problem)
