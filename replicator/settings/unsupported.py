"""What the schema knows and the daemon cannot do yet: one row a key. Building a feature deletes its rows.

A key is accepted at its off value and refused otherwise, so that nothing is silently ignored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from replicator.settings.mistakes import KeyPath, Mistake


@dataclass(frozen=True, slots=True)
class Row:
    """A key that is not built yet: `path` with `[]` for each item of a list, and what may be written meanwhile.

    `off` are the accepted values, the first of them as people write it.
    """

    path: str
    off: tuple[object, ...] = ()

    def accepts(self, value: object) -> bool:
        """Say whether the value asks for nothing that is missing."""
        return any(value == off and type(value) is type(off) for off in self.off)


ROWS = (Row("replicas[].source", off=("primary",)),)


def refuse_unsupported(data: Any, rows: Sequence[Row] = ROWS) -> tuple[Any, list[Mistake]]:
    """Return `data` without the values that ask for what is not built, and a mistake for each of them."""
    mistakes: list[Mistake] = []
    for row in rows:
        for path, value in list(_values(data, row.path.replace("[]", ".[]").split("."), ())):
            if not row.accepts(value):
                mistakes.append(_mistake(row, path))
                data = _without(data, path)
    return data, mistakes


def spelled(value: object) -> str:
    """Return an off value as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(data: Any, parts: list[str], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield each value that the row's path leads to."""
    if not parts:
        yield path, data
    elif parts[0] == "[]":
        for index, item in enumerate(data if isinstance(data, list) else ()):
            yield from _values(item, parts[1:], (*path, index))
    elif isinstance(data, dict) and parts[0] in data:
        yield from _values(data[parts[0]], parts[1:], (*path, parts[0]))


def _without(data: Any, path: KeyPath) -> Any:
    """Return a copy of `data` in which `path` is missing."""
    head, rest = path[0], path[1:]
    if isinstance(data, list):
        return [_without(item, rest) if index == head else item for index, item in enumerate(data)]
    if rest:
        return {**data, head: _without(data[head], rest)}
    return {key: value for key, value in data.items() if key != head}


def _mistake(row: Row, path: KeyPath) -> Mistake:
    if not row.off:
        return Mistake(path, "is not supported yet", "remove the key")
    off = spelled(row.off[0])
    return Mistake(path, f"anything but {off} is not supported yet", f"write {path[-1]}: {off} or remove the key")
