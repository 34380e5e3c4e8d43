"""Documents that gates need of the outside: the keys of an identity provider, the certificate of a signing service.

Only addresses of the configuration are asked, or ones made from it; never one of a delivery.
"""

import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from replicator.errors import ReplicatorError

SECONDS: Final = 10.0
LONGEST: Final = 256 * 1024

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the bytes at a URL. Raises FetchFailed."""


class FetchFailed(ReplicatorError):
    """A document could not be had; it may be another time."""


async def fetch(url: str, *, tls: ssl.SSLContext | None = None) -> bytes:
    """Return what a GET of `url` answers with 200, at most LONGEST bytes; follows nothing. Raises FetchFailed."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    connector = aiohttp.TCPConnector(ssl=True if tls is None else tls)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            ) as session,
            session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            if answer.status != 200:  # noqa: PLR2004 -- the only answer that is one
                raise FetchFailed(f"{url}: answered {answer.status}")
            body = await answer.content.read(LONGEST + 1)
            while not answer.content.at_eof() and len(body) <= LONGEST:
                body += await answer.content.read(LONGEST + 1 - len(body))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise FetchFailed(f"{url}: no answer ({type(error).__name__})") from error
    if len(body) > LONGEST:
        raise FetchFailed(f"{url}: more than {LONGEST} bytes")
    return body
