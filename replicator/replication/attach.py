"""Bring what belongs to an image to one replica, and have it listed there; what is refused never holds the image.

One that cannot be brought is set aside, in the daemon into a row of its own; the image goes on.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from replicator.errors import ContentError, RegistryError
from replicator.manifest import Closure
from replicator.model import Digest, Lease, RawManifest, Reference, Repository, Tag
from replicator.replication.asides import Asides
from replicator.replication.closure_copy import never_mind
from replicator.replication.companions import Companion, Found
from replicator.replication.held import held_digest
from replicator.replication.referrer_lists import ReferrerLists
from replicator.replication.tag_put import TRIES, Moved, Origin, TagPut, moves_too_often
from replicator.replication.tools import Tools
from replicator.together import together

PATIENCE = 2
"""Failed attempts for which an image waits for companions whose trouble may pass; then it goes on without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """For whom companions are brought: the `lease`, the `target` there, and what copies a closure to it.

    `copy` asks what it is given right before it puts the reference; `may_publish` is what the image itself asks.
    """

    lease: Lease
    origin: Origin
    target: Repository
    copy: Callable[[Closure, Reference, Callable[[], Awaitable[None]]], Awaitable[None]]
    may_publish: Callable[[], Awaitable[None]]
    keeps_conflicts: bool = False


class Attacher:
    """Attaches companions on one replica."""

    def __init__(self, tools: Tools, asides: Asides, lists: ReferrerLists) -> None:
        self._tools = tools
        self._asides = asides
        self._lists = lists

    async def attach(self, errand: Errand, found: Found) -> tuple[Digest, ...]:
        """Bring all that was found, level by level; return the manifests that are there for it now.

        Raises a temporary error while the image may still wait for what is in trouble, whatever is not a registry's
        doing, and in the end what is wrong with the leased reference itself: it has a row of its own already.
        """
        own = errand.lease.key.reference
        for reference, error in found.unusable.items():
            if reference != own:
                await self._asides.set_aside(errand.lease, reference, error)
        arrived: list[Digest] = []
        for level in found.levels:
            groups = [
                partial(self._group, errand, subject, tuple(one for one in level if one.subject == subject))
                for subject in dict.fromkeys(one.subject for one in level)
            ]
            for brought in await together(groups):
                arrived += (manifest.raw.digest for one in brought for manifest in one.closure.manifests)
        if own in found.unusable:
            raise found.unusable[own]
        return tuple(arrived)

    async def list_referrer(self, target: Repository, subject: Digest, referrer: RawManifest) -> None:
        """Have the replica list a referrer that it holds. Raises RegistryError, ContentError."""
        await self._lists.add(target, subject, [referrer])

    async def _group(
        self, errand: Errand, subject: Digest | None, members: tuple[Companion, ...]
    ) -> tuple[Companion, ...]:
        """Bring those that are listed under one subject; return what is there and listed."""
        try:
            return await self._brought(errand, subject, members)
        except (RegistryError, ContentError) as error:
            _raise_if_worth_waiting(errand, error)
            for one in members:
                await self._asides.set_aside(errand.lease, one.reference, error)
            return ()

    async def _brought(
        self, errand: Errand, subject: Digest | None, members: tuple[Companion, ...]
    ) -> tuple[Companion, ...]:
        listed = frozenset[Digest]() if subject is None else await self._lists.read(errand.target, subject)
        calls = [partial(self._bring, errand, one, listed=one.raw.digest in listed) for one in members]
        brought = tuple(one for one in await together(calls) if one is not None)
        if subject is not None:
            unlisted = [one.raw for one in brought if one.raw.digest not in listed]
            await self._lists.add(errand.target, subject, unlisted)
        return brought

    async def _bring(self, errand: Errand, companion: Companion, *, listed: bool) -> Companion | None:
        """Return the companion that is there now; None for one that was set aside or is gone."""
        reference, digest = companion.reference, companion.raw.digest
        held = await self._held(errand, companion, listed=listed)
        if held == digest:
            return companion
        if await self._asides.is_given_up(errand.lease, reference):
            return None
        try:
            if not isinstance(reference, Digest):
                keep = errand.keeps_conflicts
                await self._asides.weigh(errand.lease, reference, held, digest, keep=keep)
                return await self._newest(errand, companion, reference)
            await errand.copy(companion.closure, companion.reference, never_mind)
        except (RegistryError, ContentError) as error:
            _raise_if_worth_waiting(errand, error)
            await self._asides.set_aside(errand.lease, companion.reference, error)
            return None
        return companion

    async def _newest(self, errand: Errand, companion: Companion, tag: Tag) -> Companion | None:
        """Copy what goes by `tag`, `companion` or what it names by then, and return that; None when it is gone."""
        newest: Companion | None = companion
        for _ in range(TRIES):
            if newest is None:
                return None
            if newest is not companion and await self._held(errand, newest, listed=False) == newest.raw.digest:
                return newest
            put = TagPut(errand.origin, self._asides, errand.lease, newest, errand.may_publish)
            try:
                await errand.copy(newest.closure, tag, put.check)
            except Moved:
                newest = await errand.origin.read(tag)
                continue
            await put.done()
            return newest
        raise moves_too_often(errand.origin.source.name, tag)

    async def _held(self, errand: Errand, companion: Companion, *, listed: bool) -> Digest | None:
        """Return what the replica has by the companion's reference, None for nothing."""
        digest, reference = companion.raw.digest, companion.reference
        if isinstance(reference, Digest):
            if self._tools.presence.knows(errand.target, digest):
                return digest
            if not listed:
                return None  # where a registry has come to list by itself, it lists what is put again
        return await held_digest(self._tools.replica, errand.target, reference)


def _raise_if_worth_waiting(errand: Errand, error: RegistryError | ContentError) -> None:
    if error.temporary and errand.lease.attempts < PATIENCE:
        raise error
