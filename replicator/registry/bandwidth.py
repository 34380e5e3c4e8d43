"""A limit in bytes a second, shared by all transfers of one registry: in small pieces, the urgent first."""

from typing import Final

from replicator.clock import Clock
from replicator.registry.bucket import Bucket
from replicator.registry.turns import Ticket, Turns, Turnstile
from replicator.registry.urgency import current

_SMALLEST_PIECE: Final = 4 * 1024
_LARGEST_PIECE: Final = 256 * 1024
_PIECES_A_SECOND: Final = 20
_BURST_SECONDS: Final = 0.1


class Bandwidth:
    """`rate` bytes a second for whoever takes them, in turns of a `piece`, so that nobody waits for long.

    Of those who wait the most urgent goes first and the equally urgent take turns; one turn in four is for whoever
    has waited longest, so that the least urgent still gets on.
    """

    def __init__(self, rate: int, clock: Clock) -> None:
        self.piece = max(_SMALLEST_PIECE, min(_LARGEST_PIECE, rate // _PIECES_A_SECOND))
        self._bucket = Bucket.full(rate, max(2 * self.piece, rate * _BURST_SECONDS), clock.monotonic())
        self._clock = clock
        self._turns = Turns()
        self._turnstile = Turnstile(clock, self._serve)
        self._wanted: dict[Ticket, int] = {}

    async def take(self, size: int) -> None:
        """Return when `size` bytes may pass, or did well to have passed."""
        for start in range(0, size, self.piece):
            await self._turn(min(self.piece, size - start))

    async def _turn(self, size: int) -> None:
        ticket = Ticket(current())
        self._wanted[ticket] = size
        self._turns.join(ticket)
        try:
            await self._turnstile.wait(ticket)
        finally:
            self._turns.leave(ticket)
            self._wanted.pop(ticket, None)

    def _serve(self) -> float | None:
        now = self._clock.monotonic()

        def may_go(ticket: Ticket) -> bool:
            return self._bucket.wait(self._wanted[ticket], now) == 0

        while (ticket := self._turns.next(may_go)) is not None:
            self._bucket = self._bucket.taken(self._wanted.pop(ticket), now)
            ticket.grant()
        best = self._turns.best()
        return None if best is None else self._bucket.wait(self._wanted[best], now)
