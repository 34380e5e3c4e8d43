"""Deliveries of Azure Container Registry's own webhooks: one event each, without an envelope."""

from collections.abc import Iterator, Mapping
from typing import Any

from replicator.intake.formats import targets
from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import as_object, inner, word
from replicator.intake.formats.reading import Headers, decoder


def read(document: Any, _headers: Headers) -> Iterator[Outcome]:
    """Yield what the event says."""
    event = as_object(document, "the body")
    yield outcome(word(event, "action"), event)


def outcome(action: str, event: Mapping[str, Any]) -> Outcome:
    """Return what an event of this action says; Event Grid wraps the same events."""
    match action:
        case "push":
            return targets.push(event)
        case "delete":
            return targets.delete(event)
        case "quarantine":
            # The image is not released yet; its `push` comes once it is.
            return Irrelevant(Irrelevance.QUARANTINE)
        case "chart_push" | "chart_delete":
            # Charts of the old kind lie beside the registry API; those in OCI form are pushed as everything else.
            return Irrelevant(Irrelevance.CHART)
        case "ping":
            return Irrelevant(Irrelevance.PING)
        case _:
            inner(event, "target")
            return Irrelevant(Irrelevance.ACTION)


decode = decoder(read)
