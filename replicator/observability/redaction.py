"""What log lines must not hold is taken out here, whatever a caller put in (S17, S18).

Secrets are masked, untrusted text is shortened, characters that could forge a line or drive a terminal are escaped.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from structlog.typing import EventDict, WrappedLogger

from replicator.settings.secrets import Secret

MASK = "***"
TEXT_LIMIT = 512
"""Longest value, in characters; what is over it is cut."""
TRACE_LIMIT = 16_384
_ITEMS_LIMIT = 64
_DEPTH_LIMIT = 4

_SECRET_KEY = re.compile(
    r"(?:^|[_-])(?:password|passwd|secret|token|authorization|cookie|credentials?|signature|api[_-]?key)$",
    re.IGNORECASE,
)
_AUTH_VALUE = re.compile(r"\b((?i:bearer|basic))[ :=]+(?=\S*[0-9A-Z=])[A-Za-z0-9._~+/=-]{8,}")
_URL = re.compile(r"\b(https?://)([^/\s@\"'?#]*@)?([^\s\"'?#]*)(?:\?([^\s\"'#]*))?", re.IGNORECASE)
_QUERY_VALUE = re.compile(r"=[^&]*")


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Return the line with every value made safe; a structlog processor."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


def clean_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return `text` without credentials, without control characters and at most `limit` characters long."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    if "://" in cut:
        cut = _URL.sub(_without_url_secrets, cut)
    cut = _AUTH_VALUE.sub(rf"\1 {MASK}", cut)
    return cut if cut.isprintable() else "".join(map(_escaped, cut))


def _clean(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Secret) or _is_secret(key):
        return MASK
    if isinstance(value, str):
        return clean_trace(value) if key == "exception" else clean_text(value)
    return _clean_inside(key, value, depth) if depth < _DEPTH_LIMIT else "..."


@lru_cache(maxsize=512)
def _is_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _clean_inside(key: str, value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        pairs = list(value.items())[:_ITEMS_LIMIT]
        return {clean_text(str(name)): _clean(str(name), each, depth + 1) for name, each in pairs}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(key, each, depth + 1) for each in list(value)[:_ITEMS_LIMIT]]
    return clean_text(str(value))


def clean_trace(text: str) -> str:
    """Return a traceback line by line as clean_text would; its end, where the error stands, is what is kept."""
    kept = text if len(text) <= TRACE_LIMIT else "..." + text[-TRACE_LIMIT:]
    return "\n".join(clean_text(line) for line in kept.split("\n"))


def _without_url_secrets(match: re.Match[str]) -> str:
    scheme, user, place, query = match.groups()
    names = "" if query is None else "?" + _QUERY_VALUE.sub(f"={MASK}", query)
    return f"{scheme}{MASK + '@' if user else ''}{place}{names}"


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
