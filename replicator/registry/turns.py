"""Whose turn it is among those who wait: the urgent first, then the small, then the early; and nobody waits for ever.

`Turns` is the order, `Turnstile` the waiting: one of those who wait watches the clock for all, so that nothing runs
while nobody waits.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable

import anyio

from replicator.clock import Clock
from replicator.model import Priority
from replicator.registry.urgency import Urgency

FAIR = 4
"""Every so many turns go to whoever has waited longest."""
_order = itertools.count()


class Ticket:
    """One who waits for a turn; `weight`, not negative, puts the small before the big among the equally urgent."""

    def __init__(self, urgency: Urgency, weight: int = 0) -> None:
        self.urgency = urgency
        self.weight = weight
        self.order = next(_order)
        self.granted = False
        self._called = anyio.Event()
        self._watch: anyio.CancelScope | None = None

    @property
    def priority(self) -> Priority:
        """How urgent it is now."""
        return self.urgency.priority

    def grant(self) -> None:
        """Let it through."""
        self.granted = True
        self.call()

    def call(self) -> None:
        """Wake whoever holds it, to look again."""
        self._called.set()
        if self._watch is not None:
            self._watch.cancel()

    async def sleep(self, clock: Clock, seconds: float | None) -> None:
        """Return when called, or after `seconds`."""
        if seconds is None:
            await self._called.wait()
        elif not self._called.is_set():
            with anyio.CancelScope() as self._watch:
                await clock.sleep(seconds)
            self._watch = None
        if not self.granted:
            self._called = anyio.Event()


class Turns:
    """Those who wait, in the order of their turns."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Ticket, None] = OrderedDict()
        self._heap: list[tuple[Priority, int, int, Ticket]] = []
        self._given = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, ticket: Ticket) -> None:
        """Wait."""
        self._waiting[ticket] = None
        ticket.urgency.watch(ticket, lambda: self._push(ticket))
        self._push(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Wait no longer: had a turn, or gave up."""
        if ticket in self._waiting:
            del self._waiting[ticket]
            ticket.urgency.unwatch(ticket)

    def favour(self, ticket: Ticket) -> None:
        """Put it before all that are as urgent, if it still waits."""
        if ticket in self._waiting and ticket.weight >= 0:
            ticket.weight = -1
            self._push(ticket)

    def best(self) -> Ticket | None:
        """Return the most urgent, of these the smallest, of these the first to come."""
        while self._heap:
            priority, _, _, ticket = self._heap[0]
            if ticket in self._waiting and priority == ticket.priority:
                return ticket
            heapq.heappop(self._heap)
        return None

    def oldest(self) -> Ticket | None:
        """Return who waits longest."""
        return next(iter(self._waiting), None)

    def next(self, may_go: Callable[[Ticket], bool]) -> Ticket | None:
        """Return whose turn it is, out of the line now; None when nobody `may_go`.

        Whoever is refused must be refused together with all that are less urgent.
        """
        self._given += 1
        if self._given % FAIR == 0 and (oldest := self.oldest()) is not None and may_go(oldest):
            self.leave(oldest)
            return oldest
        best = self.best()
        if best is not None and may_go(best):
            self.leave(best)
            return best
        self._given -= 1
        return None

    def _push(self, ticket: Ticket) -> None:
        heapq.heappush(self._heap, (ticket.priority, ticket.weight, ticket.order, ticket))


class Turnstile:
    """Where tickets wait until `serve` has granted them.

    `serve` grants whoever may go now and returns in how many seconds the next may, None when that depends on somebody
    who has to give something back first and then calls `look`.
    """

    def __init__(self, clock: Clock, serve: Callable[[], float | None]) -> None:
        self._clock = clock
        self._serve = serve
        self._waiting: OrderedDict[Ticket, None] = OrderedDict()
        self._watcher: Ticket | None = None
        self._until = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    async def wait(self, ticket: Ticket) -> None:
        """Return when the ticket is granted."""
        self._waiting[ticket] = None
        watched = False
        try:
            while not ticket.granted:
                pause = self._serve()
                watched = pause is not None
                if not ticket.granted:
                    await self._rest(ticket, pause)
        finally:
            del self._waiting[ticket]
            if watched or not ticket.granted:
                # Whoever it watched the clock for, or stood before, needs somebody else to look.
                self.look()

    def look(self) -> None:
        """Let through who may go now, and see to it that somebody looks again when the next one may."""
        if not self._waiting:
            return
        pause = self._serve()
        if pause is None:
            return
        if self._watcher is None:
            waiter = next((one for one in self._waiting if not one.granted), None)
            if waiter is not None:
                waiter.call()
        elif self._clock.monotonic() + pause < self._until:
            self._watcher.call()

    async def _rest(self, ticket: Ticket, pause: float | None) -> None:
        if pause is None or self._watcher is not None:
            if pause is not None and self._watcher is not None and self._clock.monotonic() + pause < self._until:
                self._watcher.call()
            await ticket.sleep(self._clock, None)
            return
        self._watcher, self._until = ticket, self._clock.monotonic() + pause
        try:
            await ticket.sleep(self._clock, pause)
        finally:
            self._watcher = None
