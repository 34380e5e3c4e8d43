"""What intake needs of the rest of the daemon."""

from collections.abc import Sequence
from typing import Protocol

from replicator.deletion import Deletion
from replicator.heard import Heard
from replicator.model import Change, Intent, Recorded


class IntentSink(Protocol):
    """Where intents are kept; replicator.store provides it."""

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        """Return what became of each intent, after all are on disk, and what told of them (`heard`) with them.

        Raises StoreError: nothing was kept.
        """
        ...

    def overhear(self, heard: Sequence[Heard]) -> None:
        """Remember events of which nothing came; the disk may wait."""
        ...

    async def keep_unreadable(self, endpoint: str, reason: str, body: bytes) -> None:
        """Keep a body nobody understood, for the operator to look at; bounded. Raises StoreError."""
        ...


class DeletionSink(Protocol):
    """Where it is kept what is to be deleted on replicas; replicator.store provides it."""

    async def add_deletions(self, found: Sequence[Deletion], heard: Sequence[Heard] = ()) -> tuple[int, ...]:
        """Return for each how many tags were not known to be deleted, after all are on disk. Raises StoreError.

        `heard` is what told of them.
        """
        ...


class Routing(Protocol):
    """What a change means for the replicas; replicator.routing provides it."""

    def route(self, change: Change, now: float) -> tuple[Intent, ...]:
        """Return one intent for each replica that the rules send the change to."""
        ...

    def doomed(self, change: Change, now: float) -> tuple[Deletion, ...]:
        """Return what a delete on the primary dooms on replicas."""
        ...


class WebhookMetrics(Protocol):
    """What intake counts; replicator.observability provides it."""

    def webhook_events(self, endpoint: str, result: str, count: int = 1) -> None:
        """Count `count` events of one delivery that had the same result."""
        ...

    def webhook_answered(self, endpoint: str, seconds: float) -> None:
        """Note how long an authentic delivery took from its head to its answer."""
        ...

    def delivery_delayed(self, endpoint: str, seconds: float) -> None:
        """Note how long after its own time an event was received."""
        ...

    def subscription_connected(self, endpoint: str, *, connected: bool) -> None:
        """Say whether the events of a subscription can come."""
        ...

    def update_owed(self, replica: str, kind: str) -> None:
        """Count an update that turned from clean to owed."""
        ...
