"""The socket that deliveries come in on: hardened, quiet, and closed only after what is in hand was answered."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import hdrs, web

from replicator.errors import SettingsError
from replicator.observability.events import LogEvent

IDLE_SECONDS: Final = 120.0
"""A connection without a complete request head for this long is closed."""
DRAIN_SECONDS: Final = 2.0
"""How long the rest of a refused body is read and dropped, so that the sender gets to see the answer."""
BACKLOG: Final = 512


@asynccontextmanager
async def listening(
    application: web.Application, host: str, port: int, *, tls: ssl.SSLContext | None = None, grace: float = 10.0
) -> AsyncIterator[int]:
    """Serve `application` while the block runs; yields the bound port (port 0 picks a free one). With `tls` by HTTPS.

    At the end no connection is taken any more, and requests in hand are answered within `grace` seconds. Raises
    SettingsError when the address cannot be had.
    """
    log = structlog.get_logger()
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=grace)
    await runner.setup()
    try:
        server = await _bind(runner, host, port, tls)
        bound: int = server.sockets[0].getsockname()[1]
        log.info(LogEvent.WEBHOOK_LISTENING, host=host, port=bound, tls=tls is not None)
        try:
            yield bound
        finally:
            server.close()
    finally:
        await runner.cleanup()
    log.info(LogEvent.WEBHOOK_CLOSED, host=host, port=bound)


async def _bind(runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    manager = runner.server
    if manager is None:
        raise SettingsError("webhooks.listen: the server was not set up")

    def connection() -> _Connection:
        # Bodies are never unpacked, not even those that are refused and dropped (S11).
        return _Connection(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp is told not to write one
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=DRAIN_SECONDS,
            auto_decompress=False,
        )

    try:
        return await loop.create_server(connection, host, port, backlog=BACKLOG, ssl=tls)
    except OSError as error:
        raise SettingsError(f"webhooks.listen: cannot listen on {host}:{port}: {error.strerror}") from error


class _Connection(web.RequestHandler):
    """One connection, which answers what is no HTTP without telling what software runs here."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- it repeats parts of the request
    ) -> web.StreamResponse:
        """Answer a malformed request, or one that a bug of ours broke, with nothing but the status."""
        if status >= 500 and exc is not None:  # noqa: PLR2004 -- server errors
            self.log_exception("request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        response = web.Response(status=status, headers={hdrs.SERVER: "replicator"})
        response.force_close()
        return response
