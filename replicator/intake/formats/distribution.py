"""Deliveries of CNCF Distribution 2.x and 3.x, and of registries that speak its notification format.

Pure, and total: no body makes it raise. An event is a hint only; what it says is checked against the grammar and
never trusted further. Distribution 3 writes empty strings where 2.x leaves keys out, so both count as missing.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from replicator import strict_json
from replicator.errors import NameInvalid, ReplicatorError
from replicator.intake.formats.decoded import Decoded, Irrelevance, Irrelevant, Unreadable
from replicator.model import Change, ChangeKind, Digest, Reference, Tag, parse_repository, parse_tag

MAX_EVENTS: Final = 5_000
"""Most events of one delivery; Distribution itself sends one."""
_TEXT_MAX = 256
_BLOB_TYPE = "application/octet-stream"
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:)(\d\d)(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)
_LEAP_SECOND = 60


class _Unreadable(ReplicatorError):
    """One event cannot be understood."""


def decode(body: bytes, _headers: Mapping[str, str], *, limit: int) -> Decoded:
    """Return what the events of one delivery say. `limit` is the most bytes a body may have.

    The headers are not needed: the content type differs by version and is no proof of anything.
    """
    try:
        envelope = strict_json.loads(body, limit=limit)
    except strict_json.Invalid as error:
        return Decoded(unreadable=(Unreadable(str(error)),))
    events = envelope.get("events") if isinstance(envelope, dict) else None
    if not isinstance(events, list):
        return Decoded(unreadable=(Unreadable("the body is no object with a list of events"),))
    if len(events) > MAX_EVENTS:
        return Decoded(unreadable=(Unreadable(f"{len(events)} events in one delivery, more than {MAX_EVENTS}"),))
    return _sorted_out([_outcome(event) for event in events])


def _sorted_out(outcomes: list[Change | Irrelevant | Unreadable]) -> Decoded:
    return Decoded(
        changes=tuple(each for each in outcomes if isinstance(each, Change)),
        irrelevant=tuple(each for each in outcomes if isinstance(each, Irrelevant)),
        unreadable=tuple(each for each in outcomes if isinstance(each, Unreadable)),
    )


def _outcome(event: Any) -> Change | Irrelevant | Unreadable:
    try:
        return _read(_object(event, "the event"))
    except (_Unreadable, NameInvalid) as error:
        return Unreadable(str(error))


def _read(event: dict[str, Any]) -> Change | Irrelevant:
    action = _text(event, "action")
    match action:
        case "push":
            return _push(event, _object(event.get("target"), "target"))
        case "delete":
            return _delete(event, _object(event.get("target"), "target"))
        case "pull":
            return Irrelevant(Irrelevance.PULL)
        case "mount":
            # Only blobs are mounted.
            return Irrelevant(Irrelevance.MOUNT)
        case "":
            raise _Unreadable("the event has no action")
        case _:
            return Irrelevant(Irrelevance.ACTION)


def _push(event: dict[str, Any], target: dict[str, Any]) -> Change | Irrelevant:
    if _is_blob(target):
        return Irrelevant(Irrelevance.BLOB)
    tag, digest = _tag(target), _digest(target)
    reference = tag if tag is not None else digest
    if reference is None:
        raise _Unreadable("a push that names neither tag nor digest")
    return _change(ChangeKind.PUSH, event, target, reference, digest)


def _delete(event: dict[str, Any], target: dict[str, Any]) -> Change | Irrelevant:
    tag, digest = _tag(target), _digest(target)
    reference = tag if tag is not None else digest
    if reference is None:
        # A whole repository went; it is told apart from a damaged event by its name.
        parse_repository(_text(target, "repository"))
        return Irrelevant(Irrelevance.REPOSITORY)
    return _change(ChangeKind.DELETE, event, target, reference, digest)


def _is_blob(target: dict[str, Any]) -> bool:
    """Say whether a push is of a blob. Nothing in the event says so; the URL tells best, then the media type.

    Only the last part of the URL counts, since a repository may itself be called `blobs`.
    """
    if _text(target, "tag"):
        return False
    parts = _text(target, "url").split("?", 1)[0].rsplit("/", 2)
    kind = parts[1] if len(parts) == 3 else ""  # noqa: PLR2004 -- what stands before, kind, digest
    return kind == "blobs" or (kind != "manifests" and _text(target, "mediaType") == _BLOB_TYPE)


def _change(
    kind: ChangeKind, event: dict[str, Any], target: dict[str, Any], reference: Reference, digest: Digest | None
) -> Change:
    request = event.get("request")
    host = _text(request, "host") if isinstance(request, dict) else ""
    return Change(
        kind=kind,
        repository=parse_repository(_text(target, "repository")),
        reference=reference,
        digest=digest,
        happened_at=_time(event.get("timestamp")),
        host=host[:_TEXT_MAX] or None,
        event_id=_text(event, "id")[:_TEXT_MAX],
    )


def _tag(target: dict[str, Any]) -> Tag | None:
    text = _text(target, "tag")
    return parse_tag(text) if text else None


def _digest(target: dict[str, Any]) -> Digest | None:
    text = _text(target, "digest")
    return Digest.parse(text) if text else None


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unreadable(f"{name} is not an object")
    return value


def _text(holder: dict[str, Any], key: str) -> str:
    """Return the text under `key`, "" when it is missing or null."""
    value = holder.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Unreadable(f"{key} is not text")
    return value


def _time(value: Any) -> float | None:
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
