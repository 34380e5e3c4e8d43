"""What becomes of a message after a try: delivered, tried again at some time, or dropped. Pure."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from replicator.errors import Reason, ReplicatorError
from replicator.observability.labels import NotificationResult

DAY: Final = 86_400.0
"""Seconds for which a message is tried."""
FIRST: Final = 1.0
LONGEST: Final = 900.0
"""First and longest pause between tries, seconds."""
_ABOUT_MESSAGE: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.GONE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


class DeliveryFailed(ReplicatorError):
    """A receiver did not take a message: what to say of it names no URL. `status` is 0 when no answer came."""

    def __init__(self, message: str, *, reason: Reason, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after

    @property
    def is_about_message(self) -> bool:
        """Whether the receiver is up and does not want this message: its neighbours may fare better."""
        return self.status in _ABOUT_MESSAGE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failure means for its message: with `at` (Unix seconds) it is tried again, else it is dropped."""

    result: NotificationResult
    at: float | None = None


def after_failure(error: DeliveryFailed, *, attempts: int, created_at: float, now: float, chance: float) -> Verdict:
    """Decide about a message that failed `attempts` times before. `chance` in [0, 1) is for full jitter.

    410 drops it: the receiver wants no more. All else is tried again for a day, longer and longer apart, but not
    before the receiver wishes.
    """
    if error.status == HTTPStatus.GONE:
        return Verdict(NotificationResult.GONE)
    pause = max(FIRST / 2, min(LONGEST, FIRST * 2.0 ** min(attempts, 40)) * chance)
    at = now + max(pause, error.retry_after or 0.0)
    return Verdict(NotificationResult.FAILED, at) if at < created_at + DAY else Verdict(NotificationResult.EXPIRED)
