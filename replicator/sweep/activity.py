"""What webhooks tell a sweep: which repositories are active, and when the intake could not take them."""

from collections.abc import Mapping, Sequence

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.heard import Heard
from replicator.model import Intent, Recorded, Repository
from replicator.sweep.ports import Deliveries


class Activity:
    """Remembers in memory what came since a sweep last asked; outlives every configuration.

    It begins with a gap that ends at `started_at` (Unix seconds): what came before nobody took.
    """

    def __init__(self, started_at: float) -> None:
        self._changed: dict[Repository, float] = {}
        self._refused_since: float | None = None
        self._gap: float | None = started_at

    def changed(self, repository: Repository, at: float) -> None:
        """Note that something changed in a repository (Unix seconds)."""
        self._changed[repository] = at

    def refused(self, at: float) -> None:
        """Note that a delivery could not be taken: its sender may give up or be restarted meanwhile."""
        if self._refused_since is None:
            self._refused_since = at

    def taken(self) -> None:
        """Note that deliveries are taken; a gap ends with that."""
        if self._refused_since is not None:
            self.missed(self._refused_since)
            self._refused_since = None

    def missed(self, since: float) -> None:
        """Note a gap that has ended just now: what came from then on may not have reached us (Unix seconds)."""
        self._gap = since if self._gap is None else min(self._gap, since)

    def drain(self) -> dict[Repository, float]:
        """Return when something last changed in which repository, and forget it."""
        changed, self._changed = self._changed, {}
        return changed

    def take_gap(self) -> float | None:
        """Return the beginning of a gap in the intake that has ended, once; None where there was none."""
        gap, self._gap = self._gap, None
        return gap

    def give_back(self, *, changed: Mapping[Repository, float] | None = None, gap: float | None = None) -> None:
        """Take back what was drained or taken, and could not be kept: it is told again, with what came since."""
        self._changed = {**(changed or {}), **self._changed}
        if gap is not None:
            self.missed(gap)


class WatchedSink:
    """Where webhooks' intents go, seen by sweeps on the way."""

    def __init__(self, sink: Deliveries, activity: Activity, clock: Clock) -> None:
        self._sink = sink
        self._activity = activity
        self._clock = clock

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        """Keep intents and what told of them, durably. Raises StoreError."""
        try:
            recorded = await self._sink.record(intents, heard)
        except StoreError:
            self._activity.refused(self._clock.now())
            raise
        self._activity.taken()
        now = self._clock.now()
        for intent, what in zip(intents, recorded, strict=True):
            if what is not Recorded.KNOWN:
                self._activity.changed(intent.key.repository, now)
        return recorded

    def overhear(self, heard: Sequence[Heard]) -> None:
        """Remember events of which nothing came."""
        self._sink.overhear(heard)

    async def keep_unreadable(self, endpoint: str, reason: str, body: bytes) -> None:
        """Keep a body nobody understood. Raises StoreError."""
        await self._sink.keep_unreadable(endpoint, reason, body)
