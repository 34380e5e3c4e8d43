"""A receiver of outgoing webhooks: keeps what comes, checks each signature, and answers as a test wants."""

import base64
import contextlib
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from aiohttp import web

from tests.support.canaries import WORD
from tests.support.web import serve

KEY = b"notify-key-canary-0123456789-abc"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
assert WORD.encode() in KEY


def is_signed(headers: dict[str, str], body: bytes, key: bytes) -> bool:
    """Say whether one of the signatures is that of `key`, told from the specification alone."""
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{digest}" in headers["webhook-signature"].split(" ")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One delivery: its id, its message, and the keys out of `Arrivals.keys` that had signed it."""

    id: str
    path: str
    headers: dict[str, str]
    message: dict[str, Any]
    signed_by: tuple[bytes, ...]

    @property
    def kind(self) -> str:
        """The type of the message."""
        return str(self.message["type"])

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = self.message["data"]
        return found


@dataclass(slots=True)
class Arrivals:
    """Answers each POST with what `answers` says of its path, 204 by default; at `/hangs` not at all.

    `on_arrival` is awaited before an answer is given.
    """

    url: str = ""
    keys: list[bytes] = field(default_factory=lambda: [KEY])
    all: list[Arrival] = field(default_factory=list)
    answers: dict[str, Callable[[], web.Response]] = field(default_factory=dict)
    on_arrival: Callable[[Arrival], Awaitable[None]] | None = None
    hanging: int = 0

    def at(self, path: str, kind: str = "") -> list[Arrival]:
        """Return what came to a path, of one type or all."""
        return [one for one in self.all if one.path == path and kind in {"", one.kind}]

    async def receive(self, request: web.Request) -> web.Response:
        """Keep one delivery and answer it."""
        body, headers = await request.read(), {name.lower(): value for name, value in request.headers.items()}
        signed_by = tuple(key for key in self.keys if is_signed(headers, body, key))
        arrival = Arrival(headers["webhook-id"], request.path, headers, json.loads(body), signed_by)
        self.all.append(arrival)
        if self.on_arrival is not None:
            await self.on_arrival(arrival)
        if request.path == "/hangs":
            self.hanging += 1
            await anyio.sleep_forever()
        return self.answers.get(request.path, lambda: web.Response(status=204))()


@contextlib.asynccontextmanager
async def run_arrivals(tls: ssl.SSLContext | None = None) -> AsyncIterator[Arrivals]:
    """Run a receiver in this event loop, by HTTPS with a context; its URL says `http` all the same."""
    arrivals = Arrivals()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", arrivals.receive)
    async with serve(app, tls) as url:
        arrivals.url = url
        yield arrivals
