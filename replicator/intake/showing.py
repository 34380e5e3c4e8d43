"""The sender's side of the gates: what a delivery has to show, for those who must prove that an endpoint works."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from replicator.settings.credentials import EndpointAuth
from replicator.settings.secrets import Secret, standard_webhooks_key


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """What goes along with one body: headers, and the query of the URL. Holds secrets."""

    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def secrets_of(auth: EndpointAuth) -> tuple[Secret, ...]:
    """Return all secrets of an endpoint; none where the sender proves itself by keys of its own."""
    for way in (auth.hmac_sha256, auth.hmac_sha1, auth.standard_webhooks):
        if way is not None:
            return way.keys
    for shared in (auth.header, auth.query):
        if shared is not None:
            return shared.values
    return auth.basic.passwords if auth.basic is not None else auth.bearer_tokens


def shown(auth: EndpointAuth | None, body: bytes, *, identifier: str, now: float) -> Shown | None:
    """Return what an authentic delivery of `body` shows; None where only the sender itself can tell.

    `identifier` and `now` (seconds since 1970) are signed where they are part of the rules. Of several secrets that
    are valid the first is used. Raises SettingsError when it cannot be read.
    """
    if auth is None:
        return Shown()
    secrets = secrets_of(auth)
    if not secrets:
        return None
    secret = secrets[0].reveal()
    return _signed(auth, secret, body, (identifier, int(now))) or _presented(auth, secret)


def _signed(auth: EndpointAuth, secret: str, body: bytes, attempt: tuple[str, int]) -> Shown | None:
    if auth.hmac_sha256 is not None:
        return Shown({auth.hmac_sha256.header: f"sha256={_hex(secret, body, 'sha256')}"})
    if auth.hmac_sha1 is not None:
        return Shown({auth.hmac_sha1.header: f"sha1={_hex(secret, body, 'sha1')}"})
    return _standard(secret, body, *attempt) if auth.standard_webhooks is not None else None


def _presented(auth: EndpointAuth, secret: str) -> Shown:
    if auth.query is not None:
        return Shown(query={auth.query.name: secret})
    if auth.header is not None:
        return Shown({auth.header.name: secret})
    if auth.basic is not None:
        pair = base64.b64encode(f"{auth.basic.username}:{secret}".encode()).decode()
        return Shown({"Authorization": f"Basic {pair}"})
    return Shown({"Authorization": f"Bearer {secret}"})


def _hex(secret: str, body: bytes, algorithm: str) -> str:
    return hmac.digest(secret.encode(), body, algorithm).hex()


def _standard(secret: str, body: bytes, identifier: str, now: int) -> Shown:
    signed = f"{identifier}.{now}.".encode() + body
    signature = base64.b64encode(hmac.digest(standard_webhooks_key(secret), signed, "sha256")).decode()
    return Shown(
        {
            "webhook-id": identifier,
            "webhook-timestamp": str(now),
            "webhook-signature": f"v1,{signature}",
        }
    )
