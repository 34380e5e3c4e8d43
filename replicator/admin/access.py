"""Who may use the API: a Bearer token where one is set, else only people on this machine."""

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass

from replicator.settings.secrets import Secret

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""What probes and scrapers may read without a token; everything else is guarded, known or not."""
_SCHEME = "bearer"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not served: an HTTP status, a fixed code and a sentence for people."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The rule of the admin listener. `listen_host` is the address it is bound to."""

    token: Secret | None
    listen_host: str

    def refusal(self, path: str, *, host: str, authorization: str) -> Refusal | None:
        """Return why a request is refused, None when it may pass. Probes and metrics always pass.

        `host` and `authorization` are the headers of these names, empty when absent. Raises SettingsError when
        the token cannot be read.
        """
        if path in OPEN_PATHS:
            return None
        if self.token is not None:
            if _bearer_matches(authorization, self.token):
                return None
            return Refusal(401, "unauthorized", "a Bearer token is needed: see admin.token_file")
        if not is_loopback(self.listen_host):
            return Refusal(403, "forbidden", "the API is closed beyond loopback until admin.token_file is set")
        if not _is_literal(host):
            return Refusal(403, "forbidden", "ask for the API by a loopback address, not by a name")
        return None


def is_loopback(host: str) -> bool:
    """Return whether `host`, a name or an address without brackets, can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bearer_matches(authorization: str, token: Secret) -> bool:
    scheme, _, given = authorization.partition(" ")
    # Digests have one length, so the comparison tells neither length nor prefix of the token.
    same = hmac.compare_digest(_hashed(given.strip()), _hashed(token.reveal()))
    return same and scheme.lower() == _SCHEME


def _hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _is_literal(host: str) -> bool:
    """Return whether a Host header is localhost or an address: a page that rebinds DNS can only send a name."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
