"""How the address of a server is written: scheme, host and port. It is never shown: it may hold a password."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
"""A host as it may stand in the name of an image."""
_INNER_HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
"""The names of services of an inner network may have underscores."""
HOST_PORT: Final = re.compile(rf"({HOST})(?::([0-9]{{1,5}}))?")
INNER_HOST_PORT: Final = re.compile(rf"({_INNER_HOST})(?::([0-9]{{1,5}}))?")
MAX_PORT: Final = 65535


def split(text: str) -> SplitResult | None:
    """Return the parts of a URL, None for what is none or has an impossible port."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def names_server(parts: SplitResult, form: re.Pattern[str]) -> bool:
    """Say whether there is a host, of this form, with no port or a possible one."""
    return form.fullmatch(parts.netloc) is not None and parts.port != 0


def holds_more(parts: SplitResult, text: str) -> bool:
    """Say whether there is a path, a query or a fragment, even an empty one of the latter two."""
    return parts.path not in {"", "/"} or "?" in text or "#" in text


def written(parts: SplitResult) -> str:
    """Return scheme, host and port without a slash at the end, lower case."""
    return f"{parts.scheme}://{parts.netloc.lower()}"
