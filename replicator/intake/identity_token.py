"""Deliveries that carry a signed token of an identity provider (Google Pub/Sub, Microsoft Entra; RFC 7519, S16)."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import jwt

from replicator.clock import Clock
from replicator.intake.fetching import FetchFailed
from replicator.intake.gates import Head, Verdict
from replicator.intake.signing_keys import ALGORITHMS, SigningKeys

LEEWAY: Final = 60.0
"""Seconds that the provider's clock may be ahead of ours or behind."""
_LONGEST_TOKEN: Final = 16 * 1024
_LONGEST_NAME: Final = 256


class IdentityToken:
    """A gate for whoever sends a token of `issuer` for one of the `audiences` in which all `claims` are as given.

    Anybody may have a token of a public provider made out to any audience: the claims tell who sends.
    """

    challenge = "Bearer"

    def __init__(
        self, keys: SigningKeys, *, issuer: str, audiences: Collection[str], claims: Mapping[str, str], clock: Clock
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audiences = tuple(audiences)
        self._claims = dict(claims)
        self._clock = clock

    async def admit(self, head: Head) -> Verdict:
        """Judge the token of `Authorization: Bearer`."""
        scheme, _, token = head.one("Authorization").partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or not 0 < len(token) <= _LONGEST_TOKEN or not token.isascii():
            return Verdict.REFUSED
        try:
            header = jwt.get_unverified_header(token)
            key_id, algorithm = header.get("kid"), header.get("alg")
            if algorithm not in ALGORITHMS or not isinstance(key_id, str) or len(key_id) > _LONGEST_NAME:
                return Verdict.REFUSED
            key = await self._keys.find(key_id)
            # The key's own algorithm, not the one that the token asks for.
            if key is None or key.algorithm_name != algorithm:
                return Verdict.REFUSED
            said = self._verified(token, key)
        except FetchFailed:
            return Verdict.UNKNOWN
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return Verdict.REFUSED
        return Verdict.ADMITTED if self._is_timely(said) and self._is_whom_we_expect(said) else Verdict.REFUSED

    async def prove(self, _head: Head, _body: bytes) -> Verdict:
        """Ask nothing of the body: it is not signed."""
        return Verdict.ADMITTED

    def taken(self, head: Head) -> None:
        """Keep nothing: one token comes with many deliveries."""

    def _verified(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        # Times are judged by our own clock, below.
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=self._audiences,
            issuer=self._issuer,
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "require": ["exp", "iss", "aud"],
            },
        )

    def _is_timely(self, said: Mapping[str, Any]) -> bool:
        now = self._clock.now()
        times = [said.get("exp"), said.get("nbf", now), said.get("iat", now)]
        if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in times):
            return False
        until, *since = times
        return now < until + LEEWAY and all(one <= now + LEEWAY for one in since)

    def _is_whom_we_expect(self, said: Mapping[str, Any]) -> bool:
        if "email" in self._claims and said.get("email_verified", True) is not True:
            return False
        return all(said.get(name) == value for name, value in self._claims.items())
