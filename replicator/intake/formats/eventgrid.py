"""Deliveries of Azure Event Grid about a container registry: its own schema and CloudEvents 1.0, one event or many.

Event Grid asks beforehand whether its events are wanted: in its own schema by an event whose code is sent back, in
CloudEvents by OPTIONS. The URL that it offers as another way is never contacted.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from replicator.intake.formats import acr, fields
from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome, Reply
from replicator.intake.formats.fields import Unclear, as_list, as_object, header, inner, text
from replicator.intake.formats.reading import Headers, decoder, each

ORIGIN: Final = "eventgrid.azure.net"
"""The one sender whose OPTIONS request is answered with consent."""
_CODE = re.compile(r"[A-Za-z0-9._~-]{1,256}")
_ACTIONS = {
    "ImagePushed": "push",
    "ImageDeleted": "delete",
    "ChartPushed": "chart_push",
    "ChartDeleted": "chart_delete",
}
_REGISTRY = "Microsoft.ContainerRegistry."


def read(document: Any, _headers: Headers) -> Iterator[Outcome]:
    """Yield what the events say."""
    events = as_list(document, "the body") if isinstance(document, list) else [document]
    yield from each(events, _event)


def consent(headers: Headers) -> Reply | None:
    """Return the answer to an OPTIONS request that asks whether events may be sent; None if nobody known asks."""
    if header(headers, "WebHook-Request-Origin").lower() != ORIGIN:
        return None
    return Reply(headers={"Allow": "POST", "WebHook-Allowed-Origin": ORIGIN, "WebHook-Allowed-Rate": "*"})


def _event(value: Any) -> Iterator[Outcome]:
    event = as_object(value, "the event")
    kind = text(event, "eventType") or text(event, "type")
    if kind == "Microsoft.EventGrid.SubscriptionValidationEvent":
        code = text(inner(event, "data"), "validationCode")
        if not _CODE.fullmatch(code):
            raise Unclear("the validation code is missing, or none that can be sent back")
        yield Reply(body={"validationResponse": code})
        yield Irrelevant(Irrelevance.HANDSHAKE)
    elif not kind.startswith("Microsoft.") and kind not in _ACTIONS:
        raise Unclear("the event is not one of an Azure service")
    else:
        # Old documents print the type without the name of the service.
        yield _image(_ACTIONS.get(kind.removeprefix(_REGISTRY), ""), event)


def _image(action: str, event: dict[str, Any]) -> Outcome:
    if not action:
        return Irrelevant(Irrelevance.ACTION)
    data = inner(event, "data")
    if any(key.lower() == "connectedregistry" for key in data):
        return Irrelevant(Irrelevance.OTHER_REGISTRY)
    happened = data if fields.rfc3339(data.get("timestamp")) is not None else event
    time = "timestamp" if happened is data else "eventTime" if "eventTime" in event else "time"
    # The event's own id is the one that stays the same when it is delivered again.
    return acr.outcome(action, {**data, "id": event.get("id"), "timestamp": happened.get(time)})


decode = decoder(read)
