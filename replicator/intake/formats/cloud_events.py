"""CloudEvents 1.0, where the attributes of an event stand in headers or beside its data. Pure."""

from dataclasses import dataclass
from typing import Any

from replicator.intake.formats.fields import Unclear, as_object, header, rfc3339, short, text
from replicator.intake.formats.reading import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One event; `time` in Unix seconds, `data` any JSON value."""

    type: str
    id: str
    source: str
    time: float | None
    data: Any


def is_structured(document: Any) -> bool:
    """Say whether a body holds the attributes of an event itself."""
    return isinstance(document, dict) and "specversion" in document and "type" in document


def structured(document: Any) -> CloudEvent:
    """Return the event that is all in the body."""
    event = as_object(document, "the event")
    if not is_structured(event) or not text(event, "type"):
        raise Unclear("the body is no CloudEvent")
    return CloudEvent(
        type=short(event, "type"),
        id=short(event, "id"),
        source=short(event, "source"),
        time=rfc3339(event.get("time")),
        data=event.get("data"),
    )


def binary(document: Any, headers: Headers) -> CloudEvent:
    """Return the event whose attributes are in the headers."""
    kind = header(headers, "Ce-Type")
    if not kind:
        raise Unclear("neither the headers nor the body say what type of event this is")
    return CloudEvent(
        type=kind,
        id=header(headers, "Ce-Id"),
        source=header(headers, "Ce-Source"),
        time=rfc3339(header(headers, "Ce-Time")),
        data=document,
    )
