"""A change told by an operator or a wait instead of a webhook: routed by the same rules, kept by the same store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from replicator.admin.ports import Routes, StoreReads, UpdateCount
from replicator.clock import Clock
from replicator.heard import Heard
from replicator.model import Change, ChangeKind, Digest, Priority, Recorded, Reference, Repository
from replicator.observability.labels import UpdateKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Where changes go that no webhook told."""

    store: StoreReads
    routes: Routes
    metrics: UpdateCount
    clock: Clock

    async def tell(  # noqa: PLR0913 -- what a caller may say of a change; all but three have defaults
        self,
        repository: Repository,
        reference: Reference,
        replicas: Sequence[str],
        *,
        digest: Digest | None = None,
        priority: Priority | None = None,
        damaged: frozenset[Digest] | None = None,
        delivery: str = "",
    ) -> dict[str, Recorded]:
        """Make `reference` owed, due now, on those of `replicas` that a rule sends it to; `delivery` stands in logs.

        With `damaged` they were found to be wrong: those digests, if any, are sent anew, and all others asked for.
        Returns what the store made of it, by replica, once it is on disk. Raises StoreError.
        """
        now = self.clock.now()
        change = Change(
            kind=ChangeKind.PUSH, repository=repository, reference=reference, digest=digest, delivery=delivery
        )
        intents = [
            replace(intent, due_at=now, priority=intent.priority if priority is None else priority)
            for intent in self.routes.route(change, now)
            if intent.key.replica in replicas
        ]
        store, heard = self.store, Heard(change=change, endpoint="", at=now, made=len(intents))
        recorded = await (store.record(intents, [heard]) if damaged is None else store.repair(intents, damaged))
        kind = UpdateKind.DIGEST if isinstance(reference, Digest) else UpdateKind.TAG
        results = {intent.key.replica: result for intent, result in zip(intents, recorded, strict=True)}
        for replica, result in results.items():
            if result is Recorded.ACCEPTED:
                self.metrics.update_owed(replica, kind)
        return results
