"""What may need a manifest on one replica is read there, within bounds, right before that is deleted (G8)."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from replicator import manifest as manifests
from replicator.errors import ContentError, NotFound, Withheld
from replicator.manifest import Manifest
from replicator.model import MANIFEST_TYPES, SCHEMA1_TYPES, Descriptor, Digest, IntentKey, Repository, Tag
from replicator.need import Names, Surroundings, is_needed
from replicator.replication.deletion_ports import DigestRows
from replicator.replication.ports import Replica
from replicator.together import together

MOST = 2000
"""Requests for one manifest; what takes more is not deleted. Also the most tags, and rows, that are looked at."""
AT_ONCE = 8
"""Requests at a time."""
_REMEMBERED = 20_000
_T = TypeVar("_T")


class _Unknown(Exception):
    """It cannot be told whether anything needs the manifest."""


class Needs:
    """Asks one replica; remembers of manifests what they name, which never changes."""

    def __init__(self, replica: Replica, rows: DigestRows, *, most: int = MOST) -> None:
        self._replica = replica
        self._rows = rows
        self._most = most
        # Ordered: to find the first entry of a plain dictionary takes longer the more were dropped before it.
        self._names: OrderedDict[Digest, Names] = OrderedDict()

    async def is_needed(self, key: IntentKey, target: Repository, digest: Digest) -> bool | None:
        """Say whether anything in `target` needs `digest`; None where not all of it was told, or it is too much.

        Raises RegistryError, StoreError.
        """
        search = _Search(self._replica, target, digest, self._names, self._most)
        try:
            return await search.run(await self._rows.digest_rows(key.replica, key.repository, self._most + 1))
        except (_Unknown, ContentError, Withheld):
            return None
        finally:
            while len(self._names) > _REMEMBERED:
                self._names.popitem(last=False)


class _Search:
    """One question, answered as soon as what is known by then says yes."""

    def __init__(
        self, replica: Replica, target: Repository, digest: Digest, names: dict[Digest, Names], most: int
    ) -> None:
        self._replica = replica
        self._target = target
        self._digest = digest
        self._names = names
        self._left = most
        self._most = most

    async def run(self, rows: Sequence[Digest]) -> bool:
        own = await self._read(self._digest)
        if own is None or len(rows) > self._most:
            raise _Unknown
        tags, referrers = await self._tags(), await self._referrers()
        if is_needed(self._digest, Surroundings(tags=tags, names={}, referrers=referrers)):
            return True
        found = await self._each([partial(self._stat, tag) for tag in tags])
        named = {tag: one.digest for tag, one in zip(tags, found, strict=True)}
        if is_needed(self._digest, Surroundings(tags=named, names={})):
            return True
        tops = {one.digest for one in found if _may_list(one)} | set(rows)
        names = {one: self._names[one] for one in named.values() if one in self._names}
        names |= await self._below(tops) | {self._digest: own}
        return is_needed(self._digest, Surroundings(tags=named, rows=frozenset(rows), names=names))

    async def _tags(self) -> dict[Tag, Digest | None]:
        """Return all tags, with what they name where the list tells it."""
        self._spend(2)
        if await self._replica.few_tags(self._target, self._most) is None:
            raise _Unknown
        listing = await self._replica.all_tags(self._target)
        if not listing.whole:
            raise _Unknown
        return dict(listing.tags)

    async def _referrers(self) -> frozenset[Digest]:
        """Return what the replica's own API lists; what is listed under a tag is read with the tags."""
        self._spend(1)
        listed = await self._replica.referrers(self._target, self._digest)
        return frozenset(one.digest for one in listed or ())

    async def _stat(self, tag: Tag) -> Descriptor:
        self._spend(1)
        found = await self._replica.stat_manifest(self._target, tag)
        if found is None:  # it was in the list: one of both answers is wrong
            raise _Unknown
        return found

    async def _below(self, tops: set[Digest]) -> dict[Digest, Names]:
        """Return what these manifests name, and all indexes below them; of what is not there, nothing."""
        read: dict[Digest, Names] = {}
        level, seen = set(tops), set(tops)
        while level:
            wanted = sorted(level)
            found = await self._each([partial(self._read, one) for one in wanted])
            new = {one: names for one, names in zip(wanted, found, strict=True) if names is not None}
            read |= new
            level = {one for names in new.values() for one in names.indexes} - seen
            seen |= level
        return read

    async def _read(self, digest: Digest) -> Names | None:
        known = self._names.get(digest)
        if known is not None:
            return known
        self._spend(1)
        try:
            raw = await self._replica.read_manifest(self._target, digest)
        except NotFound:
            return None
        names = self._names[digest] = _names(manifests.parse(raw, registry=self._replica.name))
        return names

    async def _each(self, calls: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
        found: list[_T] = []
        for start in range(0, len(calls), AT_ONCE):
            found += await together(calls[start : start + AT_ONCE])
        return found

    def _spend(self, requests: int) -> None:
        self._left -= requests
        if self._left < 0:
            raise _Unknown


def _names(parsed: Manifest) -> Names:
    named = (*parsed.children, *parsed.omitted)
    return Names(
        frozenset(child.digest for child in named),
        frozenset(child.digest for child in named if _may_list(child)),
        None if parsed.subject is None else parsed.subject.digest,
    )


def _may_list(named: Descriptor) -> bool:
    return named.media_type not in MANIFEST_TYPES | SCHEMA1_TYPES
