"""Events that are made of a target and a request, as Distribution has them and Azure took them over. Pure."""

from collections.abc import Mapping
from typing import Any

from replicator.intake.formats import fields
from replicator.intake.formats.decoded import Irrelevance, Irrelevant
from replicator.model import Change, ChangeKind

Event = Mapping[str, Any]


def push(event: Event) -> Change:
    """Return what a push of a manifest says."""
    return _change(ChangeKind.PUSH, event, fields.inner(event, "target"))


def delete(event: Event) -> Change | Irrelevant:
    """Return what a delete of a tag or a manifest says."""
    target = fields.inner(event, "target")
    if fields.tag(target) is None and fields.digest(target) is None:
        # A whole repository went; it is told apart from a damaged event by its name.
        fields.repository(target)
        return Irrelevant(Irrelevance.REPOSITORY)
    return _change(ChangeKind.DELETE, event, target)


def _change(kind: ChangeKind, event: Event, target: Event) -> Change:
    digest = fields.digest(target)
    return Change(
        kind=kind,
        repository=fields.repository(target),
        reference=fields.reference(fields.tag(target), digest),
        digest=digest,
        happened_at=fields.rfc3339(event.get("timestamp")),
        host=fields.short(fields.inner_if_any(event, "request"), "host") or None,
        event_id=fields.short(event, "id"),
    )
