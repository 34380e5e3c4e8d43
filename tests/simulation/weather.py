"""What happens to the requests of a simulated run: trouble by chance, and a blow that stops all between two."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from replicator.errors import Reason
from replicator.model import Digest, Reference, Repository
from tests.simulation.needing import needs_of
from tests.unit.replication.rig import Rig
from tests.unit.replication.support import Call, ModelRegistry, Op, network_error

_FAULTY = frozenset(Op) - {Op.END, Op.START, Op.CANCEL, Op.GOT}
_OF_UPLOADS = frozenset({Op.SEND, Op.GOT, Op.SENT, Op.STATUS})
_CUTS = (Reason.NETWORK,)
_ERRORS = (Reason.NETWORK, Reason.SERVER_ERROR)
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


@dataclass(slots=True)
class Meanwhile:
    """Has something happen right before one of the replicas is asked something, once that is arranged."""

    asked: tuple[Op, Repository, Reference] | None = None
    happens: Callable[[], Awaitable[None]] | None = None

    def arrange(self, asked: tuple[Op, Repository, Reference], happens: Callable[[], Awaitable[None]]) -> None:
        """Have it happen at that request, instead of what was arranged before."""
        self.asked, self.happens = asked, happens

    async def pass_by(self, call: Call) -> None:
        """Let a request pass, and before it happen what is to happen."""
        if self.happens is None or (call.op, call.repository, call.reference) != self.asked:
            return
        happens, self.happens = self.happens, None
        await happens()


class Weather:
    """What happens to one registry's requests; changed by the run.

    `doomed` says from when on a tag may be deleted, `broken` which guarantees were seen broken, `wrong` how often
    bytes of a blob were read wrong.
    """

    def __init__(
        self, rig: Rig, registry: ModelRegistry, rng: random.Random, blow: Blow, meanwhile: Meanwhile
    ) -> None:
        self.rig = rig
        self.registry = registry
        self.rng = rng
        self.blow = blow
        self.meanwhile = meanwhile
        self.down = False
        self.faults = 0.0
        self.doomed: Mapping[tuple[Repository, Reference], float] = {}
        self.broken: list[str] = []
        self.wrong: Counter[Reference] = Counter()
        self._reading: Reference | None = None
        registry.hook = self
        registry.tamper = self.tamper
        registry.chunk = 3_500

    async def __call__(self, call: Call) -> None:
        """Check what a manifest just put names, then let the weather have its way."""
        await asyncio.sleep(0)
        if call.op is Op.WROTE and not self.registry.complete(call.repository, call.reference):
            self.broken.append(f"{self.registry.name} {call.repository} {call.reference}")
        if call.op is Op.DELETE and self.rig.clock.now() < self.doomed.get((call.repository, call.reference), inf):
            self.broken.append(f"{self.registry.name} {call.repository} {call.reference} was deleted")
        if self.registry is not self.rig.source:
            await self.meanwhile.pass_by(call)
        own = await self._own(call) if call.op is Op.DELETE else ()
        await self.blow.pass_by(self.registry.name)
        goes_on = self.registry.uploads is not None and call.op in _OF_UPLOADS
        if call.op in _FAULTY or goes_on:
            # Uploads that go on are cut, and never refused with an error: then they might start again.
            await self._trouble(self.faults / (3 if call.op is Op.GOT else 1), _CUTS if goes_on else _ERRORS)
        if call.op is Op.CHUNK:
            self._reading = call.reference
        if call.op is Op.DELETE and isinstance(call.reference, Digest):
            needs = needs_of(self.registry, call.repository, call.reference, own)
            self.broken += [
                f"{self.registry.name} {call.repository} {call.reference} was deleted, and {one} needs it"
                for one in needs
            ]

    async def _own(self, call: Call) -> tuple[Digest, ...]:
        """Return what a repository was given for its own sake; of what is told just now none was given yet."""
        where = (self.registry.name, call.repository)
        rows = [
            one for one in await self.rig.store.rows(limit=1000) if (one.key.replica, one.key.repository) == where
        ]
        return tuple(one.have for one in rows if one.have is not None and one.have == one.key.reference)

    async def _trouble(self, chance: float, errors: Sequence[Reason]) -> None:
        if self.down:
            raise network_error(self.registry.name)
        if self.rng.random() < chance:
            if self.rng.random() < _STALLS:
                await self.rig.clock.sleep(self.rng.uniform(0.1, 90.0))
            else:
                raise network_error(self.registry.name, self.rng.choice(errors))

    def tamper(self, piece: bytes) -> bytes:
        """Hurt a byte now and then; `wrong` counts how often, by blob."""
        if self.rng.random() >= self.faults / 3:
            return piece
        if self._reading is not None:
            self.wrong[self._reading] += 1
        return bytes([piece[0] ^ 1]) + piece[1:]
