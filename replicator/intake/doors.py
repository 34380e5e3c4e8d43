"""The endpoints of the configuration, each with its path, its gate and its decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from replicator.clock import Clock
from replicator.intake import authentication
from replicator.intake.authentication import SharedSecret
from replicator.intake.deliveries import Deliveries, Means
from replicator.intake.formats import distribution
from replicator.intake.gates import Gate
from replicator.intake.ports import Decoder, WebhookMetrics
from replicator.intake.signatures import BodySignature, StandardWebhooks
from replicator.settings.credentials import EndpointAuth
from replicator.settings.schema import Endpoint
from replicator.settings.secrets import Secret

_DECODERS: Final[Mapping[str, Decoder]] = MappingProxyType({"distribution": distribution.decode})


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One endpoint, ready for use; no `gate` means that anybody may deliver. `max_body` in bytes."""

    name: str
    max_body: int
    gate: Gate | None
    deliveries: Deliveries
    metrics: WebhookMetrics


def open_doors(endpoints: Sequence[Endpoint], means: Means) -> Mapping[str, Door]:
    """Return the door behind each path."""
    return {endpoint.path: _open(endpoint, means) for endpoint in endpoints}


def gate_of(auth: EndpointAuth | None, clock: Clock) -> Gate | None:
    """Return the gate that the settings ask for; None for the word `none`."""
    if auth is None:
        return None
    if auth.hmac_sha256 is not None:
        return BodySignature("sha256", auth.hmac_sha256.header, auth.hmac_sha256.keys, clock=clock)
    if auth.hmac_sha1 is not None:
        return BodySignature("sha1", auth.hmac_sha1.header, auth.hmac_sha1.keys, clock=clock)
    if auth.standard_webhooks is not None:
        signed = auth.standard_webhooks
        return StandardWebhooks(signed.keys, tolerance=signed.tolerance, clock=clock)
    return SharedSecret(*_shared(auth), clock=clock)


def _shared(auth: EndpointAuth) -> tuple[authentication.Demand, Sequence[Secret]]:
    if auth.basic is not None:
        return authentication.basic(auth.basic.username), auth.basic.passwords
    if auth.header is not None:
        return authentication.header(auth.header.name), auth.header.values
    if auth.query is not None:
        return authentication.query(auth.query.name), auth.query.values
    return authentication.bearer(), auth.bearer_tokens


def _open(endpoint: Endpoint, means: Means) -> Door:
    return Door(
        name=endpoint.name,
        max_body=endpoint.max_body,
        gate=gate_of(endpoint.auth, means.clock),
        metrics=means.metrics,
        deliveries=Deliveries(
            endpoint.name,
            decode=_DECODERS[endpoint.format],
            hosts=endpoint.hosts,
            max_body=endpoint.max_body,
            means=means,
        ),
    )
