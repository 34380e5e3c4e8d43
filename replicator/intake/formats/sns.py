"""Deliveries of Amazon SNS that wrap events of Amazon ECR: what they say, not whether they are genuine.

The envelope is what a signature is checked over; that is not done here, and so the configuration refuses the format.
The URLs in it (of the certificate, to confirm, to unsubscribe) are never contacted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from replicator.intake.formats import ecr
from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import Unclear, as_object, text
from replicator.intake.formats.reading import Headers, decoder, parsed

MESSAGE_MAX = 256 << 10
"""Bytes of a message, the service's own limit."""
_CONFIRMATIONS = {"SubscriptionConfirmation", "UnsubscribeConfirmation"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What SNS says about a message: its `kind`, of which `topic` (an ARN) it is, and the message as it was sent."""

    kind: str
    topic: str
    message: str


def envelope(document: Any) -> Envelope:
    """Return the envelope of a delivery. Raises Unclear."""
    body = as_object(document, "the body")
    found = Envelope(kind=text(body, "Type"), topic=text(body, "TopicArn"), message=text(body, "Message"))
    if not found.kind or not found.topic:
        raise Unclear("the body is no message of SNS")
    return found


def read(document: Any, headers: Headers) -> Iterator[Outcome]:
    """Yield what the wrapped event says."""
    wrapped = envelope(document)
    if wrapped.kind == "Notification":
        yield from ecr.read(parsed(wrapped.message.encode(), MESSAGE_MAX), headers)
    else:
        confirmation = wrapped.kind in _CONFIRMATIONS
        yield Irrelevant(Irrelevance.HANDSHAKE if confirmation else Irrelevance.ACTION)


decode = decoder(read)
