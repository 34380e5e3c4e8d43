"""Who wants to see each update being worked on: told when one is begun and when it ended."""

from typing import Protocol

from replicator.model import IntentKey
from replicator.replication.bring import Tally
from replicator.store.outcome import Done, Parked, Retry


class Watcher(Protocol):
    """Sees the work of all lanes; called on the event loop, must return at once and never raise."""

    def begun(self, key: IntentKey, tally: Tally) -> None:
        """Take note of work on `key`, whose bytes are counted in `tally` as they go."""
        ...

    def ended(self, key: IntentKey, outcome: Done | Retry | Parked | None) -> None:
        """Take note of how it ended; None: it was given back, or lost, and will be done again."""
        ...


class Watchers:
    """Those who watch; outlives every configuration."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []

    def add(self, watcher: Watcher) -> None:
        """Have `watcher` told from now on."""
        self._watchers.append(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Tell it no more."""
        self._watchers.remove(watcher)

    def begun(self, key: IntentKey, tally: Tally) -> None:
        """Tell of work that begins."""
        for one in self._watchers:
            one.begun(key, tally)

    def ended(self, key: IntentKey, outcome: Done | Retry | Parked | None) -> None:
        """Tell of work that has ended."""
        for one in self._watchers:
            one.ended(key, outcome)
