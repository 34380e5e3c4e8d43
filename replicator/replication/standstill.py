"""No manifest is deleted on a replica while a copy to its repository may rely on it.

A copy asks the replica what it has, and then puts what names it: between the two nothing of that may go.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakSet

import anyio

from replicator.model import Digest, Repository
from replicator.replication.presence import Presence


class Watch:
    """Whether a copy to one repository was under way at any time since this was made."""

    def __init__(self, *, disturbed: bool) -> None:
        self.disturbed = disturbed


class Standstill:
    """The copies to one registry, what they wait for, and what they believe, by repository there."""

    def __init__(self) -> None:
        self._believed: WeakSet[Presence] = WeakSet()
        self._copies: Counter[Repository] = Counter()
        self._watches: dict[Repository, list[Watch]] = {}
        self._held: dict[Repository, anyio.Event] = {}

    def believes(self, presence: Presence) -> None:
        """Have `lost` told to a presence for as long as it is used: another configuration has its own."""
        self._believed.add(presence)

    def lost(self, repository: Repository, digest: Digest) -> None:
        """Have nobody believe in a manifest that may be deleted."""
        for presence in self._believed:
            presence.lost(repository, digest)

    @asynccontextmanager
    async def copying(self, repository: Repository) -> AsyncIterator[bool]:
        """Copy to a repository, once nothing is deleted there; gives whether there was a wait for that."""
        waited = False
        while (held := self._held.get(repository)) is not None:
            waited = True
            await held.wait()
        self._copies[repository] += 1
        for watch in self._watches.get(repository, ()):
            watch.disturbed = True
        try:
            yield waited
        finally:
            self._copies[repository] -= 1
            if not self._copies[repository]:
                del self._copies[repository]

    @contextmanager
    def watching(self, repository: Repository) -> Iterator[Watch]:
        """Be told of copies to a repository."""
        watch = Watch(disturbed=repository in self._copies)
        self._watches.setdefault(repository, []).append(watch)
        try:
            yield watch
        finally:
            left = [one for one in self._watches[repository] if one is not watch]
            if left:
                self._watches[repository] = left
            else:
                del self._watches[repository]

    @asynccontextmanager
    async def holding(self, repository: Repository) -> AsyncIterator[None]:
        """Have copies to a repository wait that are not under way yet; one at a time holds them."""
        while (held := self._held.get(repository)) is not None:
            await held.wait()
        self._held[repository] = anyio.Event()
        try:
            yield
        finally:
            self._held.pop(repository).set()


class Standstills:
    """Those of all registries, by URL: the lanes of a former configuration still copy as the next deletes."""

    def __init__(self) -> None:
        self._all: dict[str, Standstill] = {}

    def of(self, url: str) -> Standstill:
        """Return that of the registry at `url`."""
        return self._all.setdefault(url, Standstill())
