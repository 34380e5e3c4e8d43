"""What the admin listener needs of the rest of the daemon, each as narrow as its use.

`Store`, `RegistryClient`, the engine's lane views and the metrics satisfy these without an adapter.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from replicator.heard import Event, Heard
from replicator.lacks import Look
from replicator.model import Change, Descriptor, Digest, Intent, IntentKey, Recorded, Reference, Repository
from replicator.policy import Policy
from replicator.routing import Reasons
from replicator.store.rows import Row, StoreSummary, Unreadable
from replicator.store.sweep_rows import Swept


class StoreReads(Protocol):
    """The store as the API sees it. Every call raises StoreError when the store cannot answer."""

    async def summary(self) -> StoreSummary:
        """Return what each replica owes, at one moment."""
        ...

    async def row(self, key: IntentKey) -> Row | None:
        """Return one row, None when there is none."""
        ...

    async def rows(
        self,
        *,
        replica: str | None = None,
        parked: bool | None = None,
        only_ignored: bool = False,
        after: IntentKey | None = None,
        limit: int = 100,
    ) -> tuple[Row, ...]:
        """Return a page of rows in a stable order behind `after`.

        Of those owed the parked, or only the others; or those that are ignored by decision.
        """
        ...

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        """Keep `intents` and what told of them; returns once they are on disk."""
        ...

    async def repair(self, intents: Sequence[Intent], damaged: Collection[Digest] = ()) -> tuple[Recorded, ...]:
        """Keep `intents` as `record` does, and that what the replicas hold of them is not to be believed."""
        ...

    def listen(self, callback: Callable[[Sequence[IntentKey]], None]) -> None:
        """Call `callback` on the event loop with the keys of rows that changed."""
        ...


class Decisions(Protocol):
    """Where it is kept what operators decide. Every call raises StoreError when it cannot be."""

    async def pause(self, replica: str) -> bool:
        """Give the replica's lane no more leases; return whether it was at work before."""
        ...

    async def resume(self, replica: str) -> bool:
        """Give it leases again; return whether it was paused."""
        ...

    async def resume_deletes(self, replica: str) -> bool:
        """Let its deletes go on that wait for an operator, however many; return whether they did."""
        ...

    async def paused_since(self, replica: str) -> float | None:
        """Return since when it is paused (Unix seconds), None when it is not."""
        ...

    async def make_due(self, replica: str) -> int:
        """Make all failing rows of the replica due now, parked or not; return how many were not."""
        ...

    async def retry(self, keys: Sequence[IntentKey]) -> tuple[IntentKey, ...]:
        """Make failing rows due now; return the keys of those that were not."""
        ...

    async def ignore(self, keys: Sequence[IntentKey], digest: Digest | None) -> tuple[IntentKey, ...]:
        """Take owed rows out of lag and return their keys; `digest` is what the primary names, if known."""
        ...

    async def heed(self, keys: Sequence[IntentKey]) -> Mapping[IntentKey, Recorded]:
        """Make ignored rows owed again; return what came of each."""
        ...

    async def row(self, key: IntentKey) -> Row | None:
        """Return one row, None when there is none."""
        ...


class StoreHealth(Protocol):
    """How the store says that it works."""

    async def tick(self) -> None:
        """Return when the store has come round to this call. Raises StoreError."""
        ...

    async def writable(self) -> bool:
        """Say whether a row can be committed and synced right now."""
        ...


class Explainable(Protocol):
    """The store as an explanation reads it. Every call raises StoreError."""

    async def row(self, key: IntentKey) -> Row | None:
        """Return one row, None when there is none."""
        ...

    async def rows_before(self, row: Row) -> int:
        """Return how many owed rows come before an owed one."""
        ...

    async def paused_since(self, replica: str) -> float | None:
        """Return since when a replica is paused (Unix seconds), None when it is not."""
        ...

    async def events(self, repository: Repository, reference: Reference, limit: int) -> tuple[Event, ...]:
        """Return the newest events of a reference, newest first."""
        ...

    async def unreadable(self) -> tuple[Unreadable, ...]:
        """Return kept deliveries that nobody understood, newest first."""
        ...


class Comparisons(Protocol):
    """Where sweeps stand."""

    async def one(self, name: Repository) -> Swept | None:
        """Return where one repository stands, None when it is not compared. Raises StoreError."""
        ...


class AdminStore(StoreReads, Decisions, StoreHealth, Explainable, Protocol):
    """All that the listener asks of the store."""


class LaneView(Protocol):
    """One lane as it is now."""

    @property
    def state(self) -> str:
        """One of running, paused, open, seeding."""
        ...

    @property
    def inflight(self) -> int:
        """References being worked on."""
        ...

    @property
    def last_error(self) -> str:
        """The latest failure, empty when there was none."""
        ...

    @property
    def last_success(self) -> float | None:
        """When a reference last settled, in Unix seconds."""
        ...


class LaneViews(Protocol):
    """The lanes of the running daemon."""

    def lanes(self) -> Mapping[str, LaneView]:
        """Return each replica's lane by the replica's name."""
        ...


class Lanes(LaneViews, Protocol):
    """The lanes, told of what operators decide."""

    async def heed_pause(self, replica: str) -> None:
        """Have a replica's lane ask the store whether it is paused."""
        ...

    def mended(self, replica: str) -> None:
        """Have a replica's lane look at once for what is due."""
        ...


class Source(Protocol):
    """A registry that can say what a reference names now."""

    async def stat_manifest(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Return what `reference` names, None only on a positive 404. Raises RegistryError, ContentError."""
        ...


class Presence(Protocol):
    """Whether a replica holds a manifest."""

    async def holds(self, replica: str, repository: Repository, digest: Digest) -> bool:
        """Ask `replica` itself for the primary's `repository`@`digest`. Raises RegistryError, ContentError."""
        ...


class Looks(Protocol):
    """Looks at what replicas hold; never raises for what a registry does not tell."""

    async def look(
        self, replica: str, repository: Repository, reference: Reference, digest: Digest, policy: Policy
    ) -> Look:
        """Return what `replica` shows as `reference`, and what it lacks of `digest` under its policy."""
        ...


class UpdateCount(Protocol):
    """The count of updates that became owed."""

    def update_owed(self, replica: str, kind: str) -> None:
        """Count one."""
        ...


class Exposition(UpdateCount, Protocol):
    """The metrics, and the reading of the store they show."""

    def summary(self, summary: StoreSummary, /) -> None:
        """Take over a reading of the store."""
        ...

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the body and its content type for a scraper that sent `accept`."""
        ...


class Routes(Protocol):
    """The rules, as far as waiting and operators' changes need them."""

    def route(self, change: Change, now: float) -> tuple[Intent, ...]:
        """Return an intent for each replica that a rule sends `change` to."""
        ...

    def replicas_for(self, repository: Repository, reference: Reference) -> tuple[str, ...]:
        """Return the replicas that a rule sends `reference` to."""
        ...

    def policy(self, replica: str, repository: Repository, reference: Reference) -> Policy:
        """Return what of the reference the replica is to hold."""
        ...

    def reasons(self, replica: str, repository: Repository, reference: Reference) -> Reasons:
        """Return which rule sends `reference` there, and why others do not."""
        ...
