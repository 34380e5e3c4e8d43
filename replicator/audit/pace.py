"""How many rows continuous verification looks at, and how long it rests then. Pure."""

import math
from dataclasses import dataclass

MOST = 200
"""Rows looked at in one go."""
REST = 30.0
"""Seconds between two goes, at the least where one is not full."""
_LONGEST = 3600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Look at `rows`, and begin with the next `seconds` after the beginning of these."""

    rows: int
    seconds: float


def pace(clean: int, full_every: float) -> Pace:
    """Return the pace at which `clean` rows are looked at in `full_every` seconds; one row an hour at the least."""
    each = min(_LONGEST, full_every / max(1, clean))
    rows = min(MOST, max(1, math.floor(min(REST, full_every) / each)))
    return Pace(rows, rows * each)
