"""`Link` headers -> the next page (RFC 8288, L1). Pure."""

import re
from collections.abc import Iterable

_LINK = re.compile(
    r'[\s,]*<([^<>]*)>((?:\s*;\s*[^\s=;,"]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*+"|[^\s;,"]*))?)*+)', re.DOTALL
)
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]*))', re.IGNORECASE)


def next_page(headers: Iterable[str]) -> str | None:
    """Return the reference of the first link whose relation is `next`, as written; None when there is no more."""
    for header in headers:
        position = 0
        while (match := _LINK.match(header, position)) is not None:
            relation = _RELATION.search(match[2])
            if relation is not None and "next" in (relation[1] or relation[2] or "").lower().split():
                return match[1]
            position = match.end()
    return None
