"""Deliveries of Harbor 2.x, in its default payload and as CloudEvents; and of 1.x, whose types had other names."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from replicator.intake.formats import cloud_events
from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import (
    Unclear,
    as_list,
    as_object,
    digest,
    first_segment,
    inner,
    reference,
    repository,
    short,
    tag_or_digest,
    text,
    unix_seconds,
    word,
)
from replicator.intake.formats.reading import Headers, decoder, each
from replicator.model import Change, ChangeKind, Reference, parse_repository

_KINDS = {
    **dict.fromkeys(("PUSH_ARTIFACT", "harbor.artifact.pushed", "pushImage"), ChangeKind.PUSH),
    **dict.fromkeys(("DELETE_ARTIFACT", "harbor.artifact.deleted", "deleteImage"), ChangeKind.DELETE),
}
_RETENTIONS = {"TAG_RETENTION", "harbor.tag_retention.finished"}
_PULLS = {"PULL_ARTIFACT", "harbor.artifact.pulled", "pullImage"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """An event in either form; `time` in Unix seconds."""

    type: str
    id: str
    time: float | None
    data: dict[str, Any]


def read(document: Any, _headers: Headers) -> Iterator[Outcome]:
    """Yield what the event says: it may be about several resources."""
    event = _event(document)
    kind = _KINDS.get(event.type)
    if kind is not None:
        resources = as_list(event.data.get("resources"), "resources")
        yield from each(resources, lambda resource: _resource(kind, event, resource))
    elif event.type in _RETENTIONS:
        yield from _retention(event)
    else:
        yield Irrelevant(Irrelevance.PULL if event.type in _PULLS else Irrelevance.ACTION)


def _event(document: Any) -> _Event:
    if cloud_events.is_structured(document):
        event = cloud_events.structured(document)
        if not event.type.startswith("harbor."):
            raise Unclear("the event is not one of Harbor")
        return _Event(type=event.type, id=event.id, time=event.time, data=as_object(event.data, "data"))
    body = as_object(document, "the body")
    return _Event(
        type=word(body, "type"), id="", time=unix_seconds(body.get("occur_at")), data=inner(body, "event_data")
    )


def _resource(kind: ChangeKind, event: _Event, value: Any) -> Iterator[Change]:
    resource = as_object(value, "a resource")
    tag, named = tag_or_digest(text(resource, "tag"))
    of_artifact = digest(resource) or named
    about: list[Reference] = [reference(tag, of_artifact)]
    if kind is ChangeKind.DELETE and tag is not None and of_artifact is not None:
        # Harbor deletes a whole artifact and names one of its tags.
        about.append(of_artifact)
    for named_so in about:
        yield Change(
            kind=kind,
            repository=repository(inner(event.data, "repository"), "repo_full_name"),
            reference=named_so,
            digest=of_artifact,
            happened_at=event.time,
            host=first_segment(text(resource, "resource_url")),
            event_id=event.id,
        )


def _retention(event: _Event) -> Iterator[Outcome]:
    """Yield the artifacts that a retention run deleted; their names lack the project."""
    retention = inner(event.data, "retention")
    deleted = as_list(retention.get("deleted_artifact") or [], "deleted_artifact")
    if not deleted:
        yield Irrelevant(Irrelevance.ACTION)
    yield from each(deleted, lambda artifact: _one_deleted(event, retention, artifact))


def _one_deleted(event: _Event, retention: dict[str, Any], value: Any) -> Iterator[Outcome]:
    artifact = as_object(value, "a deleted artifact")
    if text(artifact, "status").upper() != "SUCCESS":
        yield Irrelevant(Irrelevance.FAILED)
        return
    name = text(artifact, "name_tag")
    path, at, after = name.partition("@")
    if not at:
        path, _, after = name.rpartition(":")
    tag, of_artifact = tag_or_digest(after)
    yield Change(
        kind=ChangeKind.DELETE,
        repository=parse_repository(f"{text(retention, 'project_name')}/{path}"),
        reference=reference(tag, of_artifact),
        digest=of_artifact,
        happened_at=event.time,
        host=short(retention, "harbor_hostname") or None,
        event_id=event.id,
    )


decode = decoder(read)
