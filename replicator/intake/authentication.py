"""Who may deliver: a shared secret that the sender puts into one header (S16).

Presented and expected values are compared as hashes of equal length in constant time, against every valid secret.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from replicator.clock import Clock
from replicator.errors import SettingsError
from replicator.settings.secrets import Secret

REREAD_SECONDS: Final = 1.0
"""How long the values of secrets are kept: a rotated file counts after this time at the latest."""


class Verdict(Enum):
    """Whether a delivery may be read."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """No secret could be read, so that nobody can be told from anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """How a secret is presented: in which `header`, how it is taken `out` of its value, and the fitting challenge."""

    header: str
    out: Callable[[str], bytes]
    prefix: bytes = b""
    challenge: str | None = None


def bearer() -> Demand:
    """Demand `Authorization: Bearer SECRET`."""
    return Demand(header="Authorization", out=_bearer_token, challenge="Bearer")


def basic(username: str) -> Demand:
    """Demand HTTP Basic authentication with this user name and the secret as password."""
    prefix = f"{username}:".encode()
    return Demand(header="Authorization", out=_basic_pair, prefix=prefix, challenge='Basic realm="webhooks"')


def header(name: str) -> Demand:
    """Demand that the header `name` is the secret and nothing else."""
    return Demand(header=name, out=_bytes)


class Gate:
    """Tells authentic deliveries of one endpoint from others; any of the `secrets` is valid."""

    def __init__(self, demand: Demand, secrets: Sequence[Secret], *, clock: Clock) -> None:
        self._demand = demand
        self._secrets = tuple(secrets)
        self._clock = clock
        self._expected: tuple[bytes, ...] = ()
        self._read_at: float | None = None

    @property
    def header(self) -> str:
        """The header that the sender must set exactly once."""
        return self._demand.header

    @property
    def challenge(self) -> str | None:
        """The WWW-Authenticate header of a refusal; always the same."""
        return self._demand.challenge

    def verdict(self, presented: Sequence[str]) -> Verdict:
        """Judge by all values of the header that were sent."""
        expected = self._valid_hashes()
        if not expected:
            return Verdict.UNKNOWN
        offered = self._demand.out(presented[0]) if len(presented) == 1 else b""
        offered_hash = hashlib.sha256(offered).digest()
        # No early way out: the time must not tell which secret matched, or whether any did.
        matches = [hmac.compare_digest(offered_hash, each) for each in expected]
        return Verdict.ADMITTED if any(matches) else Verdict.REFUSED

    def _valid_hashes(self) -> tuple[bytes, ...]:
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= REREAD_SECONDS:
            self._expected = tuple(filter(None, map(self._hash, self._secrets)))
            self._read_at = now
        return self._expected

    def _hash(self, secret: Secret) -> bytes | None:
        try:
            value = secret.reveal()
        except SettingsError:
            return None
        # An empty secret would admit everybody who sends an empty value.
        return hashlib.sha256(self._demand.prefix + value.encode()).digest() if value else None


def _bytes(value: str) -> bytes:
    # The server decodes header bytes in this way; the same way back gives the bytes that were sent.
    return value.encode("utf-8", "surrogateescape")


def _bearer_token(value: str) -> bytes:
    scheme, _, token = value.partition(" ")
    return _bytes(token.strip(" ")) if scheme.lower() == "bearer" else b""


def _basic_pair(value: str) -> bytes:
    scheme, _, encoded = value.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(_bytes(encoded.strip(" ")), validate=True)
    except binascii.Error:
        return b""
