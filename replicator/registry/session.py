"""The HTTP library's client, with all switched off that it would do by itself (H1-H6, S4, S5, S11)."""

from typing import Final

import aiohttp

from replicator import __version__
from replicator.proxies import Proxies
from replicator.registry.http import Timeouts
from replicator.registry.read_sizes import READ_BUFFER
from replicator.registry.through_proxy import ProxyingConnector

_LONGEST_FIELD: Final = 32 * 1024
_DNS_SECONDS: Final = 30
_AUTOMATIC: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


def open_session(
    resolver: aiohttp.abc.AbstractResolver, max_connections: int, timeouts: Timeouts, proxies: Proxies
) -> aiohttp.ClientSession:
    """Return a client of its own connections: no cookies, no decompression, no proxy that a request does not name."""
    return aiohttp.ClientSession(
        connector=ProxyingConnector(
            proxies,
            limit=max_connections,
            resolver=resolver,
            ttl_dns_cache=_DNS_SECONDS,
            keepalive_timeout=timeouts.idle,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": f"replicator/{__version__}", "Accept-Encoding": "identity"},
        skip_auto_headers=_AUTOMATIC,
        read_bufsize=READ_BUFFER,
        max_line_size=_LONGEST_FIELD,
        max_field_size=_LONGEST_FIELD,
    )
