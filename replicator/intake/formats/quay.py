"""Deliveries of Quay and Red Hat Quay. No field says what happened: the keys tell, and only pushes matter.

Quay names tags alone, and says nothing about deletes.
"""

from collections.abc import Iterator
from typing import Any

from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import Unclear, as_list, as_object, first_segment, repository, text
from replicator.intake.formats.reading import Headers, decoder, each
from replicator.model import Change, ChangeKind, parse_tag

MARKS = frozenset({"build_id", "vulnerability", "message", "expiring_in", "threshold_percent"})
"""Keys of events that are no push: builds, scans, mirroring, expiry, quota."""


def read(document: Any, _headers: Headers) -> Iterator[Outcome]:
    """Yield one change for each tag that was pushed."""
    event = as_object(document, "the body")
    if "updated_tags" in event:
        yield from each(as_list(event["updated_tags"], "updated_tags"), lambda tag: _push(event, tag))
    elif MARKS & event.keys() and {"repository", "threshold_percent"} & event.keys():
        yield Irrelevant(Irrelevance.ACTION)
    else:
        raise Unclear("the body has neither updated_tags nor a key of another event")


def _push(event: dict[str, Any], tag: Any) -> Iterator[Change]:
    if not isinstance(tag, str):
        raise Unclear("a tag is not text")
    yield Change(
        kind=ChangeKind.PUSH,
        repository=repository(event),
        reference=parse_tag(tag),
        host=first_segment(text(event, "docker_url")),
    )


decode = decoder(read)
