"""Deliveries of Sonatype Nexus 3 about components and assets of Docker repositories. They name no registry."""

from collections.abc import Iterator
from typing import Any

from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import (
    as_object,
    header,
    inner,
    reference,
    rfc3339,
    tag_or_digest,
    text,
    word,
)
from replicator.intake.formats.reading import Headers, decoder
from replicator.model import Change, ChangeKind, parse_repository

_KINDS = {"CREATED": ChangeKind.PUSH, "UPDATED": ChangeKind.PUSH, "DELETED": ChangeKind.DELETE}


def read(document: Any, headers: Headers) -> Iterator[Outcome]:
    """Yield what the event says."""
    body = as_object(document, "the body")
    key = "component" if "component" in body else "asset"
    subject = inner(body, key)
    kind = _KINDS.get(word(body, "action"))
    if word(subject, "format") != "docker":
        yield Irrelevant(Irrelevance.PACKAGE)
    elif kind is None:
        yield Irrelevant(Irrelevance.ACTION)
    elif key == "component":
        yield _change(kind, body, headers, (text(subject, "name"), text(subject, "version")))
    else:
        named = _manifest(text(subject, "name"))
        yield Irrelevant(Irrelevance.BLOB) if named is None else _change(kind, body, headers, named)


def _manifest(path: str) -> tuple[str, str] | None:
    """Return repository and reference of `v2/REPOSITORY/manifests/REFERENCE`; None for another path."""
    repository, found, name = path.removeprefix("/").removeprefix("v2/").rpartition("/manifests/")
    return (repository, name) if found else None


def _change(kind: ChangeKind, body: dict[str, Any], headers: Headers, named: tuple[str, str]) -> Change:
    tag, digest = tag_or_digest(named[1])
    return Change(
        kind=kind,
        repository=parse_repository(named[0]),
        reference=reference(tag, digest),
        digest=digest,
        happened_at=rfc3339(body.get("timestamp")),
        event_id=header(headers, "X-Nexus-Webhook-Delivery"),
    )


decode = decoder(read)
