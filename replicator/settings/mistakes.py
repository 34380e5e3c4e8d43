"""A mistake in the configuration file, and the one message that lists them all."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from replicator.errors import SettingsError
from replicator.model import shown

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")

KeyPath = tuple[str | int, ...]
"""The way to a value from the top of the file: keys, and positions in lists from 0."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong at `path`, and what would be right. Neither ever holds a secret.

    `line` is where, when that is not simply the line of the key.
    """

    path: KeyPath
    wrong: str
    right: str
    line: int | None = None


def key_path(path: KeyPath) -> str:
    """Return `path` as messages show it: `replicas[1].url`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            key = part if _PLAIN_KEY.fullmatch(part) else shown(part, 40)
            text += f".{key}" if text else key
    return text or "(file)"


def settings_error(file: str, lines: Mapping[KeyPath, int], mistakes: Iterable[Mistake]) -> SettingsError:
    """Return the error that lists the mistakes in the order of the file.

    Of several at one place the first one is told: the others usually follow from it.
    """
    first: dict[tuple[KeyPath, int], Mistake] = {}
    for mistake in mistakes:
        line = _line(lines, mistake.path) if mistake.line is None else mistake.line
        first.setdefault((mistake.path, line), mistake)
    told = sorted(((line, key_path(path), m) for (path, line), m in first.items()), key=lambda entry: entry[:2])
    return SettingsError("\n".join(f"{file}:{line}: {path}: {m.wrong}; {m.right}" for line, path, m in told))


def _line(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """Return the line of the key, or of the nearest one above it when the key itself is missing."""
    for end in range(len(path), -1, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 1
