"""What one replica is known to hold, and which blobs are on their way to it right now.

The first two rungs of the dedupe ladder (DESIGN 3). Known means: proven by an answer of the replica itself, keyed by
repository (S20), for a bounded time, and dropped as soon as the replica says that content is missing.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from replicator.clock import Clock
from replicator.model import Digest, Repository

KNOWN_MAX = 200_000
"""Entries kept; the least recently used go first."""
KNOWN_FOR = 3600.0
"""Seconds for which an entry is believed."""


class Upload:
    """A blob that is being brought to `repository` by one worker; others may wait until it has `ended`."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.ended = anyio.Event()


class Presence:
    """Blobs and manifests of one replica: known to be there, or under way."""

    def __init__(self, clock: Clock, *, known_max: int = KNOWN_MAX, known_for: float = KNOWN_FOR) -> None:
        self._clock = clock
        self._max = known_max
        self._for = known_for
        self._known: OrderedDict[tuple[Repository, Digest], float] = OrderedDict()
        self._holders: OrderedDict[Digest, Repository] = OrderedDict()
        self._under_way: dict[Digest, Upload] = {}

    def knows(self, repository: Repository, digest: Digest) -> bool:
        """Say whether `repository` was proven to hold `digest` a short time ago."""
        proven = self._known.get((repository, digest))
        if proven is None or self._clock.monotonic() - proven > self._for:
            return False
        self._known.move_to_end((repository, digest))
        return True

    def learn(self, repository: Repository, digest: Digest) -> None:
        """Keep that the replica proved to hold `digest` in `repository`."""
        self._known[repository, digest] = self._clock.monotonic()
        self._known.move_to_end((repository, digest))
        while len(self._known) > self._max:
            self._known.popitem(last=False)
        self._holders[digest] = repository
        self._holders.move_to_end(digest)
        while len(self._holders) > self._max:
            self._holders.popitem(last=False)

    def holder(self, digest: Digest) -> Repository | None:
        """Return the repository that was last proven to hold `digest`, if that is still believed."""
        repository = self._holders.get(digest)
        return repository if repository is not None and self.knows(repository, digest) else None

    def forget(self, repository: Repository) -> None:
        """Drop everything believed of `repository`: the replica said that something is missing there."""
        for key in [key for key in self._known if key[0] == repository]:
            del self._known[key]

    def under_way(self, digest: Digest) -> Upload | None:
        """Return the upload that brings `digest` to some repository of this replica now."""
        return self._under_way.get(digest)

    @contextmanager
    def bring(self, repository: Repository, digest: Digest) -> Iterator[None]:
        """Be the one who brings `digest`; whoever waits is woken at the end, however it ends."""
        upload = Upload(repository)
        self._under_way[digest] = upload
        try:
            yield
        finally:
            if self._under_way.get(digest) is upload:
                del self._under_way[digest]
            upload.ended.set()
