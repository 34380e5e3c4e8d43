"""Verifies all replicas all the time, each on its own."""

import random

import anyio

from replicator.audit.turns import Means, ReplicaTurns
from replicator.model import Priority
from replicator.registry.urgency import Urgency, urgent

_SOONEST = 0.25


class Verifier:
    """Verifies all replicas of one configuration; `run` works until it is stopped or cancelled."""

    def __init__(self, means: Means, *, full_every: float, rng: random.Random) -> None:
        self._means = means
        self._full_every = full_every
        self._rng = rng
        self._scope = anyio.CancelScope()

    def stop(self) -> None:
        """Stop now; what was not looked at to its end is looked at again."""
        self._scope.cancel()

    async def run(self) -> None:
        """Look at each replica, independently of the others."""
        with self._scope, urgent(Urgency(Priority.LOW)):
            async with anyio.create_task_group() as group:
                for name in self._means.replicas:
                    turns = ReplicaTurns(
                        name, self._means, full_every=self._full_every, first=self._rng.uniform(_SOONEST, 1.0)
                    )
                    group.start_soon(turns.run)
