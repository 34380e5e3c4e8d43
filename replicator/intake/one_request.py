"""One HTTP request over a connection of its own: nothing is followed, kept or unpacked."""

import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp
from yarl import URL

from replicator.proxies import Proxy
from replicator.registry.through_proxy import way_through

SECONDS: Final = 10.0
"""How long it may take in all."""


async def ask(  # noqa: PLR0913 -- what a request is made of
    method: str,
    url: URL,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    tls: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
    most: int = 0,
) -> tuple[int, bytes]:
    """Return the status and at most `most` + 1 bytes of the body; `tls` in place of the system's trust.

    Raises aiohttp.ClientError and OSError, whose text may hold the URL.
    """
    sent = dict(headers)
    connector = aiohttp.TCPConnector(ssl=True if tls is None else tls)
    way = way_through(proxy, sent, tunnelled=url.scheme == "https")
    async with (
        aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as session,
        session.request(method, url, data=body or None, headers=sent, allow_redirects=False, **way) as answer,
    ):
        found = bytearray()
        while most and len(found) <= most and (piece := await answer.content.read(most + 1 - len(found))):
            found += piece
        return answer.status, bytes(found)
