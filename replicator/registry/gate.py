"""When a request of one registry may go: connections, a window for each kind, pauses, and a rate if configured.

Whoever waits holds nothing; the urgent go first, with room kept for them (`replicator.shares`), and one turn in a few
is for whoever has waited longest. A refusal for want of time pauses its kind alone (E3, P2).
"""

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

from replicator.clock import Clock
from replicator.errors import Reason, RegistryError
from replicator.model import Priority, RequestKind
from replicator.registry.bucket import Bucket
from replicator.registry.http import HttpObserver
from replicator.registry.kinds import TRANSFERS
from replicator.registry.turns import FAIR, Ticket, Turns, Turnstile
from replicator.registry.urgency import current
from replicator.registry.window import Window
from replicator.shares import has_room

PATIENCE = 60.0
"""Longest pause that is waited for in place, seconds; a longer one is an error at once, which says how long."""
START = 32
"""Requests of one kind that a registry is trusted to take at first."""


def is_passing(error: RegistryError) -> bool:
    """Say whether a registry had no time for a request and wants a pause that is waited for in place (E3)."""
    if error.retry_after is None:
        return error.status == HTTPStatus.TOO_MANY_REQUESTS
    limited = error.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    return limited and error.retry_after <= PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the configuration allows at one registry; `requests` a second, None for no limit."""

    max_connections: int
    requests: float | None = None


@dataclass(slots=True)
class _Bay:
    """One kind of requests: its window, who holds a place in it, and who waits for one."""

    kind: RequestKind
    window: Window
    held: Counter[Priority] = field(default_factory=Counter)
    turns: Turns = field(default_factory=Turns)


class Permit:
    """The right to have one request under way; give it back with `leave`."""

    def __init__(self, gate: "Gate", kind: RequestKind, priority: Priority, at: float) -> None:
        self.kind = kind
        self.priority = priority
        self.at = at
        self._gate = gate
        self._held = True

    def succeeded(self) -> None:
        """Say that the registry had time for the request."""
        self._gate.succeeded(self)

    def refused(self, wish: float | None) -> float:
        """Say that it had none, and for how many seconds it wants to be left alone, if it said so.

        Returns for how long its kind pauses now.
        """
        return self._gate.refused(self, wish)

    def leave(self) -> None:
        """Give the place back; a second time does nothing."""
        if self._held:
            self._held = False
            self._gate.left(self)


class Gate:
    """The limits of one registry."""

    def __init__(self, registry: str, limits: Limits, clock: Clock, observer: HttpObserver | None = None) -> None:
        self._registry = registry
        self._most = limits.max_connections
        self._clock = clock
        self._observer = observer
        self._held: Counter[Priority] = Counter()
        self._given = 0
        self._paused_until = 0.0
        self._turnstile = Turnstile(clock, self._serve)
        self._permits: dict[Ticket, Permit] = {}
        rate = limits.requests
        self._bucket = None if rate is None else Bucket.full(rate, max(1.0, rate), clock.monotonic())
        self._bays = {kind: self._bay(kind) for kind in RequestKind}

    def window(self, kind: RequestKind) -> Window:
        """Return the window of a kind as it is now."""
        return self._bays[kind].window

    def under_way(self, kind: RequestKind) -> int:
        """Return how many requests of a kind are under way."""
        return self._bays[kind].held.total()

    async def enter(self, kind: RequestKind) -> Permit:
        """Return when a request of that kind may go. Raises RegistryError when that is too far off."""
        bay, urgency, began = self._bays[kind], current(), self._clock.monotonic()
        if self._is_free(bay, urgency.priority, began):
            return self._taken(bay, urgency.priority, began)
        ticket = Ticket(urgency)
        bay.turns.join(ticket)
        try:
            await self._turnstile.wait(ticket)
        except BaseException:
            # Let through and cancelled at the same moment.
            if (permit := self._permits.pop(ticket, None)) is not None:
                permit.leave()
            raise
        finally:
            bay.turns.leave(ticket)
        admitted = self._permits.pop(ticket, None)
        if admitted is None:
            raise self._too_long(bay)
        if self._observer is not None and admitted.at > began:
            self._observer.request_waited(self._registry, kind, admitted.at - began)
        return admitted

    def succeeded(self, permit: Permit) -> None:
        """Let the window grow."""
        bay = self._bays[permit.kind]
        window = bay.window.succeeded(bay.held.total())
        if window is not bay.window:
            self._set(bay, window)

    def refused(self, permit: Permit, wish: float | None) -> float:
        """Halve the window and pause its kind; return for how many seconds."""
        bay, now = self._bays[permit.kind], self._clock.monotonic()
        self._set(bay, bay.window.refused(permit.at, now, wish))
        self._paused_until = max(self._paused_until, bay.window.paused_until)
        if self._observer is not None:
            self._observer.request_refused(self._registry, permit.kind)
        self._turnstile.look()
        return bay.window.paused_until - now

    def left(self, permit: Permit) -> None:
        """Take a place back, and give it to the next."""
        self._held[permit.priority] -= 1
        self._bays[permit.kind].held[permit.priority] -= 1
        self._turnstile.look()

    def _bay(self, kind: RequestKind) -> _Bay:
        # Transfers leave some connections for the small requests that keep everything else going.
        cap = max(1, self._most - max(1, self._most // 8)) if kind in TRANSFERS else self._most
        bay = _Bay(kind, Window(float(min(START, cap)), cap))
        self._set(bay, bay.window)
        return bay

    def _set(self, bay: _Bay, window: Window) -> None:
        bay.window = window
        if self._observer is not None:
            self._observer.window_set(self._registry, bay.kind, window.room)

    def _is_free(self, bay: _Bay, priority: Priority, now: float) -> bool:
        """Say whether a request may go at once: nobody waits for the same, and nothing stands against it."""
        if len(bay.turns) or bay.window.paused_until > now:
            return False
        if self._bucket is not None and (self._turnstile.is_busy or self._bucket.wait(1, now) > 0):
            return False
        return self._has_room(bay, priority)

    def _has_room(self, bay: _Bay, priority: Priority) -> bool:
        return has_room(self._most, self._held, priority) and has_room(bay.window.room, bay.held, priority)

    def _serve(self) -> float | None:
        now = self._clock.monotonic()
        if self._bucket is None and now >= self._paused_until and not has_room(self._most, self._held, Priority.HIGH):
            return None  # nothing to do before a place is given back, which is most of the time when there is much
        busy = [bay for bay in self._bays.values() if len(bay.turns)]
        for bay in busy:
            if bay.window.paused_until - now > PATIENCE:
                self._turn_away(bay)
        while (found := self._next(busy, now)) is not None:
            bay, ticket = found
            bay.turns.leave(ticket)
            self._admit(bay, ticket, now)
        return self._pause(busy, now)

    def _next(self, busy: list[_Bay], now: float) -> tuple[_Bay, Ticket] | None:
        if self._bucket is not None and self._bucket.wait(1, now) > 0:
            return None
        if not has_room(self._most, self._held, Priority.HIGH):
            return None
        by_rank: list[tuple[tuple[int, int], _Bay, Ticket]] = []
        by_age: list[tuple[int, _Bay, Ticket]] = []
        for bay in busy:
            if bay.window.paused_until > now:
                continue
            for ticket, is_best in ((bay.turns.best(), True), (bay.turns.oldest(), False)):
                if ticket is None or not self._has_room(bay, ticket.priority):
                    continue
                if is_best:
                    by_rank.append(((ticket.priority, ticket.order), bay, ticket))
                else:
                    by_age.append((ticket.order, bay, ticket))
        if by_age and (self._given + 1) % FAIR == 0:
            _, bay, ticket = min(by_age, key=lambda one: one[0])
            return bay, ticket
        if by_rank:
            _, bay, ticket = min(by_rank, key=lambda one: one[0])
            return bay, ticket
        return None

    def _admit(self, bay: _Bay, ticket: Ticket, now: float) -> None:
        self._permits[ticket] = self._taken(bay, ticket.priority, now)
        ticket.grant()

    def _taken(self, bay: _Bay, priority: Priority, now: float) -> Permit:
        self._given += 1
        if self._bucket is not None:
            self._bucket = self._bucket.taken(1, now)
        self._held[priority] += 1
        bay.held[priority] += 1
        return Permit(self, bay.kind, priority, now)

    def _turn_away(self, bay: _Bay) -> None:
        while (ticket := bay.turns.oldest()) is not None:
            bay.turns.leave(ticket)
            ticket.grant()

    def _pause(self, busy: list[_Bay], now: float) -> float | None:
        """Return when somebody could go without anybody giving a place back."""
        waits = [bay.window.paused_until - now for bay in busy if len(bay.turns) and bay.window.paused_until > now]
        rate = 0.0 if self._bucket is None else self._bucket.wait(1, now)
        if rate > 0 and any(len(bay.turns) for bay in busy):
            waits.append(rate)
        return min(waits, default=None)

    def _too_long(self, bay: _Bay) -> RegistryError:
        left = max(0.0, bay.window.paused_until - self._clock.monotonic())
        return RegistryError(
            f"{self._registry}: wants no {bay.kind} requests for another {left:.0f} s",
            registry=self._registry,
            reason=Reason.RATE_LIMITED,
            temporary=True,
            retry_after=left,
            status=429,
        )
