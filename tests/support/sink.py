"""A webhook receiver that only writes down what comes."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from tests.support.web import serve


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it came, and the status it got."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int


@dataclass(slots=True)
class Sink:
    """Answers every POST with `status`, which may be changed while it runs."""

    status: int = 202
    url: str = ""
    deliveries: list[Delivery] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        """Write one delivery down."""
        self.deliveries.append(Delivery(request.path, dict(request.headers), await request.read(), self.status))
        return web.Response(status=self.status)


@contextlib.asynccontextmanager
async def run_sink() -> AsyncIterator[Sink]:
    """Run a sink in this event loop."""
    sink = Sink()
    app = web.Application()
    app.router.add_route("POST", "/{path:.*}", sink.receive)
    async with serve(app) as url:
        sink.url = url
        yield sink
