"""The answers to senders: small, constant where it matters, and never a word of the request in them.

The one exception is a handshake, whose answer a decoder makes of what it checked.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import hdrs, web

from replicator.errors import ReplicatorError
from replicator.intake.deliveries import Taken
from replicator.intake.formats.decoded import Reply
from replicator.observability.events import LogEvent
from replicator.observability.labels import WebhookResult

RETRY_SECONDS: Final = 1.0
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer other than 2xx; `counted` is the metric's word, None where nothing is (or is yet) to be counted."""

    status: int
    word: str
    event: LogEvent = LogEvent.WEBHOOK_REFUSED
    counted: WebhookResult | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """Return it as HTTP."""
        return web.json_response({"error": self.word}, status=self.status, headers=self.headers)


class Refused(ReplicatorError):
    """A request goes no further, because of `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.word)
        self.refusal = refusal


def no_endpoint() -> Refusal:
    """Answer 404: nothing listens on this path."""
    return Refusal(status=404, word="no such endpoint")


def only_post() -> Refusal:
    """Answer 405."""
    return Refusal(status=405, word="only POST", headers={hdrs.ALLOW: hdrs.METH_POST})


def unauthorized(challenge: str | None) -> Refusal:
    """Answer 401, the same whatever was wrong."""
    return Refusal(
        status=401,
        word="unauthorized",
        event=LogEvent.WEBHOOK_UNAUTHORIZED,
        counted=WebhookResult.UNAUTHORIZED,
        headers={} if challenge is None else {hdrs.WWW_AUTHENTICATE: challenge},
    )


def too_large(limit: int) -> Refusal:
    """Answer 413."""
    return Refusal(status=413, word=f"the body is over the limit of {limit} bytes", counted=WebhookResult.TOO_LARGE)


def encoded() -> Refusal:
    """Answer 415: nothing is unpacked here, so nothing can explode (S11)."""
    return Refusal(status=415, word="content encodings are not accepted", counted=WebhookResult.UNPARSABLE)


def cut_short(*, late: bool) -> Refusal:
    """Answer 408 to a body that did not come in time, 400 to one that broke off."""
    word = "the body did not come in time" if late else "the body is incomplete"
    return Refusal(status=408 if late else 400, word=word, counted=WebhookResult.UNPARSABLE)


def no_secret() -> Refusal:
    """Answer 503 while no secret of the endpoint can be read."""
    return Refusal(
        status=503,
        word="unavailable",
        event=LogEvent.WEBHOOK_SECRET_UNREADABLE,
        counted=WebhookResult.UNAVAILABLE,
        headers=_retry_after(None),
    )


def no_commit(retry_after: float | None) -> Refusal:
    """Answer 503 while the store cannot commit."""
    return Refusal(
        status=503, word="unavailable", event=LogEvent.WEBHOOK_UNAVAILABLE, headers=_retry_after(retry_after)
    )


def told(reply: Reply) -> web.Response:
    """Answer a handshake as its sender needs it."""
    if reply.body is None:
        return web.Response(status=reply.status, headers=reply.headers)
    return web.json_response(dict(reply.body), status=reply.status, headers=reply.headers)


def taken_in(taken: Taken) -> web.Response:
    """Answer 202 when something was recorded, 200 when there was nothing to record; a handshake as it asks for."""
    if taken.reply is not None:
        return told(taken.reply)
    counts = {
        "accepted": taken.count(WebhookResult.ACCEPTED),
        "coalesced": taken.count(WebhookResult.COALESCED),
        "ignored": taken.count(WebhookResult.IGNORED),
        "unreadable": taken.count(WebhookResult.UNPARSABLE),
    }
    status = 202 if counts["accepted"] or counts["coalesced"] else 200
    return web.Response(body=json.dumps(counts).encode(), status=status, content_type=_JSON)


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {hdrs.RETRY_AFTER: str(max(1, math.ceil(RETRY_SECONDS if seconds is None else seconds)))}
