"""How far a registry's clock is from ours, by the Date of its answers: lag compares its times with ours."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from replicator.clock import Clock
from replicator.registry.answers import Fields

_EVERY = 10.0
_HALF = 0.5


class SkewWatch:
    """Reads the Date of one answer in ten seconds; the others cost nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = 0.0

    def read(self, fields: Fields, took: float) -> float | None:
        """Return how many seconds the sender's clock is ahead of ours, None when it is not to be told now.

        `took` are the seconds from the request to this answer. True to half a second and half of `took`.
        """
        if self._clock.monotonic() < self._next:
            return None
        found = skew(fields, now=self._clock.now(), took=took)
        if found is not None:
            self._next = self._clock.monotonic() + _EVERY
        return found


def skew(fields: Fields, *, now: float, took: float) -> float | None:
    """Return the skew that an answer tells which came at `now`; None where it tells none, or comes from a cache."""
    text = fields.get("Date")
    if text is None or fields.get("Age") is not None:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    # A Date has whole seconds, cut off; it was written somewhere between the request and now.
    stamp = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() + _HALF
    return stamp - (now - took / 2)
