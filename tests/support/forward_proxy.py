"""An HTTP proxy as companies have them: CONNECT, plain requests by absolute URL, a login, and names only it knows.

It takes one request a connection; what it was asked is kept, for tests that look for secrets in the wrong place.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.cutting import cut_off
from tests.support.ports import Port
from tests.support.web import basic

_LONGEST_HEAD = 64 * 1024
_PIECE = 64 * 1024
_HOP_BY_HOP = ("proxy-", "connection:", "keep-alive:")


@dataclass(frozen=True, slots=True)
class Asked:
    """The head of one request: `target` as written, header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class ForwardProxy:
    """The proxy's state; every field may be changed while it runs.

    `hosts` maps `host:port` to the one that is meant, all others are looked up. `login` is the user name and password
    it wants, `refusal` the status that it answers everything with when it is not 0, as `server`. With `silent` it
    answers nothing.
    """

    url: str = ""
    hosts: dict[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    refusal: int = 0
    server: str = "tests"
    silent: bool = False
    asked: list[Asked] = field(default_factory=list)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def tunnels(self) -> list[str]:
        """Where CONNECT led, in order."""
        return [one.target for one in self.asked if one.method == "CONNECT"]

    @property
    def plain(self) -> list[str]:
        """The URLs of plain requests, in order."""
        return [one.target for one in self.asked if one.method != "CONNECT"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection, until the proxy ends."""
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            cut_off(writer)
        finally:
            await _close(writer)

    async def end(self) -> None:
        """End all connections."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, version = head[0].split(" ")
        fields = [line for line in head[1:] if line]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
        self.asked.append(Asked(method, target, headers))
        if self.silent:
            await reader.read()
            return
        status = self._refused(headers)
        if status:
            await self._answer(reader, writer, status, with_page=method != "HEAD")
            return
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        where = f"{parts.hostname}:{parts.port or 80}"
        host, _, port = self.hosts.get(where, where).rpartition(":")
        try:
            there = await asyncio.open_connection(host, int(port))
        except OSError:
            await self._answer(reader, writer, 502, with_page=method != "HEAD")
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            kept = [line for line in fields if not line.lower().startswith(_HOP_BY_HOP)]
            path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            lines = [f"{method} {path} {version}", *kept, "Connection: close", "", ""]
            there[1].write("\r\n".join(lines).encode("latin-1"))
        await _join(reader, writer, *there)

    def _refused(self, headers: Mapping[str, str]) -> int:
        if self.login is not None and headers.get("proxy-authorization") != basic(*self.login)["Authorization"]:
            return 407
        return self.refusal

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int, *, with_page: bool
    ) -> None:
        page = f"<html><h1>{status}</h1>This is the proxy.</html>"
        lines = [
            f"HTTP/1.1 {status} Refused",
            f"Server: {self.server}",
            "Content-Type: text/html; charset=utf-8",
            'Proxy-Authenticate: Basic realm="proxy"',
            f"Content-Length: {len(page)}",
            "Connection: close",
            "",
            page if with_page else "",
        ]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        # A reset for what was not read would overtake the answer.
        await reader.read(_PIECE)


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    there_reader: asyncio.StreamReader,
    there_writer: asyncio.StreamWriter,
) -> None:
    """Move bytes both ways until the server ends, or the client does."""
    ways = [
        asyncio.create_task(_move(reader, there_writer)),
        asyncio.create_task(_move(there_reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        there_writer.close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await _close(there_writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _move(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()


@contextlib.asynccontextmanager
async def run_forward_proxy(
    hosts: Mapping[str, str] | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ForwardProxy]:
    """Run the proxy in this event loop; with `tls` it is itself spoken to by TLS."""
    proxy, port = ForwardProxy(hosts=dict(hosts or {})), Port()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port.number, ssl=tls, limit=_LONGEST_HEAD)
    proxy.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port.number}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
        port.release()
