"""How decoders take text, names, times and objects out of what a sender wrote. Pure.

Senders differ in whether they leave out what they do not know, write null, or write an empty string: all three count
as missing. Whatever is of the wrong kind, or no name by the grammar, is Unclear or NameInvalid, never another error.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from replicator.errors import ReplicatorError
from replicator.model import Digest, Reference, Repository, Tag, parse_repository, parse_tag, shown

MAX_EVENTS: Final = 5_000
"""Most events of one delivery, and most items of a list in an event; Event Grid batches are the largest."""
TEXT_MAX: Final = 256
"""Most characters that are kept of what is only shown or compared: hosts and names of events."""
_LATEST: Final = 1e11
"""Unix seconds from which on a number is no time of an event: milliseconds, or nonsense."""
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:)(\d\d)(\.\d{1,12})?([Zz]|[+-]\d\d:?\d\d)",
    re.ASCII,
)
_LEAP_SECOND = 60


class Unclear(ReplicatorError):
    """An event, or a whole delivery, cannot be understood; the message is safe to show."""


def as_object(value: Any, name: str) -> dict[str, Any]:
    """Return `value` as a JSON object; `name` says in the error what it is."""
    if not isinstance(value, dict):
        raise Unclear(f"{name} is not an object")
    return value


def inner(holder: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object under `key`, which must be there."""
    return as_object(holder.get(key), key)


def inner_if_any(holder: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object under `key`, an empty one for anything else: for what the change does not depend on."""
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def as_list(value: Any, name: str) -> list[Any]:
    """Return `value` as a list of at most MAX_EVENTS items."""
    if not isinstance(value, list):
        raise Unclear(f"{name} is not a list")
    if len(value) > MAX_EVENTS:
        raise Unclear(f"{name} has {len(value)} items, more than {MAX_EVENTS}")
    return value


def text(holder: Mapping[str, Any], key: str) -> str:
    """Return the text under `key`, "" when it is missing or null."""
    value = holder.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unclear(f"{key} is not text")
    return value


def word(holder: Mapping[str, Any], key: str) -> str:
    """Return the text under `key`, which must be there: without it the event is another sender's."""
    found = text(holder, key)
    if not found:
        raise Unclear(f"{key} is missing")
    return found


def short(holder: Mapping[str, Any], key: str) -> str:
    """Return the beginning of the text under `key`: for what is only shown or compared."""
    return text(holder, key)[:TEXT_MAX]


def header(headers: Mapping[str, str], name: str) -> str:
    """Return the beginning of a header's value, whatever the case of its name; "" when it is missing.

    A value that is not all printable ASCII counts as missing: servers keep other bytes as lone surrogates.
    """
    name = name.lower()
    value = next((value for key, value in headers.items() if key.lower() == name), "")[:TEXT_MAX]
    return value if value.isascii() and value.isprintable() else ""


def repository(holder: Mapping[str, Any], key: str = "repository") -> Repository:
    """Return the repository named under `key`."""
    return parse_repository(text(holder, key))


def tag(holder: Mapping[str, Any], key: str = "tag") -> Tag | None:
    """Return the tag under `key`, None when it is missing."""
    name = text(holder, key)
    return parse_tag(name) if name else None


def digest(holder: Mapping[str, Any], key: str = "digest") -> Digest | None:
    """Return the digest under `key`, None when it is missing."""
    name = text(holder, key)
    return Digest.parse(name) if name else None


def tag_or_digest(name: str) -> tuple[Tag | None, Digest | None]:
    """Return what `name` is, where a sender writes the digest in the place of a tag; two times None for ""."""
    if not name:
        return None, None
    return (None, Digest.parse(name)) if ":" in name else (parse_tag(name), None)


def reference(tag: Tag | None, digest: Digest | None) -> Reference:
    """Return what an event is about: the tag if it names one, else the digest. Raises Unclear if it names neither."""
    if tag is not None:
        return tag
    if digest is None:
        raise Unclear("the event names neither tag nor digest")
    return digest


def rfc3339(value: Any) -> float | None:
    """Return Unix seconds of an RFC 3339 time; None for what is none: a wrong clock must not lose the change."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, minute, second, fraction, zone = match.groups()
    leap = int(second) == _LEAP_SECOND
    offset = "+00:00" if zone in {"Z", "z"} else zone
    try:
        whole = datetime.fromisoformat(f"{day}T{minute}{'59' if leap else second}{offset}").timestamp()
    except ValueError:
        return None
    seconds = whole + leap + float(fraction or 0)
    # Go's zero time stands for "not set".
    return seconds if seconds >= 0 else None


def unix_seconds(value: Any) -> float | None:
    """Return a number of Unix seconds, whole or not; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        return None
    return float(value)


def host_of(url: str) -> str | None:
    """Return host and port of an http(s) URL; None for what is none, and for one that holds a password."""
    try:
        parts = urlsplit(url[: 4 * TEXT_MAX])
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc:
        return None
    return parts.netloc[:TEXT_MAX] or None


def first_segment(name: str) -> str | None:
    """Return the host of a full name `HOST/REPOSITORY...`, also behind a scheme; None when there is no slash."""
    host, slash, _ = name.rpartition("://")[2].partition("/")
    return (host[:TEXT_MAX] or None) if slash else None


def split_full_name(name: str) -> tuple[str, Repository, Tag | None, Digest | None]:
    """Return the parts of `HOST/REPOSITORY`, with `:TAG` and `@DIGEST` behind it or not."""
    rest, at, digest_text = name.partition("@")
    host, slash, path = rest.partition("/")
    if not slash or not host:
        raise Unclear(f"{shown(name)} does not name a registry and a repository")
    last = path.rfind("/") + 1
    name_end = path.find(":", last)
    tag_text = path[name_end + 1 :] if name_end >= 0 else ""
    repository_text = path[:name_end] if name_end >= 0 else path
    return (
        host[:TEXT_MAX],
        parse_repository(repository_text),
        parse_tag(tag_text) if name_end >= 0 else None,
        Digest.parse(digest_text) if at else None,
    )
