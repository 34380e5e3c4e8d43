"""What happens to the requests of a simulated run: trouble by chance, and a blow that stops all between two."""

import asyncio
import random
from dataclasses import dataclass

from replicator.errors import Reason
from tests.unit.replication.rig import Rig
from tests.unit.replication.support import Call, ModelRegistry, Op, network_error

_FAULTY = frozenset(Op) - {Op.END, Op.START, Op.CANCEL, Op.GOT}
_STALLS = 0.3


@dataclass(slots=True)
class Blow:
    """Stops everything at the request that comes after `requests` others, until whoever asked is gone."""

    requests: int | None = None
    dying: bool = False

    @property
    def struck(self) -> bool:
        """Whether everything stands still."""
        return self.requests is not None and self.requests <= 0

    async def pass_by(self, registry: str) -> None:
        """Count a request, and let none pass that comes too late."""
        if self.requests is None:
            return
        self.requests -= 1
        if self.dying:
            raise network_error(registry)
        if self.struck:
            await asyncio.Event().wait()


class Weather:
    """What happens to one registry's requests; changed by the run."""

    def __init__(self, rig: Rig, registry: ModelRegistry, rng: random.Random, blow: Blow) -> None:
        self.rig = rig
        self.registry = registry
        self.rng = rng
        self.blow = blow
        self.down = False
        self.faults = 0.0
        self.may_delete = False
        self.broken: list[str] = []
        registry.hook = self
        registry.tamper = self.tamper
        registry.chunk = 3_500

    async def __call__(self, call: Call) -> None:
        """Check what a manifest just put names, then let the weather have its way."""
        await asyncio.sleep(0)
        if call.op is Op.WROTE and not self.registry.complete(call.repository, call.reference):
            self.broken.append(f"{self.registry.name} {call.repository} {call.reference}")
        if call.op is Op.DELETE and not self.may_delete:
            self.broken.append(f"{self.registry.name} {call.repository} {call.reference} was deleted")
        await self.blow.pass_by(self.registry.name)
        if call.op not in _FAULTY:
            return
        if self.down:
            raise network_error(self.registry.name)
        if self.rng.random() < self.faults:
            if self.rng.random() < _STALLS:
                await self.rig.clock.sleep(self.rng.uniform(0.1, 90.0))
            else:
                raise network_error(self.registry.name, self.rng.choice([Reason.NETWORK, Reason.SERVER_ERROR]))

    def tamper(self, piece: bytes) -> bytes:
        """Hurt a byte now and then."""
        if self.rng.random() >= self.faults / 3:
            return piece
        return bytes([piece[0] ^ 1]) + piece[1:]
