"""Deliveries of zot: CloudEvents in binary mode, as its HTTP sink sends them, or structured; no registry is named."""

from collections.abc import Iterator
from typing import Any

from replicator.intake.formats import cloud_events
from replicator.intake.formats.cloud_events import CloudEvent
from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import (
    Unclear,
    as_object,
    digest,
    reference,
    repository,
    tag_or_digest,
    text,
)
from replicator.intake.formats.reading import Headers, decoder
from replicator.model import Change, ChangeKind

TYPES = "zotregistry."
"""What the types of its events begin with."""
_KINDS = {"zotregistry.image.updated": ChangeKind.PUSH, "zotregistry.image.deleted": ChangeKind.DELETE}
_OTHERS = {
    # The push was refused.
    "zotregistry.image.lint_failed": Irrelevance.FAILED,
    "zotregistry.repository.created": Irrelevance.REPOSITORY,
}


def read(document: Any, headers: Headers) -> Iterator[Outcome]:
    """Yield what the event says."""
    if cloud_events.is_structured(document):
        event = cloud_events.structured(document)
    else:
        event = cloud_events.binary(document, headers)
    if not event.type.startswith(TYPES):
        raise Unclear("the event is not one of zot")
    kind = _KINDS.get(event.type)
    yield Irrelevant(_OTHERS.get(event.type, Irrelevance.ACTION)) if kind is None else _change(kind, event)


def _change(kind: ChangeKind, event: CloudEvent) -> Change:
    data = as_object(event.data, "the event's data")
    tag, named = tag_or_digest(text(data, "reference"))
    of_manifest = named or digest(data)
    return Change(
        kind=kind,
        repository=repository(data, "name"),
        reference=reference(tag, of_manifest),
        digest=of_manifest,
        happened_at=event.time,
        event_id=event.id,
    )


decode = decoder(read)
