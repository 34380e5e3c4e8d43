"""Users of a NATS server in operator mode, whose identity is a token of their account and a key of their own."""

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import nkeys

_LIMITS = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)


def creds_text(token: str, seed: str) -> str:
    """Return what stands in a `.creds` file."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n"
        "NKEY Seed printed below can be used to sign and prove identity.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


class _Key:
    """A key of one role."""

    def __init__(self, role: int) -> None:
        self.seed = nkeys.encode_seed(secrets.token_bytes(32), role)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public: str = self._pair.public_key.decode()

    def token(self, name: str, subject: str, claims: dict[str, Any]) -> str:
        """Return a token about `subject`, signed by this key."""
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {"jti": name, "iat": 1_700_000_000, "iss": self.public, "name": name, "sub": subject, "nats": claims}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (head, body))
        return f"{signed}.{_base64(self._pair.sign(signed.encode()))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Operator:
    """An operator with one account."""

    _key: _Key = field(default_factory=lambda: _Key(nkeys.PREFIX_BYTE_OPERATOR))
    _account: _Key = field(default_factory=lambda: _Key(nkeys.PREFIX_BYTE_ACCOUNT))

    def config(self) -> str:
        """Return the lines of a server's configuration."""
        operator = self._key.token("operator", self._key.public, {"type": "operator", "version": 2})
        claims = {"limits": _LIMITS | {"wildcards": True}, "type": "account", "version": 2}
        account = self._key.token("account", self._account.public, claims)
        return f"operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {self._account.public}: {account} }}\n"

    def user(self) -> str:
        """Return the `.creds` file of a new user of the account."""
        key = _Key(nkeys.PREFIX_BYTE_USER)
        claims = {"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2}
        return creds_text(self._account.token("user", key.public, claims), key.seed.decode())
