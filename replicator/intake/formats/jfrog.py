"""Deliveries of JFrog Artifactory about its Docker repositories.

A repository is taken to be reached by path (`HOST/REPO_KEY/IMAGE`); other ways of access need the generic format.
"""

from collections.abc import Iterator
from typing import Any

from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import (
    as_object,
    host_of,
    inner,
    reference,
    tag_or_digest,
    text,
    word,
)
from replicator.intake.formats.reading import Headers, decoder
from replicator.model import Change, ChangeKind, Digest, parse_repository

_KINDS = {"pushed": ChangeKind.PUSH, "promoted": ChangeKind.PUSH, "deleted": ChangeKind.DELETE}


def read(document: Any, _headers: Headers) -> Iterator[Outcome]:
    """Yield what the event says."""
    body = as_object(document, "the body")
    data = inner(body, "data")
    kind = _KINDS.get(word(body, "event_type"))
    if word(body, "domain") != "docker":
        yield Irrelevant(Irrelevance.PACKAGE)
    elif kind is None:
        yield Irrelevant(Irrelevance.ACTION)
    else:
        yield _change(kind, data, host_of(text(body, "jpd_origin")))


def _change(kind: ChangeKind, data: dict[str, Any], host: str | None) -> Change:
    tag, named = tag_or_digest(text(data, "tag"))
    # The digest of the manifest's file, which is that of the manifest.
    encoded = text(data, "sha256")
    digest = Digest.parse(f"sha256:{encoded.removeprefix('sha256:')}") if encoded else named
    return Change(
        kind=kind,
        repository=parse_repository(f"{text(data, 'repo_key')}/{text(data, 'image_name')}"),
        reference=reference(tag, digest),
        digest=digest,
        host=host,
    )


decode = decoder(read)
