"""Documents that gates need of the outside: the keys of an identity provider, the certificate of a signing service.

Only addresses of the configuration are asked, or ones made from it; never one of a delivery.
"""

import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
from yarl import URL

from replicator.errors import ReplicatorError, SettingsError
from replicator.intake.one_request import ask
from replicator.proxies import proxies_of_environment
from replicator.registry.failures import showable

LONGEST: Final = 256 * 1024

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the bytes at a URL. Raises FetchFailed."""


class FetchFailed(ReplicatorError):
    """A document could not be had; it may be another time."""


async def fetch(url: str, *, tls: ssl.SSLContext | None = None, environ: Mapping[str, str] = os.environ) -> bytes:
    """Return what a GET of `url` answers with 200, at most LONGEST bytes; follows nothing. Raises FetchFailed.

    It goes through the proxy that `environ` names.
    """
    where = URL(url)
    through = ""
    try:
        proxy = proxies_of_environment(environ).towards(where.scheme, where.host or "", where.port or 0)
        through = "" if proxy is None else f" through the proxy {proxy}"
        status, body = await ask(
            "GET", where, headers={"Accept-Encoding": "identity"}, tls=tls, proxy=proxy, most=LONGEST
        )
    except SettingsError as error:
        raise FetchFailed(f"{url}: {error}") from error
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise FetchFailed(f"{url}: no answer{through} ({_kind(error)})") from showable(error)
    if status != HTTPStatus.OK:
        raise FetchFailed(f"{url}: answered {status}{through}")
    if len(body) > LONGEST:
        raise FetchFailed(f"{url}: more than {LONGEST} bytes")
    return body


def _kind(error: Exception) -> str:
    status = f" {error.status}" if isinstance(error, aiohttp.ClientHttpProxyError) else ""
    return f"{type(error).__name__}{status}"
