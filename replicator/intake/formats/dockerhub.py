"""Deliveries of Docker Hub: one pushed tag each, without a digest. `callback_url` is never called."""

from collections.abc import Iterator
from typing import Any

from replicator.intake.formats.decoded import Outcome
from replicator.intake.formats.fields import Unclear, as_object, inner, repository, tag, unix_seconds
from replicator.intake.formats.reading import Headers, decoder
from replicator.model import Change, ChangeKind


def read(document: Any, _headers: Headers) -> Iterator[Outcome]:
    """Yield what was pushed."""
    body = as_object(document, "the body")
    pushed = inner(body, "push_data")
    name = tag(pushed)
    if name is None:
        raise Unclear("a push without a tag")
    yield Change(
        kind=ChangeKind.PUSH,
        repository=repository(inner(body, "repository"), "repo_name"),
        reference=name,
        happened_at=unix_seconds(pushed.get("pushed_at")),
    )


decode = decoder(read)
