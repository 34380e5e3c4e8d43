"""Where in the file things stand that are named later, when the file is no longer at hand."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Places:
    """On which line each of the `rules` stands. Any two are equal: what a thing says does not depend on it."""

    rules: tuple[int, ...] = field(default=(), compare=False)


NOWHERE = Places()
"""Of settings that no file holds."""
