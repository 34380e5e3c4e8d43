"""Connections are cut off in whatever state they are."""

import asyncio

import anyio

from tests.support.cutting import cut_off

_MORE_THAN_SOCKETS_HOLD = 32 * 1024 * 1024


async def test_one_that_ended_after_its_buffer_had_gone_is_cut_off_once_more() -> None:
    """At its end CPython's transport has no loop, and does not know that it has ended."""
    read, ended = anyio.Event(), anyio.Event()

    async def serve(reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        await read.wait()
        await reader.read(-1)
        back.close()
        await back.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        _, writer = await asyncio.open_connection(host, port)
        writer.write(bytes(_MORE_THAN_SOCKETS_HOLD))
        assert writer.transport.get_write_buffer_size() > 0
        writer.close()
        read.set()
        await writer.wait_closed()
        cut_off(writer)
        await ended.wait()
