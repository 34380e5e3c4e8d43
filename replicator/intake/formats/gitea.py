"""Deliveries of Gitea and Forgejo about container packages, as JSON or as a form.

A version is a tag or, of what was pushed by digest, the digest. Both are written in lower case.
"""

from collections.abc import Iterator
from typing import Any

from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import (
    as_object,
    header,
    host_of,
    inner,
    reference,
    rfc3339,
    tag_or_digest,
    text,
    word,
)
from replicator.intake.formats.reading import Headers, decoder
from replicator.model import Change, ChangeKind, parse_repository

SENDERS = ("X-Forgejo", "X-Gitea", "X-Gogs")
"""What the headers begin with; a sender sets those of its ancestors as well."""
_KINDS = {"created": ChangeKind.PUSH, "deleted": ChangeKind.DELETE}


def read(document: Any, headers: Headers) -> Iterator[Outcome]:
    """Yield what the event says."""
    body = as_object(document, "the body")
    if _first(headers, "Event") not in {"", "package"}:
        yield Irrelevant(Irrelevance.ACTION)
        return
    package = inner(body, "package")
    kind = _KINDS.get(text(body, "action"))
    if word(package, "type") != "container":
        yield Irrelevant(Irrelevance.PACKAGE)
    elif kind is None:
        yield Irrelevant(Irrelevance.ACTION)
    else:
        yield _change(kind, package, _first(headers, "Delivery"))


def _change(kind: ChangeKind, package: dict[str, Any], delivery: str) -> Change:
    tag, digest = tag_or_digest(text(package, "version"))
    return Change(
        kind=kind,
        repository=parse_repository(f"{text(inner(package, 'owner'), 'login')}/{text(package, 'name')}".lower()),
        reference=reference(tag, digest),
        digest=digest,
        # When a version went is not told, only when it came.
        happened_at=rfc3339(package.get("created_at")) if kind is ChangeKind.PUSH else None,
        host=host_of(text(package, "html_url")),
        event_id=delivery,
    )


def _first(headers: Headers, name: str) -> str:
    return next(filter(None, (header(headers, f"{sender}-{name}") for sender in SENDERS)), "")


decode = decoder(read, form=True)
