"""The endpoints of the configuration, each with its path, its gate and its decoder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from replicator.intake.deliveries import Deliveries, Means
from replicator.intake.formats.decoded import Reply
from replicator.intake.formats.generic import decoder_of
from replicator.intake.formats.known import FORMATS, Format
from replicator.intake.formats.reading import Headers
from replicator.intake.gate_settings import gate_of
from replicator.intake.gates import Gate
from replicator.intake.ports import WebhookMetrics
from replicator.settings.schema import Endpoint, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One endpoint, ready for use; no `gate` means that anybody may deliver. `max_body` in bytes.

    `consent` answers a sender that asks by OPTIONS whether its events are wanted; None where no sender does.
    """

    name: str
    max_body: int
    gate: Gate | None
    consent: Callable[[Headers], Reply | None] | None
    deliveries: Deliveries
    metrics: WebhookMetrics


def open_doors(endpoints: Sequence[Endpoint], means: Means) -> Mapping[str, Door]:
    """Return the door behind each path."""
    return {endpoint.path: _open(endpoint, means) for endpoint in endpoints}


def format_of(endpoint: Endpoint | Subscription) -> Format:
    """Return how what comes there is read."""
    # The settings hold `generic` exactly where that is the format.
    return FORMATS[endpoint.format] if endpoint.generic is None else Format(decoder_of(endpoint.generic))


def _open(endpoint: Endpoint, means: Means) -> Door:
    form = format_of(endpoint)
    return Door(
        name=endpoint.name,
        max_body=endpoint.max_body,
        gate=gate_of(endpoint.auth, means.clock, means.fetch),
        consent=form.consent,
        metrics=means.metrics,
        deliveries=Deliveries(
            endpoint.name,
            decode=form.decode,
            hosts=endpoint.hosts,
            max_body=endpoint.max_body,
            means=means,
        ),
    )
