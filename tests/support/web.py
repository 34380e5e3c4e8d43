"""Serving an aiohttp application on a loopback port for as long as a test needs it; Basic credentials."""

import base64
import contextlib
import ssl
from collections.abc import AsyncIterator

from aiohttp import web

from tests.support.ports import Port


@contextlib.asynccontextmanager
async def serve(app: web.Application, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve `app`, by TLS with a context, and yield its base URL with `http`, without a slash at the end."""
    port = Port()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port.number, reuse_address=True, ssl_context=tls).start()
        yield f"http://127.0.0.1:{port.number}"
    finally:
        await runner.cleanup()
        port.release()


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of Basic authentication."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def basic_of(header: str) -> tuple[str, str] | None:
    """Return user and password of an Authorization header, or None when it is not Basic."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    user, _, password = base64.b64decode(encoded).decode().partition(":")
    return user, password
