"""Whether bytes still move: a peer that gives or takes almost nothing is as good as gone (S21). Pure."""

from typing import Final

FLOOR: Final = 1024
"""Bytes a second below which a transfer does not go on."""
WHOLE: Final = 512 * 1024
SLOW: Final = 64 * 1024
"""What a peer is given at a time: one that takes it within a minute is not below the floor."""
_SLOW_AFTER = 2.0
_QUICK = 0.05
_QUICK_AGAIN = 64  # pieces in a row: fewer may only have filled the buffers on the way


class Arrivals:
    """How a read gets on. Only the time spent waiting for the peer counts: a reader may take its time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waited = 0.0
        self._bytes = 0

    def stalled(self, size: int, waited: float) -> bool:
        """Take note of `size` bytes after `waited` seconds; say whether they were too few for too long."""
        self._waited += waited
        self._bytes += size
        if self._waited < self._seconds:
            return False
        too_few = self._bytes < FLOOR * self._waited
        self._waited, self._bytes = 0.0, 0
        return too_few


class Strides:
    """How much a peer is given at a time: much while it takes that at once, little on a slow line.

    So the time that one piece may take is a floor of bytes a second, and a quick peer costs few steps.
    """

    def __init__(self) -> None:
        self.size = WHOLE
        self._quick = 0

    def took(self, size: int, seconds: float) -> None:
        """Take note that a piece of `size` bytes was taken, or not, after `seconds`."""
        if size < SLOW:
            return
        self._quick = self._quick + 1 if seconds <= _QUICK else 0
        if seconds >= _SLOW_AFTER:
            self.size = SLOW
        elif self._quick >= _QUICK_AGAIN:
            self.size = WHOLE
