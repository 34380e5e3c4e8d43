"""A token bucket: so much a second, and a little at once. Pure; the time is given."""

from dataclasses import dataclass, replace

_HAIR = 1e-9  # seconds that are only rounding


@dataclass(frozen=True, slots=True)
class Bucket:
    """`rate` a second; `burst` is the most that may go at once, and what is in it at the start."""

    rate: float
    burst: float
    level: float
    at: float

    @classmethod
    def full(cls, rate: float, burst: float, now: float) -> "Bucket":
        """Return a bucket that nothing was taken from yet."""
        return cls(rate, burst, burst, now)

    def wait(self, amount: float, now: float) -> float:
        """Return in how many seconds `amount`, at most `burst`, may be taken; 0 for at once."""
        seconds = (min(amount, self.burst) - self._filled(now)) / self.rate
        return seconds if seconds > _HAIR else 0.0

    def taken(self, amount: float, now: float) -> "Bucket":
        """Return the bucket after `amount` was taken."""
        return replace(self, level=self._filled(now) - amount, at=now)

    def _filled(self, now: float) -> float:
        return min(self.burst, self.level + (now - self.at) * self.rate)
