"""One signed POST to a receiver: nothing is followed, and what it answers is not looked at beyond the status."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
import anyio

from replicator.errors import Reason, SettingsError
from replicator.notify.receivers import Receiver
from replicator.notify.signing import signatures
from replicator.notify.verdicts import DeliveryFailed
from replicator.proxies import Proxy
from replicator.registry.answers import Fields, retry_after
from replicator.registry.http import Timeouts
from replicator.registry.session import open_session
from replicator.registry.through_proxy import NoProxyLogin, explained, way_through

AT_ONCE: Final = 4
"""Messages under way at most to one receiver."""
SECONDS: Final = 15.0
"""How long one try may take in all."""
_REASONS: Final[Mapping[int, Reason]] = {
    HTTPStatus.UNAUTHORIZED: Reason.AUTH,
    HTTPStatus.FORBIDDEN: Reason.AUTH,
    HTTPStatus.NOT_FOUND: Reason.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT: Reason.TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.RATE_LIMITED,
}
_KNOWN: Final[tuple[tuple[type[Exception], Reason, str], ...]] = (
    (TimeoutError, Reason.TIMEOUT, f"no answer within {SECONDS:g} s"),
    (aiohttp.ClientConnectorCertificateError, Reason.TLS, "its certificate is not trusted"),
    (aiohttp.ClientSSLError, Reason.TLS, "the TLS handshake failed"),
    (aiohttp.ClientConnectorDNSError, Reason.NETWORK, "its name has no address"),
    (aiohttp.ClientConnectorError, Reason.NETWORK, "it cannot be reached"),
    (aiohttp.ClientResponseError, Reason.NETWORK, "its answer is not proper HTTP"),
)


def open_client(receiver: Receiver) -> aiohttp.ClientSession:
    """Return the connections to one receiver."""
    return open_session(aiohttp.ThreadedResolver(), AT_ONCE, Timeouts(), receiver.proxies)


async def post(client: aiohttp.ClientSession, receiver: Receiver, name: str, body: bytes, *, now: float) -> None:
    """Deliver a message that the receiver knows as `name`; `now` (Unix seconds) is signed. Raises DeliveryFailed."""
    try:
        with anyio.fail_after(SECONDS):
            status, wish = await _ask(client, receiver, _head(receiver, name, body, now), body, now)
    except SettingsError as error:
        raise DeliveryFailed(f"its secret cannot be read: {error}", reason=Reason.AUTH) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        # The cause is dropped on purpose: its text may hold the URL.
        raise _no_answer(error, receiver.proxy) from None
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        reason = _REASONS.get(
            status, Reason.SERVER_ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Reason.OTHER
        )
        raise DeliveryFailed(f"it answered {status}", reason=reason, status=status, retry_after=wish)


def _head(receiver: Receiver, name: str, body: bytes, now: float) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": signatures(receiver.keys(), name, int(now), body),
    }


async def _ask(
    client: aiohttp.ClientSession, receiver: Receiver, headers: dict[str, str], body: bytes, now: float
) -> tuple[int, float | None]:
    way = way_through(receiver.proxy, headers, tunnelled=receiver.url.scheme == "https")
    async with client.post(
        receiver.url,
        data=body,
        headers=headers,
        allow_redirects=False,
        ssl=receiver.tls,
        timeout=aiohttp.ClientTimeout(total=SECONDS),
        **way,
    ) as answer:
        return answer.status, retry_after(Fields(answer.headers), now=now)


def _no_answer(error: Exception, proxy: Proxy | None) -> DeliveryFailed:
    of_proxy = None if proxy is None else explained(proxy, error)
    if of_proxy is not None:
        reason, _, problem = of_proxy
        return DeliveryFailed(f"the proxy {proxy}: {problem}", reason=reason)
    if isinstance(error, NoProxyLogin):
        return DeliveryFailed("the login at the proxy cannot be read", reason=Reason.AUTH)
    for kind, reason, problem in _KNOWN:
        if isinstance(error, kind):
            return DeliveryFailed(problem, reason=reason)
    return DeliveryFailed("the connection broke", reason=Reason.NETWORK)
