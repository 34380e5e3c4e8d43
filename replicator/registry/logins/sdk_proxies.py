"""What the SDK of a cloud is told of proxies: nothing where the environment decides, which each SDK reads itself."""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from replicator.errors import SettingsError
from replicator.proxies import Proxies, Proxy
from replicator.registry.logins.source import NoProof

_PORTS: Final = {"http": 80, "https": 443}
_METADATA: Final = "metadata.google.internal"


@dataclass(frozen=True, slots=True)
class SdkProxies:
    """The proxies of one registry, in the words of `requests` and botocore."""

    proxies: Proxies

    def towards(self, url: str) -> dict[str, str] | None:
        """Return the URL of the proxy by scheme, login included; none: without a proxy; None: as the SDK finds it.

        Metadata services are this machine's own and need no proxy. Raises NoProof when the login cannot be read.
        """
        if self.proxies.is_environment:
            return None
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy = self.proxies.towards(parts.scheme, host, parts.port or _PORTS[parts.scheme])
        return {} if proxy is None or _is_metadata(host) else dict.fromkeys(_PORTS, _with_login(proxy))


def of_requests(proxies: dict[str, str]) -> dict[str, str | None]:
    """Return `proxies` so that `requests` adds none of the environment."""
    return {"http": None, "https": None, "all": None} | proxies


def _is_metadata(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return host == _METADATA


def _with_login(proxy: Proxy) -> str:
    if proxy.password is None:
        return str(proxy)
    try:
        login = f"{quote(proxy.username, safe='')}:{quote(proxy.password.reveal(), safe='')}"
    except SettingsError as error:
        raise NoProof(f"the password of the proxy {proxy} cannot be read: {error}", temporary=True) from error
    scheme, _, rest = str(proxy).partition("://")
    return f"{scheme}://{login}@{rest}"
