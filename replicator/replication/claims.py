"""Who brings which blob to a replica: images that share layers form a line for each blob, first come, first served.

A copy takes its place in the lines of all its blobs at once and keeps it until its manifests are put. It may wait for
those ahead of it and never for one behind, so waiting follows one total order and cannot go round in a circle. When
one that is ahead fails or is cancelled it leaves its lines, and the next in line brings the blob. Whoever is waited
for becomes as urgent as those who wait.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

import anyio

from replicator.model import Digest, Priority, Repository
from replicator.registry.urgency import Urgency, current


@dataclass(slots=True, eq=False)
class _Line:
    claims: "list[Claim]" = field(default_factory=list)
    changed: anyio.Event = field(default_factory=anyio.Event)

    def notify(self) -> None:
        """Wake whoever waits in this line."""
        event, self.changed = self.changed, anyio.Event()
        event.set()


class Claim:
    """The places of one copy to `repository`; those with a smaller `number` came before."""

    def __init__(self, number: int, repository: Repository, lines: dict[Digest, _Line]) -> None:
        self.number = number
        self.repository = repository
        self._lines = lines
        self._urgencies = {digest: Urgency(current().priority) for digest in lines}
        self._brought: set[Digest] = set()
        self._sent: set[Digest] = set()
        self._moved: dict[Digest, float] = {}

    def ahead(self, digest: Digest) -> "list[Claim]":
        """Return who came before in the line of `digest` and is still there, the first first."""
        claims = self._lines[digest].claims
        return claims[: claims.index(self)]

    def changed(self, digest: Digest) -> anyio.Event:
        """Return what is set at the next change in the line of `digest`."""
        return self._lines[digest].changed

    def urgency(self, digest: Digest) -> Urgency:
        """Return how urgent it is to bring that blob."""
        return self._urgencies[digest]

    def hurry(self, digest: Digest, priority: Priority) -> None:
        """Make bringing that blob at least as urgent."""
        self._urgencies[digest].raise_to(priority)

    def hurry_all(self, priority: Priority) -> None:
        """Make bringing every blob at least as urgent: somebody waits for the manifests."""
        for urgency in self._urgencies.values():
            urgency.raise_to(priority)

    def has_brought(self, digest: Digest) -> bool:
        """Say whether the replica has the blob in this claim's repository, although no manifest may name it yet."""
        return digest in self._brought

    def has_sent(self, digest: Digest) -> bool:
        """Say whether it did so by an upload: then no manifest of the repository can have named it before."""
        return digest in self._sent

    def moved(self, digest: Digest, now: float) -> None:
        """Take note that bytes of that blob were on their way at `now`, seconds of the monotonic clock."""
        self._moved[digest] = now

    def moved_at(self, digest: Digest | None = None) -> float:
        """Return when bytes of that blob moved last, of any blob without one; minus infinity when none did yet."""
        return max(self._moved.values(), default=-inf) if digest is None else self._moved.get(digest, -inf)

    def brought(self, digest: Digest, *, sent: bool) -> None:
        """Say that the replica has the blob in this claim's repository, by an upload of ours if `sent`."""
        self._brought.add(digest)
        if sent:
            self._sent.add(digest)
        self._lines[digest].notify()


class Claims:
    """All claims on blobs of one replica."""

    def __init__(self) -> None:
        self._lines: dict[Digest, _Line] = {}
        self._taken = 0

    def is_claimed(self, digest: Digest) -> bool:
        """Say whether some copy brings `digest` to some repository now."""
        return digest in self._lines

    @contextmanager
    def enter(self, repository: Repository, digests: Iterable[Digest]) -> Iterator[Claim]:
        """Take the last place in the line of each of `digests`; given up at the end, however it ends."""
        self._taken += 1
        lines = {digest: self._lines.setdefault(digest, _Line()) for digest in digests}
        claim = Claim(self._taken, repository, lines)
        for line in lines.values():
            line.claims.append(claim)
        try:
            yield claim
        finally:
            for digest, line in lines.items():
                line.claims.remove(claim)
                if not line.claims:
                    del self._lines[digest]
                line.notify()
