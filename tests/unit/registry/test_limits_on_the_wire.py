"""What the limits do to real connections: bandwidth, and peers that hardly move (S21)."""

import asyncio
import contextlib
from functools import partial

import pytest
from aiohttp import web

from replicator.errors import Reason, RegistryError
from replicator.model import Digest, Priority, parse_tag
from replicator.registry.client import RegistryClient
from replicator.registry.http import Timeouts
from replicator.registry.urgency import Urgency, urgent
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.unit.registry.scripted import (
    BLOB,
    BLOB_PATH,
    DATA,
    PATIENCE,
    TAG,
    TEAM,
    UPLOADS,
    Handler,
    Say,
    Script,
    client_for,
    error,
    manifest_answer,
    plain,
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
    while True:
        waits = asyncio.create_task(clock.a_sleeper())
        await asyncio.wait({task, waits}, return_when=asyncio.FIRST_COMPLETED)
        waits.cancel()
        if task.done():
            await task
            return clock.monotonic() - began
        clock.advance(clock.sleepers[0])


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_transfers_keep_to_the_bandwidth_of_the_registry(script: Script, direction: str) -> None:
    clock = FakeClock()
    takes_uploads(script)
    script.on("GET", BLOB_PATH, Say(200, body=DATA))
    async with client_for(script.url, clock=clock, bandwidth=RATE) as client:
        work = client.send_blob(TEAM, BLOB, whole_body) if direction == "up" else read_blob(client)
        seconds = await seconds_of(clock, asyncio.ensure_future(work))
    assert seconds == pytest.approx(len(DATA) / RATE, rel=0.05, abs=0.1)


async def test_the_wait_for_bandwidth_is_not_taken_for_a_registry_that_does_not_answer(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, observer = FakeClock(), Heads()
    whole = manifest_answer(bytes(200_000))

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={**plain(whole.headers), "Content-Length": str(len(whole.body))})
        await response.prepare(request)
        await response.write(whole.body[:1])
        await observer.came.wait()
        await response.write(whole.body[1:])
        return response

    script.on("GET", "/v2/team/app/manifests", answer)
    async with client_for(script.url, clock=clock, bandwidth=RATE, observer=observer) as client:
        reading = asyncio.create_task(client.read_manifest(TEAM, TAG))
        await clock.someone_sleeps()
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + PATIENCE.read + 1)
        assert await seconds_of(clock, reading) == pytest.approx(len(whole.body) / RATE, rel=0.1)
    assert (await reading).body == whole.body


class Heads:
    """Tells when the head of an answer has come."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    def request_finished(self, registry: str, operation: str, status: int, seconds: float) -> None:
        del registry, operation, status, seconds
        self.came.set()

    def clock_read(self, registry: str, skew: float) -> None:
        pass

    def window_set(self, registry: str, kind: str, size: int) -> None:
        pass

    def request_refused(self, registry: str, kind: str) -> None:
        pass

    def request_waited(self, registry: str, kind: str, seconds: float) -> None:
        pass


class Taker:
    """Reads the blob, and tells how much of it came."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.gone = False
        self._news = asyncio.Event()

    async def read(self, client: RegistryClient) -> bytes:
        """Read it to its end."""
        try:
            async with client.open_blob(TEAM, BLOB, 0) as reader:
                async for chunk in reader.chunks():
                    self.data += chunk
                    self._news.set()
        finally:
            self.gone = True
            self._news.set()
        return bytes(self.data)

    async def has(self, size: int) -> None:
        """Return when so many bytes were taken and more are waited for, or nobody reads any more."""
        while len(self.data) < size and not self.gone:
            self._news.clear()
            await self._news.wait()


def dripping(clock: FakeClock, taker: Taker, *, seconds: float, size: int) -> Handler:
    """Return an answer that gives `size` bytes and then lets `seconds` pass, for ever."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(BLOB.size)})
        await response.prepare(request)
        for start in range(0, BLOB.size, size):
            await response.write(DATA[start : start + size])
            await taker.has(min(start + size, BLOB.size))
            if taker.gone:
                break
            clock.advance(seconds)
        return response

    return answer


async def test_a_blob_that_comes_byte_by_byte_is_given_up(script: Script) -> None:
    clock, taker = FakeClock(), Taker()
    script.on("GET", BLOB_PATH, dripping(clock, taker, seconds=1.0, size=1))
    began = clock.monotonic()
    async with client_for(script.url, clock=clock) as client:
        with pytest.raises(RegistryError) as caught:
            await taker.read(client)
    assert caught.value.reason is Reason.TIMEOUT
    assert caught.value.temporary
    assert clock.monotonic() - began == PATIENCE.read


async def test_a_blob_that_comes_slowly_is_taken(script: Script) -> None:
    clock, taker = FakeClock(), Taker()
    script.on("GET", BLOB_PATH, dripping(clock, taker, seconds=1.0, size=4096))
    async with client_for(script.url, clock=clock) as client:
        assert await taker.read(client) == DATA


def endless_head(script: Script) -> Handler:
    """Return an answer whose head never ends, each byte of it in time."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        line = request.transport
        assert line is not None
        line.write(b"HTTP/1.1 201 Created\r\nX-Never: ")
        while not line.is_closing():
            line.write(b"x")
            # The client's timeouts are of real time here, and so is this pace.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(script.stopped.wait(), 0.02)
        return web.Response(status=201)

    return answer


@pytest.mark.parametrize("what", ["ping", "upload"])
async def test_a_head_that_does_not_end_is_not_waited_for_for_ever(script: Script, what: str) -> None:
    takes_uploads(script)
    script.on("GET", "/v2/", endless_head(script))
    script.on("PUT", UPLOADS, endless_head(script))
    timeouts = Timeouts(connect=0.2, read=0.1, write=1, commit=0.1)
    async with client_for(script.url, timeouts=timeouts) as client:
        with pytest.raises(RegistryError) as caught:
            await (client.ping() if what == "ping" else client.send_blob(TEAM, BLOB, whole_body))
    assert caught.value.reason is Reason.TIMEOUT


SOON = "Wed, 14 Nov 2023 22:13:27 GMT"
"""Seven seconds from where the fake clock begins."""


@pytest.mark.parametrize("wish", ["7", SOON])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_refusal_for_want_of_time_pauses_its_kind_alone_and_is_made_good(
    script: Script, wish: str, status: int
) -> None:
    clock = FakeClock()
    body = b'{"a":1}'
    refusal = error(status, "TOOMANYREQUESTS", **{"Retry-After": wish})
    script.on("GET", "/v2/team/app/manifests/", refusal, manifest_answer(body))
    script.on("HEAD", BLOB_PATH, Say(200, {"Content-Length": str(BLOB.size)}))
    began = clock.monotonic()
    async with client_for(script.url, clock=clock) as client:
        reading = asyncio.create_task(client.read_manifest(TEAM, TAG))
        await clock.someone_sleeps()
        others = asyncio.create_task(client.read_manifest(TEAM, Digest.of(body)))
        assert await client.has_blob(TEAM, BLOB), "another kind of request goes on meanwhile"
        clock.advance(6.5)
        assert await client.has_blob(TEAM, BLOB), "the gate has looked who may go"
        assert clock.sleepers == pytest.approx((0.5,)), "and waits for the end of the pause"
        assert not reading.done()
        assert len(script.asked("GET", "/v2/team/app/manifests/")) == 1, "nobody else tries either"
        clock.advance(0.5)
        assert (await reading).body == (await others).body == body
    assert clock.monotonic() - began == 7.0


async def test_a_registry_that_keeps_refusing_is_an_error_that_says_when(script: Script) -> None:
    clock = FakeClock()
    script.on("GET", "/v2/team/app/manifests/", error(429, "TOOMANYREQUESTS"))
    async with client_for(script.url, clock=clock) as client:
        reading = asyncio.ensure_future(client.read_manifest(TEAM, TAG))
        with pytest.raises(RegistryError) as caught:
            await seconds_of(clock, reading)
    assert (caught.value.reason, caught.value.temporary) == (Reason.RATE_LIMITED, True)
    assert len(script.asked("GET", "/v2/team/app/manifests/")) == 5


async def test_a_long_pause_is_not_waited_for_and_the_next_does_not_even_ask(script: Script) -> None:
    script.on("GET", "/v2/team/app/manifests/", error(429, "TOOMANYREQUESTS", **{"Retry-After": "600"}))
    async with client_for(script.url) as client:
        for _ in range(3):
            with pytest.raises(RegistryError) as caught:
                await client.read_manifest(TEAM, TAG)
            assert caught.value.retry_after == pytest.approx(600)
    assert len(script.asked("GET", "/v2/team/app/manifests/")) == 1


def limits_bodies(script: Script, method: str, *answers: Say) -> None:
    """Let each upload that brings bytes have the next of the answers; each POST opens another session."""
    sessions = [Say(202, {"Location": f"/up/{number}"}) for number in range(1, 10)]
    script.on("POST", UPLOADS, *sessions)
    script.on("DELETE", "/up", Say(204))
    script.on("HEAD", BLOB_PATH, Say(404))
    script.on("PUT", "/done", Say(201))
    script.on(method, "/up", *answers)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("method", "form"), [("PUT", "put"), ("PATCH", "stream")])
async def test_a_body_that_was_refused_for_want_of_time_goes_again_in_a_session_of_its_own_after_the_pause(
    script: Script, status: int, method: str, form: str
) -> None:
    clock = FakeClock()
    refusal = error(status, "TOOMANYREQUESTS", **{"Retry-After": "7"})
    taken = Say(201) if method == "PUT" else Say(202, {"Location": "/done"})
    limits_bodies(script, method, refusal, taken)
    async with client_for(script.url, clock=clock, capabilities={"upload": form}) as client:
        sending = asyncio.create_task(client.send_blob(TEAM, BLOB, whole_body))
        await clock.someone_sleeps()
        clock.advance(6.5)
        assert len(script.asked(method, "/up")) == 1
        clock.advance(0.5)
        await sending
    first, second = script.asked(method, "/up")
    assert (first.target.partition("?")[0], second.target.partition("?")[0]) == ("/up/1", "/up/2")
    assert second.body == DATA
    assert [seen.target for seen in script.asked("DELETE")] == ["/up/1"]


async def test_a_body_that_is_refused_again_and_again_is_an_error(script: Script) -> None:
    clock = FakeClock()
    limits_bodies(script, "PUT", error(429, "TOOMANYREQUESTS"))
    async with client_for(script.url, clock=clock) as client:
        sending = asyncio.ensure_future(client.send_blob(TEAM, BLOB, whole_body))
        with pytest.raises(RegistryError) as caught:
            await seconds_of(clock, sending)
    assert (caught.value.reason, caught.value.temporary) == (Reason.RATE_LIMITED, True)
    assert len(script.asked("PUT", "/up")) == 5
    assert len(script.asked("DELETE")) == 5


@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_pause_is_not_waited_for_with_a_body_either(script: Script, status: int) -> None:
    limits_bodies(script, "PUT", error(status, "TOOMANYREQUESTS", **{"Retry-After": "61"}))
    async with client_for(script.url) as client:
        with pytest.raises(RegistryError) as caught:
            await client.send_blob(TEAM, BLOB, whole_body)
    assert caught.value.retry_after == pytest.approx(61)
    assert (len(script.asked("POST")), len(script.asked("PUT", "/up"))) == (1, 1)


async def test_connections_are_held_and_the_urgent_go_first(script: Script) -> None:
    """Three low reads wait for one connection; a high one that comes last is the first to get it."""
    at_once, most, over, order, may_end = 0, 0, 0, list[str](), asyncio.Semaphore(0)

    async def slowly(request: web.Request) -> web.StreamResponse:
        nonlocal at_once, most, over
        at_once += 1
        most = max(most, at_once)
        order.append(request.path.rpartition("/")[2])
        # One by one: those that are held show whether more come than may.
        await may_end.acquire()
        at_once -= 1
        over += 1
        return web.Response(status=404, headers={"Docker-Distribution-Api-Version": "registry/2.0"})

    def has_ended(many: int) -> bool:
        return over >= many

    script.on("HEAD", "/v2/", slowly)
    async with client_for(script.url, max_connections=2) as client:

        async def stat(tag: str, priority: Priority) -> None:
            with urgent(Urgency(priority)):
                await client.stat_manifest(TEAM, parse_tag(tag))

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(stat(f"low{number}", Priority.LOW))
            await eventually(lambda: len(order) == 1, what="one is under way, one place is kept")
            group.create_task(stat("high", Priority.HIGH))
            await eventually(lambda: order == ["low0", "high"], what="the urgent one has the place that was kept")
            group.create_task(stat("high2", Priority.HIGH))
            for ended in range(1, 7):
                may_end.release()
                await eventually(partial(has_ended, ended), what=f"{ended} have ended")
    assert most == 2
    assert order.index("high2") < order.index("low3")
