"""The paths by which the configuration says where in a sender's JSON something is. Pure.

`repository.name` is the value under `name` of the value under `repository`; `tags[*]` is every item of a list, and
`[*]` at the beginning every item of a body that is a list itself. That is all of the language.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

_STEP = re.compile(r"([^.\[\]\s]*)((?:\[\*\])*)")
_EVERY = "[*]"
_STEPS_MAX = 16


class Every(Enum):
    """The step from a list to each of its items."""

    ITEM = _EVERY


Path = Sequence[str | Every]


def parse(text: str) -> Path:
    """Return the steps of a path. Raises ValueError, with what is wrong."""
    if text.startswith("$"):
        raise ValueError("it begins with $, which other languages need and this one does without")
    steps: list[str | Every] = []
    for index, part in enumerate(text.split(".")):
        match = _STEP.fullmatch(part)
        if match is None:
            raise ValueError("it holds something else than keys, dots and [*]")
        key, every = match.groups()
        if not key and (index > 0 or not every):
            raise ValueError("a key is missing between its dots")
        steps += [key] if key else []
        steps += [Every.ITEM] * (len(every) // len(_EVERY))
    if len(steps) > _STEPS_MAX:
        raise ValueError(f"it has more than {_STEPS_MAX} steps")
    return tuple(steps)


def values(document: Any, path: Path) -> Iterator[Any]:
    """Yield the values that the path leads to, none where it leads nowhere."""
    if not path:
        yield document
    elif path[0] is Every.ITEM:
        for item in document if isinstance(document, list) else ():
            yield from values(item, path[1:])
    elif isinstance(document, dict) and path[0] in document:
        yield from values(document[path[0]], path[1:])
