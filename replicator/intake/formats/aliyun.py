"""Deliveries of Alibaba Cloud Container Registry: one push each. Their times have no zone, and no host is named."""

from collections.abc import Iterator
from typing import Any

from replicator.intake.formats.decoded import Outcome
from replicator.intake.formats.fields import as_object, digest, inner, reference, repository, tag
from replicator.intake.formats.reading import Headers, decoder
from replicator.model import Change, ChangeKind


def read(document: Any, _headers: Headers) -> Iterator[Outcome]:
    """Yield what was pushed."""
    body = as_object(document, "the body")
    pushed = inner(body, "push_data")
    name, of_image = tag(pushed), digest(pushed)
    yield Change(
        kind=ChangeKind.PUSH,
        repository=repository(inner(body, "repository"), "repo_full_name"),
        reference=reference(name, of_image),
        digest=of_image,
    )


decode = decoder(read)
