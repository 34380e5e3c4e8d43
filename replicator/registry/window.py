"""How many requests of one kind may be under way at a registry: as many as it takes without complaint. Pure.

Additive increase, multiplicative decrease, as TCP has it: a window that was full grows by one for each round of
successes, and is halved once for each round in which the registry refused for want of time (P2).
"""

from dataclasses import dataclass, replace
from typing import Final

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds of pause where a registry does not say how long it wants: doubled with each refusal in a row."""


@dataclass(frozen=True, slots=True)
class Window:
    """`size` may be under way, never more than `cap`; none goes before `paused_until` (monotonic seconds).

    `halved_at` is when it was last halved, `refusals` how many rounds in a row ended so.
    """

    size: float
    cap: int
    halved_at: float = 0.0
    paused_until: float = 0.0
    refusals: int = 0

    @property
    def room(self) -> int:
        """How many may be under way now."""
        return max(1, int(self.size))

    def succeeded(self, under_way: int) -> "Window":
        """Return the window after a success with `under_way` in it, this one counted: only a full one grows."""
        if under_way < self.room or self.size >= self.cap:
            return self if not self.refusals else replace(self, refusals=0)
        return replace(self, size=min(float(self.cap), self.size + 1 / self.size), refusals=0)

    def refused(self, sent_at: float, now: float, wish: float | None) -> "Window":
        """Return the window after a refusal of a request sent at `sent_at`; `wish` is the registry's own pause.

        What was sent before the window was halved says nothing new, but may ask for a longer pause.
        """
        again = sent_at < self.halved_at
        refusals = self.refusals if again else self.refusals + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (max(1, refusals) - 1)) if wish is None else wish
        paused_until = max(self.paused_until, now + pause)
        if again:
            return replace(self, paused_until=paused_until)
        return replace(
            self, size=max(1.0, self.size / 2), halved_at=now, paused_until=paused_until, refusals=refusals
        )
