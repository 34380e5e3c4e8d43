"""The gate that an endpoint's settings ask for."""

from collections.abc import Sequence

from replicator.clock import Clock
from replicator.intake import authentication
from replicator.intake.authentication import SharedSecret
from replicator.intake.fetching import Fetch, fetch
from replicator.intake.gates import Gate
from replicator.intake.identity_token import IdentityToken
from replicator.intake.signatures import BodySignature, StandardWebhooks
from replicator.intake.signing_keys import SigningKeys
from replicator.intake.sns_signature import SnsSignature
from replicator.settings.credentials import EndpointAuth
from replicator.settings.secrets import Secret


def gate_of(auth: EndpointAuth | None, clock: Clock, fetch: Fetch = fetch) -> Gate | None:
    """Return the gate that the settings ask for; None for the word `none`."""
    if auth is None:
        return None
    return _of_signature(auth, clock) or _of_service(auth, clock, fetch) or SharedSecret(*_shared(auth), clock=clock)


def _of_signature(auth: EndpointAuth, clock: Clock) -> Gate | None:
    if auth.hmac_sha256 is not None:
        return BodySignature("sha256", auth.hmac_sha256.header, auth.hmac_sha256.keys, clock=clock)
    if auth.hmac_sha1 is not None:
        return BodySignature("sha1", auth.hmac_sha1.header, auth.hmac_sha1.keys, clock=clock)
    if auth.standard_webhooks is not None:
        signed = auth.standard_webhooks
        return StandardWebhooks(signed.keys, tolerance=signed.tolerance, clock=clock)
    return None


def _of_service(auth: EndpointAuth, clock: Clock, fetch: Fetch) -> Gate | None:
    if auth.sns is not None:
        return SnsSignature(auth.sns.topics, fetch=fetch, clock=clock)
    if auth.jwt is None:
        return None
    expected = auth.jwt
    return IdentityToken(
        SigningKeys(expected.issuer, expected.keys_url, fetch=fetch, clock=clock),
        issuer=expected.issuer,
        audiences=expected.audience,
        claims=expected.claims,
        clock=clock,
    )


def _shared(auth: EndpointAuth) -> tuple[authentication.Demand, Sequence[Secret]]:
    if auth.basic is not None:
        return authentication.basic(auth.basic.username), auth.basic.passwords
    if auth.header is not None:
        return authentication.header(auth.header.name), auth.header.values
    if auth.query is not None:
        return authentication.query(auth.query.name), auth.query.values
    return authentication.bearer(), auth.bearer_tokens
