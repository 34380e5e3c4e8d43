"""Who may deliver: a shared secret that the sender puts into one header, or into the query of the URL (S16).

Presented and expected values are compared as hashes of equal length in constant time, against every valid secret.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from replicator.clock import Clock
from replicator.intake.gates import CurrentSecrets, Head, Verdict
from replicator.settings.secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """How a secret is presented: where all values `at` that place are, how it is taken `out` of the only one."""

    at: Callable[[Head], Sequence[str]]
    out: Callable[[str], bytes]
    prefix: bytes = b""
    challenge: str | None = None


def bearer() -> Demand:
    """Demand `Authorization: Bearer SECRET`."""
    return Demand(at=_authorization, out=_bearer_token, challenge="Bearer")


def basic(username: str) -> Demand:
    """Demand HTTP Basic authentication with this user name and the secret as password."""
    prefix = f"{username}:".encode()
    return Demand(at=_authorization, out=_basic_pair, prefix=prefix, challenge='Basic realm="webhooks"')


def header(name: str) -> Demand:
    """Demand that the header `name` is the secret and nothing else."""
    return Demand(at=lambda head: head.header(name), out=_bytes)


def query(name: str) -> Demand:
    """Demand `?NAME=SECRET` in the URL, of senders that can set no header."""
    return Demand(at=lambda head: tuple(head.url.query.getall(name, ())), out=_bytes)


class SharedSecret:
    """A gate for whoever presents one of the `secrets`."""

    def __init__(self, demand: Demand, secrets: Sequence[Secret], *, clock: Clock) -> None:
        self._demand = demand
        self._expected = CurrentSecrets(secrets, self._hash, clock=clock)

    @property
    def challenge(self) -> str | None:
        """The WWW-Authenticate header of a refusal; always the same."""
        return self._demand.challenge

    async def admit(self, head: Head) -> Verdict:
        """Judge by the one place where the secret has to be, once."""
        expected = self._expected.values()
        if not expected:
            return Verdict.UNKNOWN
        presented = self._demand.at(head)
        offered = self._demand.out(presented[0]) if len(presented) == 1 else b""
        offered_hash = hashlib.sha256(offered).digest()
        # No early way out: the time must not tell which secret matched, or whether any did.
        matches = [hmac.compare_digest(offered_hash, each) for each in expected]
        return Verdict.ADMITTED if any(matches) else Verdict.REFUSED

    async def prove(self, _head: Head, _body: bytes) -> Verdict:
        """Ask nothing of the body."""
        return Verdict.ADMITTED

    def taken(self, head: Head) -> None:
        """Keep nothing: these senders mark no delivery so that a repetition could be told."""

    def _hash(self, secret: str) -> bytes:
        return hashlib.sha256(self._demand.prefix + secret.encode()).digest()


def _authorization(head: Head) -> Sequence[str]:
    return head.header("Authorization")


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
