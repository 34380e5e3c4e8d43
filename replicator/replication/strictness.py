"""What is worth finding out about a replica: whether it checks manifests, and whether it takes sparse indexes."""

import contextlib

import anyio

from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.model import Repository
from replicator.plan import Facts
from replicator.registry.capabilities import Capability
from replicator.replication.ports import Replica

ASK_EVERY = 24 * 3600.0
"""Seconds between two tries: where nothing is checked, each one leaves a small manifest without a tag."""


class Strictness:
    """Asks one replica at most once a day, and only when a copy would have gained by the answer."""

    def __init__(self, replica: Replica, clock: Clock) -> None:
        self._replica = replica
        self._clock = clock
        self._not_before = 0.0
        self._sparse_not_before = 0.0
        self._asking = anyio.Lock()

    async def takes_sparse_index(self, repository: Repository) -> bool | None:
        """Say whether an index is taken of which children are missing, asked in a repository of ours if unknown.

        Raises RegistryError where trying again may help.
        """
        async with self._asking:
            known = self._replica.capabilities.holds(Capability.SPARSE_INDEX)
            if known is not None or self._clock.monotonic() < self._sparse_not_before:
                return known
            answer = await self._replica.prove_sparse_index(repository)
            self._sparse_not_before = self._clock.monotonic() + ASK_EVERY
            return answer

    def is_due(self, facts: Facts) -> bool:
        """Say whether there is something to gain, and nothing is known."""
        unknown = self._replica.capabilities.holds(Capability.CHECKS_MANIFESTS) is None
        return unknown and bool(facts.believed - facts.present) and self._clock.monotonic() >= self._not_before

    async def prove(self, repository: Repository) -> None:
        """Find out, in a repository of ours; the copy beside it does not fail by it."""
        self._not_before = self._clock.monotonic() + ASK_EVERY
        with contextlib.suppress(RegistryError, ContentError):
            await self._replica.prove_checks_manifests(repository)
