"""How far the hash of a blob had come at some places of an upload, so that it goes on from there after a cut."""

from collections import deque

from replicator.model import Digest, Hasher

_EVERY = 512 * 1024
_PLACES = 128


class HashTrail:
    """The hash states of one blob behind its last 64 MiB that were handed over; `sent` is where those end."""

    def __init__(self) -> None:
        self.sent = 0
        self._places: deque[tuple[int, Hasher]] = deque(maxlen=_PLACES)

    def begin(self) -> None:
        """Forget everything: the blob begins anew."""
        self.sent = 0
        self._places.clear()

    def note(self, position: int, hasher: Hasher) -> None:
        """Keep the state of the hash after `position` bytes; it must not change any more."""
        self.sent = max(self.sent, position)
        if not self._places or position - self._places[-1][0] >= _EVERY:
            self._places.append((position, hasher))

    def before(self, offset: int) -> tuple[int, Hasher] | None:
        """Return the last place that is not behind `offset`, None when none is kept any more."""
        return next((place for place in reversed(self._places) if place[0] <= offset), None)


class Unproven:
    """Stands for the hash of a blob whose first bytes were never seen here: the registry has to prove the bytes."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest

    def update(self, data: bytes, /) -> None:
        """Do nothing."""

    def hexdigest(self) -> str:
        """Return the digest that the blob ought to have."""
        return self._digest.encoded

    def copy(self) -> "Unproven":
        """Return itself: there is no state."""
        return self
