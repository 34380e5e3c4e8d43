"""One delivery sent to an address as a sender would, to see who answers there and what."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from replicator.errors import Reason
from replicator.intake.one_request import SECONDS, ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: `status` 0 for no answer, and then `reason` and `problem` say why."""

    status: int
    reason: Reason = Reason.OTHER
    problem: str = ""


_KNOWN: tuple[tuple[type[Exception], Reason, str], ...] = (
    (TimeoutError, Reason.TIMEOUT, f"no answer within {SECONDS:g} s"),
    (aiohttp.ClientConnectorCertificateError, Reason.TLS, "the certificate is not trusted"),
    (aiohttp.ClientSSLError, Reason.TLS, "the TLS handshake failed"),
    (ssl.SSLError, Reason.TLS, "the TLS connection broke"),
    (aiohttp.ClientConnectorDNSError, Reason.NETWORK, "the name has no address"),
    (aiohttp.ClientConnectorError, Reason.NETWORK, "cannot connect"),
    (aiohttp.ClientError, Reason.NETWORK, "the answer is not proper HTTP"),
    (OSError, Reason.NETWORK, "the connection broke"),
)
"""Error, what it means; the first that fits counts."""


async def deliver(
    url: str, body: bytes, headers: Mapping[str, str], query: Mapping[str, str], *, tls: ssl.SSLContext | None = None
) -> Answer:
    """POST `body` once, following nothing; `tls` in place of the system's trust."""
    return await _asked("POST", URL(url, encoded=True).update_query(query), body, headers, tls)


async def look(url: str) -> Answer:
    """GET `url`: a listener for webhooks answers 405, and counts nothing."""
    return await _asked("GET", URL(url, encoded=True), b"", {}, None)


async def _asked(
    method: str, url: URL, body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext | None
) -> Answer:
    try:
        # Straight: the proxy for what goes out tells nothing of the way in.
        status, _ = await ask(method, url, headers=headers, body=body, tls=tls)
    except (aiohttp.ClientError, OSError) as error:
        # Never the error's own text: it may hold the URL, and so a secret.
        reason, problem = next((reason, said) for kind, reason, said in _KNOWN if isinstance(error, kind))
        certificate = getattr(error, "certificate_error", None)
        detail = getattr(certificate, "verify_message", "") or getattr(
            getattr(error, "os_error", None), "strerror", ""
        )
        return Answer(status=0, reason=reason, problem=f"{problem} ({detail})" if detail else problem)
    return Answer(status=status)
