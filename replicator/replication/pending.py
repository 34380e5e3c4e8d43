"""How many bytes a replica is known to lack: of the updates under way, and of those that failed, as far as was seen.

A lower bound: what a manifest needs is known once it was read, so updates that nobody has begun count nothing.
"""

from collections.abc import Iterable
from typing import Final

from replicator.model import Digest, IntentKey
from replicator.replication.bring import Tally

_REMEMBERED: Final = 2_000


class PendingBytes:
    """What updates of one replica lack; the newest 2,000 of those that failed are remembered."""

    def __init__(self) -> None:
        self._running: dict[IntentKey, Tally] = {}
        self._failed: dict[IntentKey, dict[Digest, int]] = {}

    def begun(self, key: IntentKey, tally: Tally) -> None:
        """Count what `tally` says is missing, from now on."""
        self._running[key] = tally

    def failed(self, key: IntentKey) -> None:
        """Remember what is missing until the update is done; an attempt that planned nothing says nothing new."""
        tally = self._running.pop(key, None)
        if tally is None or not tally.missing:
            return
        self._failed.pop(key, None)
        self._failed[key] = tally.missing
        if len(self._failed) > _REMEMBERED:
            del self._failed[next(iter(self._failed))]

    def done(self, keys: Iterable[IntentKey]) -> None:
        """Count these no longer."""
        for key in keys:
            self._running.pop(key, None)
            self._failed.pop(key, None)

    def total(self) -> int:
        """Return the bytes, those of a blob that several updates need once. May be called from any thread."""
        missing: dict[Digest, int] = {}
        # To list a dictionary is one step for other threads, to go through it is not.
        for key, found in list(self._failed.items()):
            running = self._running.get(key)
            if running is None or not running.missing:
                missing.update(list(found.items()))
        for tally in list(self._running.values()):
            missing.update(list(tally.missing.items()))
        return sum(missing.values())
