"""A proxy on the loopback that stands before a server and misbehaves as told (faults.py, traffic.Link).

It speaks HTTP/1.1 without TLS, or moves raw bytes (`raw`), then also TLS. Faults and the line may be changed at any
time; requests and bytes are counted.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from tests.support.faults import Fault, Installed
from tests.support.ports import Port
from tests.support.proxied import BUFFER, Connection
from tests.support.traffic import Link, ProxiedRequest, Traffic


class Proxy:
    """A running proxy; `.url` is what clients are given instead of the server's."""

    def __init__(self, upstream: str, *, raw: bool = False, link: Link | None = None) -> None:
        target = urlsplit(upstream)
        self._scheme = target.scheme
        self._raw = raw
        self._traffic = Traffic(target.hostname or "127.0.0.1", target.port or 80, link or Link())
        self._port = Port()
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    @property
    def host(self) -> str:
        """host:port of the proxy."""
        return f"127.0.0.1:{self._port.number}"

    @property
    def url(self) -> str:
        """Base URL without a slash at the end."""
        return f"{self._scheme}://{self.host}"

    @property
    def link(self) -> Link:
        """The line that the proxy pretends to be; change its fields."""
        return self._traffic.link

    @property
    def requests(self) -> list[ProxiedRequest]:
        """Every request so far, in order of arrival (none in raw mode)."""
        return self._traffic.requests

    @property
    def bytes_from_server(self) -> int:
        """Heads and bodies that came from the server, in bytes."""
        return self._traffic.bytes_from_server

    @property
    def bytes_to_server(self) -> int:
        """Heads and bodies that went to the server, in bytes."""
        return self._traffic.bytes_to_server

    @property
    def connections(self) -> int:
        """Connections that clients have opened so far."""
        return self._traffic.connections

    @property
    def hanging(self) -> int:
        """Requests (in raw mode connections) that are kept without an answer now."""
        return self._traffic.hanging

    def counts(self) -> Counter[tuple[str, str, int]]:
        """Count the requests by method, kind (endpoints.py) and status."""
        return self._traffic.counts()

    def received(self, kind: str) -> int:
        """Return the bytes of body that the server sent to requests of one kind."""
        return self._traffic.received(kind)

    def sent(self, kind: str) -> int:
        """Return the bytes of body that requests of one kind brought to the server."""
        return self._traffic.sent(kind)

    def add(self, fault: Fault) -> Installed:
        """Put a fault in force until it is removed; what is returned counts how often it acted."""
        return self._traffic.faults.add(fault)

    def remove(self, installed: Installed) -> None:
        """Take one fault out of force."""
        self._traffic.faults.remove(installed)

    def clear(self) -> None:
        """Take all faults out of force."""
        self._traffic.faults.clear()

    def during(self, fault: Fault) -> AbstractContextManager[Installed]:
        """Keep a fault in force for a `with` block."""
        return self._traffic.faults.during(fault)

    def release(self) -> None:
        """End all connections that hang."""
        self._traffic.released.set()
        self._traffic.released = asyncio.Event()

    async def start(self) -> None:
        """Listen; after `stop` again on the same port."""
        # With the protocol named, asyncio turns Nagle's algorithm off; without, each small answer takes 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small buffers, so that a slow line is felt by the sender after little more than they hold.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        listener.bind(("127.0.0.1", self._port.number))
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=BUFFER)

    async def stop(self) -> None:
        """Refuse new connections and end those there are; port, faults and counts are kept."""
        if self._server is not None:
            self._server.close()
            await self.drop_connections()
            await self._server.wait_closed()
            self._server = None

    async def drop_connections(self) -> None:
        """End all connections now; new ones are taken."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def discard(self) -> None:
        """Stop for good and give the port back."""
        await self.stop()
        self._port.release()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(Connection(self._traffic, reader, writer)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve(self, connection: Connection) -> None:
        self._traffic.connections += 1
        try:
            await (connection.serve_raw() if self._raw else connection.serve_http())
        except asyncio.CancelledError:
            connection.abort()
            raise
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def run_proxy(upstream: str, *, raw: bool = False, link: Link | None = None) -> AsyncIterator[Proxy]:
    """Run a proxy before the server at `upstream` (base URL), in this event loop."""
    proxy = Proxy(upstream, raw=raw, link=link)
    try:
        await proxy.start()
        yield proxy
    finally:
        await proxy.discard()
