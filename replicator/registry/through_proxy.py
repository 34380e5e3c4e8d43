"""How a request goes through an HTTP proxy: by CONNECT to what speaks TLS, else as the request itself (RFC 9110).

The registry's login is inside the tunnel, where the proxy does not see it, and the proxy's login never gets past the
proxy. A plain request is read by the proxy whole, its login too, as by everybody on that line.
"""

import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, TypedDict

import aiohttp
import yarl

from replicator.errors import Reason, SettingsError
from replicator.proxies import Proxies, Proxy
from replicator.registry.tls import proxy_context

_LOGIN: Final = "Proxy-Authorization"
_PAGE: Final = "text/html"
_OWN: Final = frozenset({HTTPStatus.FORBIDDEN, 500, 502, 503, 504})
_LOGIN_ASKED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED})
_MEANT: Final[Mapping[int, str]] = {
    HTTPStatus.FORBIDDEN: "does not let us there",
    HTTPStatus.INTERNAL_SERVER_ERROR: "does not reach it",
    HTTPStatus.BAD_GATEWAY: "does not reach it",
    HTTPStatus.SERVICE_UNAVAILABLE: "does not reach it",
    HTTPStatus.GATEWAY_TIMEOUT: "got no answer from it",
}


class ProxyAnswered(OSError):
    """A proxy answered in place of the server that was asked. Never leaves the package."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class NoProxyLogin(OSError):
    """The login at a proxy cannot be read. Never leaves the package."""


class Way(TypedDict, total=False):
    """What the HTTP library is told of a proxy."""

    proxy: yarl.URL
    proxy_headers: dict[str, str]


def way_through(proxy: Proxy | None, headers: dict[str, str], *, tunnelled: bool) -> Way:
    """Return how a request with `headers` goes; the login at the proxy is added where it belongs.

    Raises NoProxyLogin when it cannot be read.
    """
    if proxy is None:
        return {}
    try:
        login = proxy.authorization()
    except SettingsError as error:
        raise NoProxyLogin(str(error)) from error
    way = Way(proxy=yarl.URL(str(proxy)))
    if login is not None and tunnelled:
        way["proxy_headers"] = {_LOGIN: login}
    elif login is not None:
        headers[_LOGIN] = login
    return way


def is_of_proxy(status: int, headers: Mapping[str, str]) -> bool:
    """Say whether the answer to a plain request that went through a proxy is taken for the proxy's own.

    Beyond 407 only the form tells: registries speak JSON, proxies show a page. It may be one of a server further on.
    """
    if status == HTTPStatus.UNAUTHORIZED:
        # What tinyproxy says to a wrong password, where 407 would be right.
        return headers.get("Server", "").startswith("tinyproxy")
    page = headers.get("Content-Type", "").startswith(_PAGE)
    return status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED or (status in _OWN and page)


def explained(proxy: Proxy, error: Exception) -> tuple[Reason, bool, str] | None:
    """Return reason, whether trying again may help, and what it is, for what `proxy` is to blame for; else None."""
    match error:
        case NoProxyLogin():
            found = Reason.AUTH, f"its password cannot be read: {error}"
        case aiohttp.ClientHttpProxyError():
            found = _refused(proxy, error.status, "it")
        case ProxyAnswered():
            found = _refused(proxy, error.status, "it, or a server behind it,")
        case aiohttp.ClientConnectorDNSError():
            found = Reason.NETWORK, "its name has no address"
        case aiohttp.ClientProxyConnectionError():
            found = Reason.NETWORK, f"it cannot be reached ({error.os_error.strerror or 'no connection'})"
        case aiohttp.ClientConnectorCertificateError() if _is_at(error, proxy):
            found = Reason.TLS, f"its own certificate is not trusted ({_verdict(error)})"
        case aiohttp.ClientConnectorSSLError() if _is_at(error, proxy):
            found = Reason.TLS, "the TLS handshake with it failed"
        case _:
            return None
    return found[0], True, found[1]


def _is_at(error: aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError, proxy: Proxy) -> bool:
    return (error.host, error.port) == (proxy.host, proxy.port)


def _verdict(error: aiohttp.ClientConnectorCertificateError) -> str:
    return str(getattr(error.certificate_error, "verify_message", ""))


def _refused(proxy: Proxy, status: int, who: str) -> tuple[Reason, str]:
    if status in _LOGIN_ASKED:
        told = "asks for a user name and password" if proxy.password is None else "refuses the user name and password"
        return Reason.AUTH, f"it {told} ({status})"
    reason = Reason.TIMEOUT if status == HTTPStatus.GATEWAY_TIMEOUT else Reason.NETWORK
    return reason, f"{who} {_MEANT.get(status, 'answered')} ({status})"


class ProxyingConnector(aiohttp.TCPConnector):
    """Connections, of which those to a proxy have its own trust: the library would show it the registry's.

    A client certificate, and leniency about certificates, are meant for the registry alone (S13).
    """

    def __init__(self, proxies: Proxies, **options: Any) -> None:
        super().__init__(**options)
        self._contexts = {
            (one.host, one.port): proxy_context(one.ca_file)
            for one in proxies.by_scheme.values()
            if one.scheme == "https"
        }

    def _get_ssl_context(self, req: aiohttp.ClientRequest) -> ssl.SSLContext | None:
        own = self._contexts.get((req.url.host or "", req.url.port or 0)) if req.url.scheme == "https" else None
        return own or super()._get_ssl_context(req)
