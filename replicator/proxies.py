"""Which requests go through an HTTP proxy, and through which: as the settings or the environment say.

Host names in NO_PROXY mean what they mean to `urllib`: the host and all below it, `HOST:PORT`, or `*` for everything.
Beyond that addresses of a network (`10.0.0.0/8`), and what is on this machine, are never asked for through a proxy of
the environment, as programs in Go have it.
"""

import base64
import ipaddress
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from replicator.errors import SettingsError
from replicator.settings.proxies import ProxySettings
from replicator.settings.secrets import Secret

_PORTS: Final = {"http": 80, "https": 443}
_SCHEMES: Final = tuple(_PORTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy; `named_by` says what asks for it. Its text is its URL, which holds no secret."""

    scheme: str
    host: str
    port: int
    named_by: str
    username: str = ""
    password: Secret | None = None
    ca_file: Path | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def authorization(self) -> str | None:
        """Return the value of Proxy-Authorization, None without a user. Raises SettingsError."""
        if self.password is None:
            return None
        pair = f"{self.username}:{self.password.reveal()}"
        return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The proxies by the scheme of what is asked for, and what needs none (`exempt`, as NO_PROXY is written)."""

    by_scheme: Mapping[str, Proxy] = field(default_factory=dict)
    exempt: str = ""
    is_environment: bool = False

    def towards(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy on the way there, None where there is none."""
        proxy = self.by_scheme.get(scheme)
        if proxy is None or (self.is_environment and _is_here(host)):
            return None
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        named = urllib.request.proxy_bypass(authority, {"no": self.exempt})
        return None if named or _in_networks(host, self.exempt) else proxy

    def includes(self, host: str, port: int) -> bool:
        """Say whether one of the proxies is there."""
        return any((one.host, one.port) == (host, port) for one in self.by_scheme.values())


DIRECT: Final = Proxies()
"""No proxy at all."""


def proxies_of(settings: ProxySettings | None, environ: Mapping[str, str]) -> Proxies:
    """Return what is configured; for None what the environment says. Raises SettingsError."""
    if settings is None:
        return proxies_of_environment(environ)
    if settings.url is None:
        return DIRECT
    parts = urlsplit(settings.url)
    proxy = Proxy(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        named_by="proxy:",
        username=settings.username or "",
        password=settings.password,
        ca_file=settings.ca_file,
    )
    return Proxies(by_scheme=dict.fromkeys(_SCHEMES, proxy), exempt=",".join(settings.no_proxy))


def proxies_of_environment(environ: Mapping[str, str]) -> Proxies:
    """Return what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, in lower case first. Raises SettingsError."""
    found = {scheme: _named(environ, f"{scheme}_proxy") for scheme in _SCHEMES}
    return Proxies(
        by_scheme={scheme: proxy for scheme, proxy in found.items() if proxy is not None},
        exempt=environ.get("no_proxy") or environ.get("NO_PROXY") or "",
        is_environment=True,
    )


def _named(environ: Mapping[str, str], variable: str) -> Proxy | None:
    name = variable if environ.get(variable) else variable.upper()
    value = environ.get(name, "").strip()
    if not value:
        return None
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        if parts.scheme not in _PORTS or not parts.hostname:
            raise _no_proxy(name)
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        # The cause is dropped on purpose: it may show a password.
        raise _no_proxy(name) from None
    return Proxy(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port,
        named_by=name,
        username=unquote(parts.username or ""),
        password=None if parts.username is None else Secret.of_text(unquote(parts.password or "")),
    )


def _no_proxy(name: str) -> SettingsError:
    return SettingsError(
        f"the environment variable {name} names no HTTP proxy; write http://HOST:PORT, or proxy: off in the "
        "configuration of each registry that is reached without one"
    )


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _in_networks(host: str, exempt: str) -> bool:
    address = _address(host)
    return address is not None and any(address in network for network in _networks(exempt.split(",")))


def _networks(words: Collection[str]) -> "list[ipaddress.IPv4Network | ipaddress.IPv6Network]":
    found = []
    for word in words:
        try:
            found.append(ipaddress.ip_network(word.strip(), strict=False))
        except ValueError:
            continue
    return found


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
