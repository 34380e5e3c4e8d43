"""What one replica is known to hold: the first rung of the dedupe ladder (DESIGN 3).

Known means: shown by an answer of the replica itself, keyed by repository (S20), for a bounded time, and dropped as
soon as the replica says that content is missing. A short time ago it is *proven*; after that it is *believed*, which
is enough where the replica checks manifests, and asked about again where it does not.
"""

from collections import OrderedDict
from typing import TypeVar

from replicator.clock import Clock
from replicator.model import Digest, Repository
from replicator.plan import Others

KNOWN_MAX = 200_000
"""Entries kept; the least recently used go first."""
KNOWN_FOR = 3600.0
"""Seconds for which an entry is believed."""
PROVEN_FOR = 60.0
"""Seconds for which an entry counts as proof: no longer than a copy may take between an answer and its tag."""
_NEW_IN_A_ROW = 3
_K = TypeVar("_K")
_V = TypeVar("_V")


class Presence:
    """Blobs and manifests of one replica, and how well we know its repositories."""

    def __init__(
        self,
        clock: Clock,
        *,
        known_max: int = KNOWN_MAX,
        known_for: float = KNOWN_FOR,
        proven_for: float = PROVEN_FOR,
    ) -> None:
        self._clock = clock
        self._max = known_max
        self._for = known_for
        self._proven_for = proven_for
        self._known: OrderedDict[tuple[Repository, Digest], float] = OrderedDict()
        self._holders: OrderedDict[Digest, Repository] = OrderedDict()
        self._others: OrderedDict[Repository, tuple[Others, float]] = OrderedDict()
        self._new_in_a_row = 0

    def knows(self, repository: Repository, digest: Digest) -> bool:
        """Say whether `repository` was shown to hold `digest` within the hour."""
        return self._within(repository, digest, self._for)

    def proven(self, repository: Repository, digest: Digest) -> bool:
        """Say whether it was shown so lately that asking again would prove no more."""
        return self._within(repository, digest, min(self._for, self._proven_for))

    def learn(self, repository: Repository, digest: Digest) -> None:
        """Keep that the replica proved to hold `digest` in `repository`."""
        _keep(self._known, (repository, digest), self._clock.monotonic(), self._max)
        _keep(self._holders, digest, repository, self._max)

    def holder(self, digest: Digest) -> Repository | None:
        """Return the repository that was last proven to hold `digest`, if that is still believed."""
        repository = self._holders.get(digest)
        return repository if repository is not None and self.knows(repository, digest) else None

    def forget(self, repository: Repository) -> None:
        """Drop everything believed of `repository`: the replica said that something is missing there."""
        for key in [key for key in self._known if key[0] == repository]:
            del self._known[key]
        self._others.pop(repository, None)

    def lost(self, repository: Repository, digest: Digest) -> None:
        """Drop what is believed of one manifest or blob: it may be deleted there."""
        self._known.pop((repository, digest), None)

    # What a repository may hold that we do not know of

    def others(self, repository: Repository, *, remembered: bool) -> Others:
        """Say what `repository` holds that is not known here; `remembered`: the store knows of content there.

        Where the last few repositories that were new to us turned out to hold nothing, so will the next.
        """
        value, until = self._others.get(repository, (Others.UNKNOWN, 0.0))
        if self._clock.monotonic() < until:
            return value
        return Others.NONE if remembered or self._new_in_a_row >= _NEW_IN_A_ROW else Others.UNKNOWN

    def found(self, repository: Repository, *, there: bool) -> None:
        """Take note of what came of asking for something of which nothing was known."""
        value, until = self._others.get(repository, (Others.UNKNOWN, 0.0))
        known = self._clock.monotonic() < until
        if there:
            self._new_in_a_row = 0
        elif known:
            return
        else:
            self._new_in_a_row += 1
        value = Others.SOME if there else Others.NONE
        _keep(self._others, repository, (value, self._clock.monotonic() + self._for), self._max)

    def _within(self, repository: Repository, digest: Digest, seconds: float) -> bool:
        shown = self._known.get((repository, digest))
        if shown is None or self._clock.monotonic() - shown > seconds:
            return False
        self._known.move_to_end((repository, digest))
        return True


def _keep(memory: OrderedDict[_K, _V], key: _K, value: _V, most: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > most:
        memory.popitem(last=False)
