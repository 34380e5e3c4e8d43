"""The endpoints of the configuration, each with its path, its gate and its decoder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from replicator.clock import Clock
from replicator.intake import authentication
from replicator.intake.authentication import SharedSecret
from replicator.intake.deliveries import Deliveries, Means
from replicator.intake.fetching import Fetch, fetch
from replicator.intake.formats.decoded import Reply
from replicator.intake.formats.generic import decoder_of
from replicator.intake.formats.known import FORMATS, Format
from replicator.intake.formats.reading import Headers
from replicator.intake.gates import Gate
from replicator.intake.identity_token import IdentityToken
from replicator.intake.ports import WebhookMetrics
from replicator.intake.signatures import BodySignature, StandardWebhooks
from replicator.intake.signing_keys import SigningKeys
from replicator.settings.credentials import EndpointAuth
from replicator.settings.schema import Endpoint
from replicator.settings.secrets import Secret


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


def gate_of(auth: EndpointAuth | None, clock: Clock, fetch: Fetch = fetch) -> Gate | None:
    """Return the gate that the settings ask for; None for the word `none`."""
    if auth is None:
        return None
    if auth.hmac_sha256 is not None:
        return BodySignature("sha256", auth.hmac_sha256.header, auth.hmac_sha256.keys, clock=clock)
    if auth.hmac_sha1 is not None:
        return BodySignature("sha1", auth.hmac_sha1.header, auth.hmac_sha1.keys, clock=clock)
    if auth.jwt is not None:
        keys = SigningKeys(auth.jwt.issuer, auth.jwt.keys_url, fetch=fetch, clock=clock)
        expected = auth.jwt
        return IdentityToken(
            keys, issuer=expected.issuer, audiences=expected.audience, claims=expected.claims, clock=clock
        )
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


def format_of(endpoint: Endpoint) -> Format:
    """Return how the endpoint's deliveries are read."""
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
