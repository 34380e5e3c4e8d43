"""Lists of referrers on one replica: by its own API, else in an index under a fallback tag, which we keep (R3, R4).

A registry has no compare-and-swap, so a list is read, merged, written and read back, and written again when somebody
else's write came in between. What was in it stays.
"""

import random
from collections.abc import Collection, Sequence
from functools import partial
from weakref import WeakValueDictionary

import anyio

from replicator import manifest as manifests
from replicator import referrers
from replicator.clock import Clock
from replicator.errors import ContentError, ManifestBlobUnknown, NotFound, Reason, RegistryError
from replicator.model import Digest, RawManifest, Repository
from replicator.registry.capabilities import Capability
from replicator.replication.held import is_absent
from replicator.replication.ports import Replica
from replicator.together import together

TRIES = 5
"""Writes of one list until we give up for now."""
_PAUSE = 0.2


class _Turn:
    """Who may write one list now."""

    def __init__(self) -> None:
        self.lock = anyio.Lock()


class ReferrerLists:
    """The lists of one replica; shared by all that write to it, so that they do not undo each other's entries."""

    def __init__(self, replica: Replica, clock: Clock, rng: random.Random) -> None:
        self._replica = replica
        self._clock = clock
        self._rng = rng
        self._turns: WeakValueDictionary[tuple[Repository, Digest], _Turn] = WeakValueDictionary()

    async def read(self, repository: Repository, subject: Digest) -> frozenset[Digest]:
        """Return what the replica lists as referrers of `subject`."""
        listed = await self._by_api(repository, subject)
        if listed is not None:
            return listed
        held = await self._held(repository, subject)
        return frozenset() if held is None else self._named_in(held)

    async def add(self, repository: Repository, subject: Digest, added: Sequence[RawManifest]) -> None:
        """Have the replica list `added`, which it holds; nothing is to be done where it has the API.

        Raises ContentError when something else has the fallback tag, or the list would be too large; RegistryError.
        """
        if not added or await self._lists_by_itself(repository, subject):
            return
        entries = [referrers.entry_of(raw) for raw in added]
        turn = self._turns.setdefault((repository, subject), _Turn())
        async with turn.lock:
            for tried in range(TRIES + 1):
                held = await self._held(repository, subject)
                merged = referrers.merge(held, entries)
                if merged is None:
                    return
                if tried:
                    await self._clock.sleep(_PAUSE * 2**tried * self._rng.random())
                await self._write(repository, subject, merged, {raw.digest for raw in added})
        raise self._overwritten(repository, subject)

    async def remove(self, repository: Repository, subject: Digest, gone: Digest) -> bool:
        """Have the list under the fallback tag of `subject` not name `gone`; return whether it did. Raises as `add`.

        Also where the replica has the API, which tells by itself what it holds.
        """
        turn = self._turns.setdefault((repository, subject), _Turn())
        async with turn.lock:
            for tried in range(TRIES + 1):
                held = await self._kept_list(repository, subject)
                if held is None or gone not in self._named_in(held):
                    return tried > 0
                if tried:
                    await self._clock.sleep(_PAUSE * 2**tried * self._rng.random())
                await self._write(repository, subject, referrers.without(held, [gone]), ())
        raise self._overwritten(repository, subject)

    async def _kept_list(self, repository: Repository, subject: Digest) -> RawManifest | None:
        try:
            return await self._held(repository, subject)
        except ContentError:
            return None  # no list: it names no referrer

    def _overwritten(self, repository: Repository, subject: Digest) -> RegistryError:
        return RegistryError(
            f"{self._replica.name}: the list of referrers of {subject} in {repository} is overwritten all the time",
            registry=self._replica.name,
            reason=Reason.CONFLICT,
            temporary=True,
        )

    async def _lists_by_itself(self, repository: Repository, subject: Digest) -> bool:
        known = self._replica.capabilities.holds(Capability.REFERRERS)
        return known if known is not None else await self._by_api(repository, subject) is not None

    async def _by_api(self, repository: Repository, subject: Digest) -> frozenset[Digest] | None:
        """Return what the API lists; None where it did not prove to be there.

        "No such repository" proves nothing: what has no API may answer so too, and the repository holds something.
        """
        listed = await self._replica.referrers(repository, subject)
        if listed is None or not self._replica.capabilities.holds(Capability.REFERRERS):
            return None
        return frozenset(entry.digest for entry in listed)

    async def _held(self, repository: Repository, subject: Digest) -> RawManifest | None:
        tag = referrers.fallback_tag(subject)
        try:
            held = await self._replica.read_manifest(repository, tag)
        except NotFound:
            return None
        if referrers.is_list(held, subject):
            return held
        name = self._replica.name
        problem = (
            f"{name}: takes the tag of a list of referrers for the digest itself: none can be kept in {repository}"
            if held.digest == subject
            else f"{name}: {repository}:{tag} is no list of referrers, and is not overwritten"
        )
        raise ContentError(problem, registry=name, reason=Reason.UNSUPPORTED)

    def _named_in(self, held: RawManifest) -> frozenset[Digest]:
        return frozenset(child.digest for child in manifests.parse(held, registry=self._replica.name).children)

    async def _write(
        self, repository: Repository, subject: Digest, merged: RawManifest, added: Collection[Digest]
    ) -> None:
        tag = referrers.fallback_tag(subject)
        try:
            await self._replica.write_manifest(repository, tag, merged)
        except ManifestBlobUnknown:
            # Some registries refuse a list once anything in it was deleted: that entry is true no more.
            others = self._named_in(merged) - set(added)
            absent = await together([partial(is_absent, self._replica, repository, one) for one in others])
            gone = [one for one, is_gone in zip(others, absent, strict=True) if is_gone]
            if not gone:
                raise
            await self._replica.write_manifest(repository, tag, referrers.without(merged, gone))
