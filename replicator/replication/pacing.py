"""Those who take one read at their own pace, and how long the others wait for one who does not keep up.

Enough for a hiccup, and next to nothing in all. Pure.
"""

from dataclasses import dataclass
from typing import Protocol

import anyio

from replicator.model import Hasher, Repository

_PATIENCE_SHARE = 0.25
_NO_PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """What a shared read grants, in seconds; zero grants nothing.

    `patience`: how long in all the others wait for one who lags by a window, beside a quarter of the read's time: a
    hiccup of a busy machine, or nearly the same speed. One who has less than a quarter of the bytes is on a slow line
    and not waited for at all. `linger`: how long a read that has ended keeps what it still holds from the first byte
    on; `small_linger`: how long a small blob is kept, of which many fit, while lanes are many images apart.
    """

    patience: float = 0.25
    linger: float = 1.0
    small_linger: float = 60.0

    def left(self, elapsed: float, borne: float) -> float:
        """Return for how long one may still be waited for, `elapsed` into the read, who was `borne` before."""
        return self.patience + _PATIENCE_SHARE * elapsed - borne if self.patience > 0 else 0.0


@dataclass(slots=True)
class Standing:
    """How one lane did of late: `let_go` is when it was last too slow to share (monotonic seconds, None: never).

    A lane that was is not waited for again for a minute, so that it costs the others next to nothing.
    """

    let_go: float | None = None

    def is_slow(self, now: float) -> bool:
        """Say whether the lane was too slow a short time ago."""
        return self.let_go is not None and now - self.let_go < _NO_PATIENCE


class Taker(Protocol):
    """Whoever takes the bytes of a read (subscription.py)."""

    repository: Repository
    standing: Standing
    position: int
    hasher: Hasher
    begun: bool
    borne: float

    @property
    def lag(self) -> int:
        """Bytes read and not taken."""
        ...

    @property
    def is_far_off(self) -> bool:
        """Whether it took less than a quarter of what was read."""
        ...

    @property
    def changed(self) -> anyio.Event:
        """Set when the read that feeds it changed."""
        ...

    def leave(self) -> None:
        """Go on without the others."""
        ...

    def passing(self) -> None:
        """Take note that the read is under way."""
        ...
