"""What goes wrong below HTTP -> our error families, without the secrets that the library's messages carry (S18)."""

import ssl

import aiohttp

from replicator.errors import ProxyFailed, Reason, RegistryError
from replicator.proxies import Proxy
from replicator.registry import through_proxy
from replicator.registry.http import Request
from replicator.registry.resolver import AddressRefused

TRANSPORT_ERRORS = (aiohttp.ClientError, OSError, UnicodeError)
"""All that a request, or reading its answer, may raise; timeouts are OSErrors, what can be no name a UnicodeError."""
_OF_CERTIFICATES = frozenset(
    {
        "bad certificate",
        "unsupported certificate",
        "certificate revoked",
        "certificate expired",
        "certificate unknown",
        "certificate required",
        "unknown ca",
        "access denied",
    }
)
"""Alerts of TLS (RFC 8446, 6.2), as OpenSSL names them."""
_LEAKY = (aiohttp.ClientResponseError, aiohttp.InvalidURL, aiohttp.ServerDisconnectedError)
"""Errors whose text holds whole URLs or header fields."""


def no_answer(registry: str, request: Request, error: Exception, proxy: Proxy | None = None) -> RegistryError:
    """Return the error for a request that got no answer, or only a part of one, perhaps through a proxy."""
    of_proxy = None if proxy is None else through_proxy.explained(proxy, error)
    reason, temporary, problem = of_proxy or _explained(error)
    way = "" if proxy is None else f" through the proxy {proxy}"
    return (RegistryError if of_proxy is None else ProxyFailed)(
        f"{registry}: {request.operation} {request.target} failed{way}: {problem}",
        registry=registry,
        reason=reason,
        temporary=temporary,
    )


def given_up(registry: str) -> RegistryError:
    """Return the error for a request to connections that were closed meanwhile, as a new configuration does."""
    return RegistryError(
        f"{registry}: this connection was given up for another configuration",
        registry=registry,
        reason=Reason.NETWORK,
        temporary=True,
    )


def showable(error: Exception) -> Exception | None:
    """Return `error` as a cause to chain, or None when its text could hold a secret."""
    return None if isinstance(error, _LEAKY) else error


_KNOWN: tuple[tuple[type[Exception], Reason, bool, str], ...] = (
    (
        AddressRefused,
        Reason.UNSUPPORTED,
        False,
        "its address is private; an own host must be named in redirect_allow",
    ),
    (TimeoutError, Reason.TIMEOUT, True, "no progress in time"),
    (aiohttp.ClientConnectorCertificateError, Reason.TLS, True, "the certificate is not trusted"),
    (aiohttp.ClientSSLError, Reason.TLS, True, "the TLS handshake failed"),
    (ssl.SSLError, Reason.TLS, True, "the TLS connection broke"),
    (aiohttp.ClientConnectorDNSError, Reason.NETWORK, True, "the name has no address"),
    (aiohttp.ClientConnectorError, Reason.NETWORK, True, "cannot connect"),
    (aiohttp.ClientPayloadError, Reason.NETWORK, True, "the answer was cut short"),
    (aiohttp.ClientResponseError, Reason.OTHER, True, "the answer is not proper HTTP"),
    (aiohttp.InvalidURL, Reason.OTHER, False, "the URL cannot be used"),
    (UnicodeError, Reason.OTHER, False, "the name of the host can be none"),
)
"""Error (or the error below it), what it means, whether trying again may help; the first that fits counts."""


def _explained(error: Exception) -> tuple[Reason, bool, str]:
    alert = _alert(error)
    if alert:
        return Reason.TLS, True, f"it refuses our client certificate, or wants one ({alert})"
    below = getattr(error, "os_error", None)
    for kind, reason, temporary, problem in _KNOWN:
        if isinstance(error, kind) or isinstance(below, kind):
            detail = _detail(error, below)
            return reason, temporary, f"{problem} ({detail})" if detail else problem
    return Reason.NETWORK, True, "the connection broke"


def _alert(error: Exception) -> str:
    """Return what a server said of our certificate, "" if it said nothing: it does so once the handshake is over."""
    found = error.__cause__ if isinstance(error, aiohttp.ClientOSError) else error
    said = getattr(found, "reason", None) if isinstance(found, ssl.SSLError) else None
    words = str(said or "").lower().replace("_", " ").partition("alert ")[2]
    return words if words in _OF_CERTIFICATES else ""


def _detail(error: Exception, below: object) -> str:
    certificate = getattr(error, "certificate_error", None)
    return str(getattr(certificate, "verify_message", "") or getattr(below, "strerror", "") or "")
