"""Byte ranges of downloads: `Range` to ask, `Content-Range` to check (RFC 9110 14, B5). Pure."""

import re
from dataclasses import dataclass

_CONTENT_RANGE = re.compile(r"bytes\s+([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """The bytes `first` to `last`, both included, of `total` (None: the server does not say)."""

    first: int
    last: int
    total: int | None

    def is_exactly(self, offset: int, end: int, size: int) -> bool:
        """Say whether these are the bytes from `offset` up to, not including, `end` of content of `size` bytes."""
        return offset < end and self.first == offset and self.last == end - 1 and self.total in {None, size}


def asked(offset: int, end: int) -> str:
    """Return the `Range` for the bytes from `offset` up to, not including, `end`.

    Always with both ends: there are registries that do not understand `bytes=N-`.
    """
    return f"bytes={offset}-{end - 1}"


def parse_content_range(text: str) -> ContentRange | None:
    """Return what `Content-Range` says, None when it says nothing sensible."""
    match = _CONTENT_RANGE.fullmatch(text.strip())
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    return ContentRange(first, last, total) if first <= last and (total is None or last < total) else None
