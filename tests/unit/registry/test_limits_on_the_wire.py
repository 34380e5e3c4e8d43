"""What the limits do to real connections: bandwidth, and peers that hardly move (S21)."""

import asyncio

import pytest
from aiohttp import web

from replicator.errors import Reason, RegistryError
from replicator.registry.http import Timeouts
from tests.support.fake_clock import FakeClock
from tests.unit.registry.scripted import (
    BLOB,
    BLOB_PATH,
    DATA,
    TEAM,
    UPLOADS,
    Handler,
    Say,
    Script,
    client_for,
    read_blob,
    whole_body,
)

RATE = 64 * 1024


def takes_uploads(script: Script) -> None:
    """Let the script take a blob in one PUT."""
    script.on("POST", UPLOADS, Say(202, {"Location": UPLOADS + "1"}))
    script.on("PUT", UPLOADS, Say(201, {"Docker-Content-Digest": str(BLOB.digest)}))


async def seconds_of(clock: FakeClock, task: "asyncio.Task[object]") -> float:
    """Let time pass as fast as the task waits for it; return how much it needed."""
    began = clock.monotonic()
    while not task.done():
        await asyncio.sleep(0.001)
        if clock.sleepers:
            clock.advance(clock.sleepers[0])
    await task
    return clock.monotonic() - began


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_transfers_keep_to_the_bandwidth_of_the_registry(script: Script, direction: str) -> None:
    clock = FakeClock()
    takes_uploads(script)
    script.on("GET", BLOB_PATH, Say(200, body=DATA))
    async with client_for(script.url, clock=clock, bandwidth=RATE) as client:
        work = client.send_blob(TEAM, BLOB, whole_body) if direction == "up" else read_blob(client)
        seconds = await seconds_of(clock, asyncio.ensure_future(work))
    assert seconds == pytest.approx(len(DATA) / RATE, rel=0.05, abs=0.1)


def dripping(clock: FakeClock, *, seconds: float, size: int) -> Handler:
    """Return an answer that gives `size` bytes and then lets `seconds` pass, for ever."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(BLOB.size)})
        await response.prepare(request)
        for start in range(0, BLOB.size, size):
            await response.write(DATA[start : start + size])
            await asyncio.sleep(0.005)
            clock.advance(seconds)
        return response

    return answer


async def test_a_blob_that_comes_byte_by_byte_is_given_up(script: Script) -> None:
    clock = FakeClock()
    script.on("GET", BLOB_PATH, dripping(clock, seconds=1.0, size=1))
    async with client_for(script.url, clock=clock) as client:
        with pytest.raises(RegistryError) as caught:
            await read_blob(client)
    assert caught.value.reason is Reason.TIMEOUT
    assert caught.value.temporary


async def test_a_blob_that_comes_slowly_is_taken(script: Script) -> None:
    clock = FakeClock()
    script.on("GET", BLOB_PATH, dripping(clock, seconds=1.0, size=4096))
    async with client_for(script.url, clock=clock) as client:
        assert await read_blob(client) == DATA


async def endless_head(request: web.Request) -> web.StreamResponse:
    """Take the request, and give a head that never ends, each byte of it in time."""
    await request.read()
    line = request.transport
    assert line is not None
    line.write(b"HTTP/1.1 201 Created\r\nX-Never: ")
    while not line.is_closing():
        line.write(b"x")
        await asyncio.sleep(0.02)
    return web.Response(status=201)


@pytest.mark.parametrize("what", ["ping", "upload"])
async def test_a_head_that_does_not_end_is_not_waited_for_for_ever(script: Script, what: str) -> None:
    takes_uploads(script)
    script.on("GET", "/v2/", endless_head)
    script.on("PUT", UPLOADS, endless_head)
    timeouts = Timeouts(connect=0.2, read=0.1, write=1, commit=0.1)
    async with client_for(script.url, timeouts=timeouts) as client:
        with pytest.raises(RegistryError) as caught:
            await (client.ping() if what == "ping" else client.send_blob(TEAM, BLOB, whole_body))
    assert caught.value.reason is Reason.TIMEOUT
