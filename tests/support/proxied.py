"""One client connection through the proxy: as HTTP/1.1, request by request, or as raw bytes."""

import asyncio
import contextlib
import math
import socket
import struct
from collections.abc import Coroutine
from typing import Any

from tests.support.cutting import cut_off
from tests.support.endpoints import endpoint_of
from tests.support.eventually import eventually
from tests.support.faults import Plan
from tests.support.traffic import ProxiedRequest, Traffic
from tests.support.wire import PIECE, Body, Head, Pace, Sender, read_head, request_body, response_body

BUFFER = 256 * 1024
"""Bytes that the proxy holds for one direction at most, beside the kernel's."""

_LINGER = 2.0
_PATIENCE = 30.0
"""Seconds for a client to take note of an answer that comes before its body has."""
_IN_FLIGHT = 64


class Gone(Exception):
    """The connection is over: by a fault, or because a peer closed it."""


class Connection:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, traffic: Traffic, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._traffic = traffic
        self._reader = reader
        self._writer = writer
        self._up_reader: asyncio.StreamReader | None = None
        self._up_writer: asyncio.StreamWriter | None = None
        self._down = Pace()
        self._up = Pace()

    async def serve_http(self) -> None:
        """Forward requests until one side closes or a fault ends it."""
        with contextlib.suppress(Gone, OSError, asyncio.IncompleteReadError):
            while head := await read_head(self._reader):
                await self._exchange(head)

    async def serve_raw(self) -> None:
        """Forward bytes both ways, at the rates and with the delay of the line."""
        with contextlib.suppress(Gone, OSError, asyncio.IncompleteReadError):
            if self._traffic.link.black_hole:
                await self._hang()
            up_reader, up_writer = await self._server()
            up = self._tunnel(self._reader, up_writer, self._up, towards_server=True)
            down = self._tunnel(up_reader, self._writer, self._down, towards_server=False)
            await _first(up, down)

    async def close(self) -> None:
        """Close both connections: what is buffered is sent if the peer takes it soon."""
        writers = [one for one in (self._writer, self._up_writer) if one is not None]
        for writer in writers:
            writer.close()
        try:
            async with asyncio.timeout(_LINGER):
                await asyncio.gather(*(one.wait_closed() for one in writers), return_exceptions=True)
        except TimeoutError:
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Close both connections at once; what is buffered is lost."""
        for writer in (self._writer, self._up_writer):
            if writer is not None:
                cut_off(writer)

    async def _exchange(self, head: Head) -> None:
        traffic = self._traffic
        asked = endpoint_of(head.target.partition("?")[0])
        seen = ProxiedRequest(head.method, head.target, asked.kind, asked.repository, dict(head.headers))
        traffic.requests.append(seen)
        plan = traffic.faults.plan_for(head.method, head.target)
        body = request_body(self._reader, head)
        await asyncio.sleep(traffic.link.latency + plan.delay)
        if plan.held is not None:
            await plan.held.wait()
        if plan.never or traffic.link.black_hole:
            await self._hang()
        if plan.answer is not None:
            await self._answer_itself(plan, body, seen)
        up_reader, up_writer = await self._server()
        for name, value in plan.request_headers.items():
            head.replace(name, value)
        raw = head.encode()
        seen.begun_at = traffic.bytes_to_server
        traffic.bytes_to_server += len(raw)
        up_writer.write(raw)
        pump = asyncio.create_task(self._send_request(body, up_writer, plan, seen))
        try:
            await _first(self._send_answer(up_reader, head.method, plan, seen), self._client_leaves(pump))
            await pump
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        seen.done = True
        if head.closes:
            raise Gone

    async def _send_request(self, body: Body, writer: asyncio.StreamWriter, plan: Plan, seen: ProxiedRequest) -> None:
        """Forward the body; a server that closes early is no error here, its answer decides."""
        sender = Sender(writer, self._up, chunked=body.chunked)
        while piece := await body.read():
            damaged = _damaged(piece, seen.sent, plan.corrupt_request)
            left = None if plan.cut_request is None else plan.cut_request - seen.sent
            part = damaged if left is None else damaged[:left]
            try:
                await sender.send(part, plan.rate_up or self._traffic.link.rate_up)
            except OSError:
                continue
            seen.sent += len(part)
            self._traffic.bytes_to_server += len(part)
            seen.sent_at = self._traffic.bytes_to_server
            if left is not None and len(damaged) > left:
                raise Gone
        with contextlib.suppress(OSError):
            await sender.finish()

    async def _send_answer(self, reader: asyncio.StreamReader, method: str, plan: Plan, seen: ProxiedRequest) -> None:
        head = await read_head(reader)
        while head is not None and head.status < 200:
            self._writer.write(head.encode())
            head = await read_head(reader)
        if head is None:
            raise Gone
        seen.status = head.status
        self._traffic.bytes_from_server += len(head.encode())
        body = response_body(reader, head, method)
        if plan.lose_answer or (plan.hang and plan.hang_after is None):
            while piece := await body.read():
                self._received(seen, piece)
            if plan.hang:
                await self._hang()
            raise Gone
        _change(head, plan)
        self._writer.write(head.encode())
        await self._send_body(body, plan, seen, head)
        if body.until_close or plan.lie_length or head.closes:
            raise Gone

    async def _send_body(self, body: Body, plan: Plan, seen: ProxiedRequest, head: Head) -> None:
        sender = Sender(self._writer, self._down, chunked=body.chunked)
        length = head.get("Content-Length")
        shorter = int(length) if plan.resize < 0 and length is not None else None
        stop = min((one for one in (plan.cut_response, plan.hang_after) if one is not None), default=None)
        while piece := await body.read():
            rate = plan.rate_down or self._traffic.link.rate_down
            start = seen.received
            self._received(seen, piece)
            piece = _damaged(piece, start, plan.corrupt_response)
            if stop is not None and seen.received > stop:
                await sender.send(piece[: max(0, stop - start)], rate)
                await self._stop_here(plan)
            await sender.send(piece if shorter is None else piece[: max(0, shorter - start)], rate)
        if plan.resize > 0:
            await sender.send(b"\0" * plan.resize, plan.rate_down or self._traffic.link.rate_down)
        await sender.finish()
        await self._writer.drain()

    async def _stop_here(self, plan: Plan) -> None:
        if plan.hang:
            await self._hang()
        if plan.reset:
            linger = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            cut_off(self._writer)
        raise Gone

    async def _answer_itself(self, plan: Plan, body: Body, seen: ProxiedRequest) -> None:
        answer = plan.answer
        if answer is None:
            raise AssertionError("no answer planned")
        taken = 0
        while taken < answer.after and (piece := await body.read()):
            taken += len(piece)
        head = Head(f"HTTP/1.1 {answer.status} Fault", list(answer.headers.items()))
        head.replace("Content-Length", str(len(answer.body)))
        head.replace("Connection", "close")
        seen.status, seen.done = answer.status, True
        self._writer.write(head.encode() + (b"" if seen.method == "HEAD" else answer.body))
        await self._writer.drain()
        # The rest of the body is taken and thrown away, or the kernel's reset could overtake the answer.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while await body.read():
                    pass
        raise Gone

    async def _server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = self._up_reader, self._up_writer
        if reader is None or writer is None or reader.at_eof() or writer.is_closing():
            if writer is not None:
                writer.close()
            traffic = self._traffic
            reader, writer = await asyncio.open_connection(traffic.host, traffic.port, limit=BUFFER)
            self._up_reader, self._up_writer = reader, writer
        return reader, writer

    async def _hang(self) -> None:
        """Keep silent until the client leaves or the proxy releases all that hang."""
        self._traffic.hanging += 1
        try:
            await _first(self._traffic.released.wait(), self._client_closes())
        finally:
            self._traffic.hanging -= 1
        raise Gone

    async def _client_closes(self) -> None:
        # Nothing is read meanwhile: a client that sends a body must feel that nobody takes it.
        await eventually(
            lambda: self._reader.at_eof() or self._writer.transport.is_closing(),
            within=math.inf,
            what="the client closes its connection",
        )

    async def _client_leaves(self, pump: asyncio.Task[None]) -> None:
        """End when the client closes before it has its answer; its bytes are left alone."""
        await asyncio.shield(pump)
        await self._client_closes()
        raise Gone

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: Pace, *, towards_server: bool
    ) -> None:
        """Move bytes one way; each leaves half the latency after it came."""
        loop = asyncio.get_running_loop()
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)

        async def fill() -> None:
            while True:
                piece = await reader.read(PIECE)
                await line.put((loop.time() + self._traffic.link.latency / 2, piece))
                if not piece:
                    await asyncio.Event().wait()

        async def empty() -> None:
            passed = 0
            sender = Sender(writer, pace, chunked=False)
            while True:
                due, piece = await line.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                link = self._traffic.link
                rate, cut = (
                    (link.rate_up, link.cut_up_after) if towards_server else (link.rate_down, link.cut_down_after)
                )
                part = piece if cut is None else piece[: max(0, cut - passed)]
                await sender.send(part, rate)
                passed += len(part)
                self._count(len(part), towards_server=towards_server)
                if not piece or len(part) < len(piece):
                    raise Gone

        await _first(fill(), empty())

    def _count(self, size: int, *, towards_server: bool) -> None:
        if towards_server:
            self._traffic.bytes_to_server += size
        else:
            self._traffic.bytes_from_server += size

    def _received(self, seen: ProxiedRequest, piece: bytes) -> None:
        seen.received += len(piece)
        self._traffic.bytes_from_server += len(piece)


async def _first(*jobs: Coroutine[Any, Any, Any]) -> None:
    """Run jobs until one of them ends, cancel the others, and raise what that one raised."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _damaged(piece: bytes, start: int, at: int | None) -> bytes:
    if at is None or not start <= at < start + len(piece):
        return piece
    changed = bytearray(piece)
    changed[at - start] ^= 0xFF
    return bytes(changed)


def _change(head: Head, plan: Plan) -> None:
    length = head.get("Content-Length")
    if length is not None and (plan.lie_length or plan.resize):
        head.replace("Content-Length", str(max(0, int(length) + plan.lie_length + plan.resize)))
    if plan.lie_length:
        head.replace("Connection", "close")
    for name, value in plan.response_headers.items():
        head.replace(name, value)
