"""What errors of NATS mean, in words that are safe to show: no address, and of a text only what the server says."""

import os
import ssl

from replicator.model import shown

_LONGEST = 200
_REFUSALS = {
    "authorization violation": "the server refuses the credentials",
    "authentication timeout": "the server had no answer to its question for credentials in time",
    "authentication expired": "the server says that the credentials have expired",
    "authentication revoked": "the server says that the credentials were revoked",
    "permissions violation": "the server does not allow it",
}
"""What the server says: what it means."""
_BROKEN = "the connection broke"
_OURS = {
    "UnexpectedEOF": _BROKEN,
    "StaleConnectionError": _BROKEN,
    "ConnectionClosedError": _BROKEN,
    "ConnectionReconnectingError": _BROKEN,
    "NoServersError": "no server can be reached",
}
"""The library's own errors, by their names: it may not be installed."""


def is_refusal(error: Exception) -> bool:
    """Say whether the server refuses something, so that going on as if nothing were would be of no use."""
    return any(word in str(error).lower() for word in _REFUSALS)


def problem_of(error: Exception) -> str:
    """Return what is wrong, without a capital and a full stop."""
    if isinstance(error, OSError):
        return _of_the_network(error)
    return _OURS.get(type(error).__name__) or _of_the_server(str(error).removeprefix("nats: ").strip("' "))


def _of_the_network(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake failed"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    # The text of asyncio's own names the address.
    number = error.errno or 0
    return f"cannot connect ({os.strerror(number) if number > 0 else error.strerror or _BROKEN})"


def _of_the_server(text: str) -> str:
    said = next((meaning for word, meaning in _REFUSALS.items() if word in text.lower()), "the server says")
    return f"{said}: {shown(text, _LONGEST)}"
