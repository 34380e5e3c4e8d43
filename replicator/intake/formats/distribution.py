"""Deliveries of CNCF Distribution 2.x and 3.x, and of registries that speak its notification format.

An event is a hint only; what it says is checked against the grammar and never trusted further. Distribution 3 writes
empty strings where 2.x leaves keys out, so both count as missing. The headers are not needed: the content type
differs by version and is no proof of anything.
"""

from collections.abc import Iterator
from typing import Any

from replicator.intake.formats import targets
from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import Unclear, as_list, as_object, inner, text
from replicator.intake.formats.reading import Headers, decoder, each

_BLOB_TYPE = "application/octet-stream"


def read(document: Any, _headers: Headers) -> Iterator[Outcome]:
    """Yield what the events of an envelope say."""
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise Unclear("the body is no object with a list of events")
    yield from each(as_list(events, "events"), _event)


def _event(value: Any) -> Iterator[Outcome]:
    event = as_object(value, "the event")
    match text(event, "action"):
        case "push":
            blob = _is_blob(inner(event, "target"))
            yield Irrelevant(Irrelevance.BLOB) if blob else targets.push(event)
        case "delete":
            yield targets.delete(event)
        case "pull":
            yield Irrelevant(Irrelevance.PULL)
        case "mount":
            # Only blobs are mounted.
            yield Irrelevant(Irrelevance.MOUNT)
        case "":
            raise Unclear("the event has no action")
        case _:
            yield Irrelevant(Irrelevance.ACTION)


def _is_blob(target: dict[str, Any]) -> bool:
    """Say whether a push is of a blob. Nothing in the event says so; the URL tells best, then the media type.

    Only the last part of the URL counts, since a repository may itself be called `blobs`.
    """
    if text(target, "tag"):
        return False
    parts = text(target, "url").split("?", 1)[0].rsplit("/", 2)
    kind = parts[1] if len(parts) == 3 else ""  # noqa: PLR2004 -- what stands before, kind, digest
    return kind == "blobs" or (kind != "manifests" and text(target, "mediaType") == _BLOB_TYPE)


decode = decoder(read)
