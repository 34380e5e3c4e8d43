"""What an audit found becomes owed: by the running daemon, or in the store where none runs."""

import random
from collections.abc import Sequence

from replicator.admin.changes import Changes
from replicator.admin.client import AdminClient, NoDaemon
from replicator.admin.queries import DAMAGED_MAX
from replicator.admin.reference import ref_text
from replicator.audit.findings import Finding
from replicator.cli.store_access import ask_daemon
from replicator.clock import Clock
from replicator.model import Reference
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.store.opening import open_store


class Debts:
    """Makes findings owed, many at a time. Asks anew for each lot whether a daemon runs: one may have begun."""

    def __init__(self, settings: Settings, router: Router, clock: Clock) -> None:
        self._settings = settings
        self._router = router
        self._clock = clock

    async def owe(self, findings: Sequence[Finding]) -> tuple[str, ...]:
        """Return for each what it became: `accepted` (owed now), `coalesced` (owed before), `known` (ignored).

        Raises ApiFailed, StoreError. An empty word stands for what no rule sends there any more.
        """
        try:
            return await ask_daemon(self._settings, lambda daemon: self._tell(daemon, findings))
        except NoDaemon:
            return await self._write(findings)

    async def _tell(self, daemon: AdminClient, findings: Sequence[Finding]) -> tuple[str, ...]:
        results: list[str] = []
        for one in findings:
            damaged = [str(digest) for digest in one.damaged[:DAMAGED_MAX]]
            named = None if one.expected is None else str(one.expected)
            answer = await daemon.repair(ref_text(one.repository, _reference(one)), one.replica, damaged, named)
            results.append(answer["changes"][0]["result"] if answer["changes"] else "")
        return tuple(results)

    async def _write(self, findings: Sequence[Finding]) -> tuple[str, ...]:
        store = await open_store(self._settings.store, clock=self._clock, rng=random.Random())  # noqa: S311 -- pauses
        try:
            changes = Changes(store=store, routes=self._router, metrics=_Uncounted(), clock=self._clock)
            results: list[str] = []
            for one in findings:
                recorded = await changes.tell(
                    one.repository,
                    _reference(one),
                    [one.replica],
                    digest=one.expected,
                    damaged=frozenset(one.damaged),
                )
                results.append(str(recorded.get(one.replica, "")))
            return tuple(results)
        finally:
            await store.close()


class _Uncounted:
    """Metrics of a command, which nobody scrapes."""

    def update_owed(self, replica: str, kind: str) -> None:
        """Count nothing."""


def _reference(finding: Finding) -> Reference:
    if finding.reference is None:
        raise ValueError("a repository as a whole cannot be owed")
    return finding.reference
