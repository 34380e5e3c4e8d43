"""Deliveries of every sender, byte for byte as they come: `tests/samples/webhooks/`.

`known` says how well: `source` (field names from the sender's own source or documentation), `assembled` (for a case
that those do not print), `guessed`. Signatures in the headers are genuine, made with the key `example-secret`.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from replicator.intake.formats.known import FORMATS

_FOLDER = Path(__file__).parents[1] / "samples" / "webhooks"
_FORMATS = {
    "distribution2": "distribution",
    "distribution3": "distribution",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One delivery."""

    name: str
    known: Literal["source", "assembled", "guessed"]
    headers: dict[str, str]
    body: bytes

    @property
    def format(self) -> str:
        """The format that reads it; "" for the one of no sender."""
        first = self.name.partition("-")[0]
        found = _FORMATS.get(first, first)
        return found if found in FORMATS else ""

    def __str__(self) -> str:
        return self.name


@cache
def samples() -> dict[str, Sample]:
    """All deliveries by their names."""
    index = json.loads((_FOLDER / "index.json").read_text())
    return {
        name: Sample(name, told["known"], told["headers"], (_FOLDER / f"{name}.json").read_bytes())
        for name, told in index.items()
    }
