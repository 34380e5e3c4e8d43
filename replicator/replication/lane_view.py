"""What operators see of a lane."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneView:
    """One lane as operators see it; `last_success` in Unix seconds."""

    state: str
    inflight: int
    last_error: str
    last_success: float | None
