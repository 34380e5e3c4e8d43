"""The public keys of an identity provider: fetched when they are needed, kept, and fetched again when they rotate.

OpenID Connect Discovery 1.0 says where they are, RFC 7517 how they look.
"""

from typing import Final

import anyio
import jwt

from replicator import strict_json
from replicator.clock import Clock
from replicator.intake.fetching import LONGEST, Fetch, FetchFailed

FRESH_SECONDS: Final = 3600.0
"""For how long keys are taken for current."""
USABLE_SECONDS: Final = 24 * 3600.0
"""For how long they serve while the provider cannot be asked."""
ASK_EVERY: Final = 60.0
"""Seconds between two questions, whatever senders claim to be signed with."""

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Only signatures that need a private key: with one of these a public key is never taken for a shared secret."""


class SigningKeys:
    """The keys of `issuer`, found at `keys_url` or, without it, where the issuer's own document says."""

    def __init__(self, issuer: str, keys_url: str | None, *, fetch: Fetch, clock: Clock) -> None:
        self._issuer = issuer
        self._keys_url = keys_url
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._asked_at: float | None = None
        self._got_at: float | None = None
        self._one_at_a_time = anyio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key of that name, None if there is none. Raises FetchFailed when there are no keys at all."""
        if key_id in self._keys and self._age(self._got_at) < FRESH_SECONDS:
            return self._keys[key_id]
        async with self._one_at_a_time:
            if (key_id not in self._keys or self._age(self._got_at) >= FRESH_SECONDS) and (
                self._age(self._asked_at) >= ASK_EVERY
            ):
                await self._refresh()
        if self._age(self._got_at) >= USABLE_SECONDS:
            self._keys = {}
            raise FetchFailed(f"the keys of {self._issuer} cannot be had")
        return self._keys.get(key_id)

    def _age(self, moment: float | None) -> float:
        return float("inf") if moment is None else self._clock.monotonic() - moment

    async def _refresh(self) -> None:
        self._asked_at = self._clock.monotonic()
        try:
            found = _keys(await self._fetch(self._keys_url or await self._discovered()))
        except FetchFailed:
            return  # those that are kept serve a while
        if found:
            self._keys, self._got_at = found, self._clock.monotonic()

    async def _discovered(self) -> str:
        document = _document(await self._fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"))
        url = document.get("jwks_uri")
        if document.get("issuer") != self._issuer or not isinstance(url, str) or not url.startswith("https://"):
            raise FetchFailed(f"{self._issuer}: its document names another issuer, or no keys by HTTPS")
        return url


def _document(body: bytes) -> dict[str, object]:
    try:
        document = strict_json.loads(body, limit=LONGEST)
    except strict_json.Invalid as error:
        raise FetchFailed(f"no document of an identity provider: {error}") from error
    return document if isinstance(document, dict) else {}


def _keys(body: bytes) -> dict[str, jwt.PyJWK]:
    """Return the keys for signatures that are understood, by name; others are passed over (RFC 7517, 5)."""
    listed = _document(body).get("keys")
    found: dict[str, jwt.PyJWK] = {}
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, dict) or each.get("use", "sig") != "sig" or not isinstance(each.get("kid"), str):
            continue
        try:
            key = jwt.PyJWK.from_dict(each)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if key.algorithm_name in ALGORITHMS:
            found[each["kid"]] = key
    return found
