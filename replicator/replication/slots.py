"""Slots for the blobs of one lane: the urgent first, then the small, then the early; nobody waits for ever.

Before the small come those whose bytes pass by just now, on their way to another lane: they need not be read twice.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from replicator.clock import Clock
from replicator.model import Priority
from replicator.registry.turns import Ticket, Turns, Turnstile
from replicator.registry.urgency import current
from replicator.shares import has_room


class Stream(Protocol):
    """Where the bytes of a blob come from, to several lanes at once."""

    def when_passing(self, told: Callable[[], None]) -> None:
        """Call `told` once the bytes are on their way to others, at once if they are."""
        ...


class Place:
    """A slot that is held; give it back with `release`."""

    def __init__(self, slots: "Slots", priority: Priority) -> None:
        self.priority = priority
        self._slots = slots

    def release(self) -> None:
        """Give it to the next."""
        self._slots.released(self)


class Slots:
    """`total` blobs at a time, which may change meanwhile, with room kept for those that are urgent."""

    def __init__(self, total: int | Callable[[], int], clock: Clock) -> None:
        self._total = total if callable(total) else lambda: total
        self._held: Counter[Priority] = Counter()
        self._turns = Turns()
        self._turnstile = Turnstile(clock, self._serve)
        self._places: dict[Ticket, Place] = {}

    @property
    def held(self) -> int:
        """How many are held now."""
        return self._held.total()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._turns)

    def take_at_once(self) -> Place | None:
        """Return a slot if there is one free for what is as urgent as the calling task's work."""
        ticket = Ticket(current())
        return self._hold(ticket) if self._may_go(ticket) else None

    @asynccontextmanager
    async def place(self, size: int, stream: Stream | None = None) -> AsyncIterator[None]:
        """Hold a slot for a blob of `size` bytes, once it is its turn; `stream` is where its bytes come from."""
        ticket = Ticket(current(), size)
        self._turns.join(ticket)
        if stream is not None:
            stream.when_passing(lambda: self._turns.favour(ticket))
        try:
            await self._turnstile.wait(ticket)
            yield
        finally:
            self._turns.leave(ticket)
            if ticket in self._places:
                self._places.pop(ticket).release()

    def released(self, place: Place) -> None:
        """Take a slot back, and give it to the next."""
        self._held[place.priority] -= 1
        self._turnstile.look()

    def _serve(self) -> None:
        while (ticket := self._turns.next(self._may_go)) is not None:
            self._places[ticket] = self._hold(ticket)
            ticket.grant()

    def _hold(self, ticket: Ticket) -> Place:
        self._held[ticket.priority] += 1
        return Place(self, ticket.priority)

    def _may_go(self, ticket: Ticket) -> bool:
        return has_room(self._total(), self._held, ticket.priority)
