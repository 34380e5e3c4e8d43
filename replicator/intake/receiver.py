"""The HTTP face of intake: one POST path for each endpoint, and the answers of DESIGN 2.3.

A sender such as Distribution sends a refused event again for ever, ahead of all later ones. So what is authentic is
answered 2xx, whatever it holds; only what may succeed later, or what the operator has to see, gets another answer.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import anyio
from aiohttp import StreamReader, hdrs, web

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.intake import answers
from replicator.intake.answers import Refused
from replicator.intake.deliveries import LARGE_BODY, Taken
from replicator.intake.doors import Door
from replicator.intake.formats.decoded import Reply
from replicator.intake.gates import Gate, Head, Verdict
from replicator.intake.telling import Telling

BODY_SECONDS: Final = 15.0
"""A sender that needs longer than this for its body is turned away."""
LARGE_AT_ONCE: Final = 4
"""How many large bodies of an endpoint are in memory at a time; others wait before theirs is read.

Each has its own: where only the body proves who sent it, a stranger who drips keeps others waiting there alone.
"""


Doors = Mapping[str, Door]
"""The endpoints by path (intake.doors.open_doors)."""


def build_receiver(
    doors: Callable[[], Doors], *, clock: Clock, body_seconds: float = BODY_SECONDS
) -> web.Application:
    """Return the application that takes deliveries at `doors`; a body may take `body_seconds` to come.

    `doors` is asked for each request, so that they may be exchanged while it runs. A 2xx is answered only after all
    is on disk. To be served by intake.listener.listening.
    """
    receiver = _Receiver(doors, clock, body_seconds)
    # How large a body may be differs by endpoint and is held while reading, not by the framework.
    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/{anything:.*}", receiver.handle)
    application.on_response_prepare.append(_without_server_header)
    return application


class _Receiver:
    """Answers requests. Knows HTTP, and leaves what a delivery means to its door."""

    def __init__(self, doors: Callable[[], Doors], clock: Clock, body_seconds: float) -> None:
        self._doors = doors
        self._clock = clock
        self._body_seconds = body_seconds
        self._large: defaultdict[str, anyio.CapacityLimiter] = defaultdict(_limiter)
        self._telling = Telling(clock)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        door = self._doors().get(request.rel_url.raw_path)
        if door is None:
            return answers.no_endpoint().response()
        if request.method == hdrs.METH_OPTIONS and door.consent is not None:
            reply = door.consent(request.headers)
            if reply is not None:
                return self._consented(door, reply)
        if request.method != hdrs.METH_POST:
            return answers.only_post().response()
        try:
            await _check_head(door, request)
            taken = await self._deliver(door, request)
        except Refused as refused:
            return self._refuse(door, request, refused.refusal)
        self._telling.taken(door.name, taken)
        return answers.taken_in(taken)

    async def _deliver(self, door: Door, request: web.Request) -> Taken:
        started = self._clock.monotonic()
        async with AsyncExitStack() as stack:
            length = request.content_length
            if length is None or length >= LARGE_BODY:
                await stack.enter_async_context(self._large[door.name])
            try:
                body = await _read(request, door.max_body, self._body_seconds)
                if door.gate is None:
                    return await door.deliveries.take(body, request.headers)
                return await _taken_if_proven(door, door.gate, request, body)
            except StoreError as error:
                raise Refused(answers.no_commit(error.retry_after)) from error
            finally:
                door.metrics.webhook_answered(door.name, self._clock.monotonic() - started)

    def _consented(self, door: Door, reply: Reply) -> web.Response:
        # No secret is asked for: consent admits nothing, every delivery still has to show one.
        self._telling.consented(door.name)
        return answers.told(reply)

    def _refuse(self, door: Door, request: web.Request, refusal: answers.Refusal) -> web.Response:
        if refusal.counted is not None:
            door.metrics.webhook_events(door.name, refusal.counted)
        self._telling.warn(
            door.name, refusal.event, status=refusal.status, reason=refusal.word, remote=request.remote
        )
        return refusal.response()


def _limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(LARGE_AT_ONCE)


async def _check_head(door: Door, request: web.Request) -> None:
    """Refuse what can be refused before the body is read."""
    if (request.content_length or 0) > door.max_body:
        raise Refused(answers.too_large(door.max_body))
    if door.gate is not None:
        verdict = await door.gate.admit(_head(request))
        if verdict is Verdict.UNKNOWN:
            door.deliveries.unjudged()
        _heed(verdict, door.gate)
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise Refused(answers.encoded())


async def _taken_if_proven(door: Door, gate: Gate, request: web.Request, body: bytes) -> Taken:
    head = _head(request)
    verdict = await gate.prove(head, body)
    _heed(verdict, gate)
    if verdict is Verdict.REPEATED:
        return door.deliveries.repeated()
    taken = await door.deliveries.take(body, request.headers)
    gate.taken(head)
    return taken


def _head(request: web.Request) -> Head:
    return Head(request.headers, request.rel_url)


def _heed(verdict: Verdict, gate: Gate) -> None:
    if verdict is Verdict.UNKNOWN:
        raise Refused(answers.no_secret())
    if verdict is Verdict.REFUSED:
        raise Refused(answers.unauthorized(gate.challenge))


async def _read(request: web.Request, limit: int, seconds: float) -> bytes:
    """Return the body, of which hardly more than `limit` bytes are ever held."""
    try:
        if request.content.is_eof():
            # All of it came with the head, as it mostly does: no timer is needed.
            return await _collected(request.content, limit)
        with anyio.fail_after(seconds):
            return await _collected(request.content, limit)
    except TimeoutError as error:
        raise Refused(answers.cut_short(late=True)) from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Refused(answers.cut_short(late=False)) from error


async def _collected(content: StreamReader, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await content.readany():
        size += len(chunk)
        if size > limit:
            raise Refused(answers.too_large(limit))
        chunks.append(chunk)
    return b"".join(chunks)


async def _without_server_header(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)
