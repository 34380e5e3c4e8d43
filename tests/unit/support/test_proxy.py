"""The proxy does to each request what its faults say, and nothing to the others; seen by raw HTTP from both ends."""

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tests.support.eventually import eventually
from tests.support.faults import (
    Answer,
    CorruptRequest,
    CorruptResponse,
    CutRequest,
    CutResponse,
    Delay,
    Fault,
    Hang,
    LieLength,
    LoseAnswer,
    NeverAnswer,
    Resize,
    SetHeader,
    Throttle,
)
from tests.support.images import closure_of, fetch_closure, make_image, make_index, push
from tests.support.permissive import PermissiveRegistry
from tests.support.proxy import Proxy, run_proxy
from tests.support.registries import DockerRegistry
from tests.support.traffic import Link
from tests.support.web import serve

CONTENT = bytes(range(256)) * 40
BLOB = "/v2/team/app/blobs/sha256:" + "0" * 64
UPLOAD = "/v2/team/app/blobs/uploads/1"


@dataclass(slots=True)
class Server:
    """What the server behind the proxy has got: bodies that arrived whole, and those that were cut."""

    proxy: Proxy
    whole: list[bytes] = field(default_factory=list)
    cut: list[bytes] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async def give(request: web.Request) -> web.StreamResponse:
        known.ranges.append(request.headers.get("Range"))
        if "chunked" not in request.query:
            return web.Response(body=CONTENT, headers={"Docker-Content-Digest": "sha256:true"})
        answer = web.StreamResponse()
        await answer.prepare(request)
        for start in range(0, len(CONTENT), 1_000):
            await answer.write(CONTENT[start : start + 1_000])
        return answer

    async def take(request: web.Request) -> web.Response:
        got = bytearray()
        try:
            async for piece in request.content.iter_any():
                got += piece
        except ConnectionError:
            known.cut.append(bytes(got))
            raise
        known.whole.append(bytes(got))
        return web.Response(status=201)

    app = web.Application()
    app.router.add_route("GET", "/{path:.*}", give)
    app.router.add_route("PUT", "/{path:.*}", take)
    async with serve(app) as url, run_proxy(url) as proxy:
        known = Server(proxy)
        yield known


@dataclass(frozen=True, slots=True)
class Got:
    """All that came from the proxy until it closed the connection; status 0 when nothing did."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def _ask(proxy: Proxy, method: str = "GET", target: str = BLOB, body: bytes = b"", **headers: str) -> Got:
    """Send one request over a connection of its own and read until the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.host.partition(":")[2]))
    try:
        lines = [f"{name}: {value}" for name, value in {"Host": proxy.host, "Connection": "close", **headers}.items()]
        length = [] if "Transfer-Encoding" in headers else [f"Content-Length: {len(body)}"]
        head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, *length, "", ""])
        writer.write(head.encode() + body)
        raw = await asyncio.wait_for(_until_closed(reader), 20)
    finally:
        writer.close()
    top, _, rest = raw.partition(b"\r\n\r\n")
    if not top:
        return Got(0, {}, b"")
    first, *fields = top.decode().split("\r\n")
    pairs = (line.partition(": ") for line in fields)
    return Got(int(first.split(" ")[1]), {key.title(): value for key, _, value in pairs}, rest)


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    got = bytearray()
    try:
        while piece := await reader.read(65_536):
            got += piece
    except ConnectionError:
        pass
    return bytes(got)


async def test_without_faults_everything_passes_and_is_counted(server: Server) -> None:
    got = await _ask(server.proxy)
    assert (got.status, got.body) == (200, CONTENT)
    assert (await _ask(server.proxy, "PUT", UPLOAD, CONTENT)).status == 201
    assert server.whole == [CONTENT]
    assert server.proxy.counts() == {("GET", "blob", 200): 1, ("PUT", "upload", 201): 1}
    assert server.proxy.received("blob") == server.proxy.sent("upload") == len(CONTENT)
    for passed in (server.proxy.bytes_from_server, server.proxy.bytes_to_server):
        assert len(CONTENT) < passed < len(CONTENT) + 2_000
    assert server.proxy.connections == 2


async def test_chunked_bodies_pass_both_ways(server: Server) -> None:
    got = await _ask(server.proxy, target=f"{BLOB}?chunked")
    parts = [b"%x\r\n%b\r\n" % (1_000, CONTENT[start : start + 1_000]) for start in range(0, 10_000, 1_000)]
    assert got.headers["Transfer-Encoding"] == "chunked"
    assert re.sub(rb"[0-9a-f]+\r\n", b"", got.body)[:100] == CONTENT[:100]
    assert got.body.endswith(b"0\r\n\r\n")
    body = b"".join(parts) + b"0\r\n\r\n"
    await _ask(server.proxy, "PUT", UPLOAD, body, **{"Transfer-Encoding": "chunked"})
    assert server.whole == [CONTENT[:10_000]]


async def test_connections_are_kept_alive(permissive: PermissiveRegistry) -> None:
    async with run_proxy(permissive.url) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.host.partition(":")[2]))
        for _ in range(3):
            writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
        writer.close()
        assert proxy.connections == 1
        assert proxy.counts() == {("GET", "ping", 200): 3}


@pytest.mark.parametrize("after", [0, 1, 5_000, len(CONTENT) - 1])
async def test_a_response_is_cut_after_exactly_so_many_bytes(server: Server, after: int) -> None:
    server.proxy.add(CutResponse(path="/blobs/", after=after))
    got = await _ask(server.proxy)
    assert got.headers["Content-Length"] == str(len(CONTENT))
    assert got.body == CONTENT[:after]
    assert (await _ask(server.proxy)).body == CONTENT


async def test_a_response_may_be_cut_by_a_reset(server: Server) -> None:
    server.proxy.add(CutResponse(after=100, reset=True))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.proxy.host.partition(":")[2]))
    writer.write(f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(10 * len(CONTENT))
    writer.close()


@pytest.mark.parametrize("after", [0, 7_000])
async def test_a_request_is_cut_after_exactly_so_many_bytes(server: Server, after: int) -> None:
    server.proxy.add(CutRequest(method="PUT", after=after))
    got = await _ask(server.proxy, "PUT", UPLOAD, CONTENT)
    assert got.status == 0
    await eventually(lambda: server.cut, what="the server sees the cut")
    assert server.cut == [CONTENT[:after]]
    assert server.proxy.requests[0].sent == after
    assert server.whole == []


async def test_a_lost_answer_leaves_the_work_done(server: Server) -> None:
    server.proxy.add(LoseAnswer(method="PUT"))
    assert (await _ask(server.proxy, "PUT", UPLOAD, CONTENT)).status == 0
    assert server.whole == [CONTENT]
    assert server.proxy.counts() == {("PUT", "upload", 201): 1}


@pytest.mark.parametrize("after", [0, 5_000])
async def test_the_proxy_answers_in_the_servers_place(server: Server, after: int) -> None:
    limited = Answer(path="uploads", status=429, headers={"Retry-After": "7"}, body=b"slow down", after=after)
    server.proxy.add(limited)
    got = await _ask(server.proxy, "PUT", UPLOAD, CONTENT)
    assert (got.status, got.headers["Retry-After"], got.body) == (429, "7", b"slow down")
    assert server.whole == server.cut == []
    assert (await _ask(server.proxy, "PUT", UPLOAD, CONTENT)).status == 201


async def test_an_answer_comes_in_the_middle_of_a_body_that_is_still_sent(server: Server) -> None:
    server.proxy.add(Answer(status=401, after=100))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.proxy.host.partition(":")[2]))
    writer.write(f"PUT {UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 200)
    assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    writer.close()


async def test_bytes_are_inverted_where_asked_and_nowhere_else(server: Server) -> None:
    server.proxy.add(CorruptResponse(method="GET", at=3_000))
    server.proxy.add(CorruptRequest(method="PUT", at=9_999))
    got = (await _ask(server.proxy)).body
    assert [n for n in range(len(CONTENT)) if got[n] != CONTENT[n]] == [3_000]
    await _ask(server.proxy, "PUT", UPLOAD, CONTENT)
    assert [n for n in range(len(CONTENT)) if server.whole[0][n] != CONTENT[n]] == [9_999]


@pytest.mark.parametrize("by", [-5, 5])
async def test_lengths_lie_or_change_together_with_the_body(server: Server, by: int) -> None:
    server.proxy.add(LieLength(by=by))
    lie = await _ask(server.proxy)
    assert (lie.headers["Content-Length"], lie.body) == (str(len(CONTENT) + by), CONTENT)
    server.proxy.add(Resize(by=by))
    other = await _ask(server.proxy)
    assert int(other.headers["Content-Length"]) == len(other.body) == len(CONTENT) + by
    assert other.body[: len(CONTENT) - 5] == CONTENT[:-5]


async def test_headers_are_replaced_added_and_taken_away(server: Server) -> None:
    server.proxy.add(SetHeader(name="Docker-Content-Digest", value="sha256:lie"))
    server.proxy.add(SetHeader(name="Content-Type", value=None))
    server.proxy.add(SetHeader(name="Range", value=None, of_request=True))
    got = await _ask(server.proxy, Range="bytes=5-")
    assert got.headers["Docker-Content-Digest"] == "sha256:lie"
    assert "Content-Type" not in got.headers
    assert server.ranges == [None]


async def test_a_hanging_answer_stays_away_until_released(server: Server) -> None:
    server.proxy.add(Hang(method="PUT"))
    waiting = asyncio.create_task(_ask(server.proxy, "PUT", UPLOAD, CONTENT))
    await eventually(lambda: server.proxy.hanging == 1, what="the answer hangs")
    assert server.whole == [CONTENT]
    assert not waiting.done()
    server.proxy.release()
    assert (await waiting).status == 0


async def test_an_answer_may_stop_in_the_middle(server: Server) -> None:
    server.proxy.add(Hang(after=1_234))
    waiting = asyncio.create_task(_ask(server.proxy))
    await eventually(lambda: server.proxy.hanging == 1, what="the answer stops")
    server.proxy.release()
    assert (await waiting).body == CONTENT[:1_234]


async def test_a_client_that_leaves_ends_what_hangs_for_it(server: Server) -> None:
    server.proxy.add(NeverAnswer())
    waiting = asyncio.create_task(_ask(server.proxy))
    await eventually(lambda: server.proxy.hanging == 1, what="the request hangs")
    waiting.cancel()
    await eventually(lambda: server.proxy.hanging == 0, what="the proxy sees the client leave")
    assert server.ranges == []


async def test_a_black_hole_takes_everything_and_can_be_closed(server: Server) -> None:
    server.proxy.link.black_hole = True
    waiting = asyncio.create_task(_ask(server.proxy))
    await eventually(lambda: server.proxy.hanging == 1, what="the request hangs")
    server.proxy.link.black_hole = False
    await server.proxy.drop_connections()
    assert (await waiting).status == 0
    assert (await _ask(server.proxy)).status == 200


async def test_a_stopped_proxy_refuses_and_comes_back_on_its_port(server: Server) -> None:
    await server.proxy.stop()
    with pytest.raises(ConnectionRefusedError):
        await _ask(server.proxy)
    await server.proxy.start()
    assert (await _ask(server.proxy)).status == 200


async def test_faults_hit_the_nth_request_so_many_times(server: Server) -> None:
    second_and_third = server.proxy.add(Answer(path="/blobs/sha256", nth=2, times=2, status=500))
    with server.proxy.during(Answer(method="DELETE", times=None, status=405)) as other:
        assert [(await _ask(server.proxy)).status for _ in range(4)] == [200, 500, 500, 200]
        assert (second_and_third.seen, second_and_third.acted, other.seen) == (4, 2, 0)
        assert [(await _ask(server.proxy, "DELETE")).status for _ in range(3)] == [405] * 3
    assert (await _ask(server.proxy, "DELETE")).status == 405  # the server's own: it has no DELETE
    assert other.seen == 3
    server.proxy.add(Answer(times=None, status=503))
    server.proxy.clear()
    assert (await _ask(server.proxy)).status == 200


def test_a_fault_by_itself_matches_and_changes_nothing() -> None:
    assert Fault(path="^/v2/$").matches("GET", "/v2/")
    assert not Fault(path="^/v2/$").matches("GET", "/v2/x")
    assert not Fault(method="PUT").matches("GET", "/v2/")


@pytest.mark.parametrize("raw", [False, True])
async def test_rates_hold_within_a_tenth(permissive: PermissiveRegistry, raw: bool) -> None:
    image = make_image("rate", [3_000_000])
    await push(permissive.url, "team/app", "v1", image)
    target = f"/v2/team/app/blobs/{image.layers[0].digest}"
    blob = make_image("up", [3_000_000]).layers[0]
    async with run_proxy(permissive.url, raw=raw, link=Link(rate_down=4_000_000, rate_up=6_000_000)) as proxy:
        await _takes(3 / 4, lambda: _ask(proxy, target=target))
        upload = f"/v2/team/app/blobs/uploads/{{}}?digest={blob.digest}"
        await _takes(3 / 6, lambda: _ask(proxy, "PUT", upload.format(permissive.storage.open_upload()), blob.read()))


async def test_one_request_can_be_throttled_alone(server: Server) -> None:
    with server.proxy.during(Throttle(method="GET", times=None, down=20_000)):
        await _takes(len(CONTENT) / 20_000, lambda: _ask(server.proxy))
    assert await _timed(_ask(server.proxy)) < 0.5


@pytest.mark.parametrize("raw", [False, True])
async def test_latency_is_added_to_each_round_trip(permissive: PermissiveRegistry, raw: bool) -> None:
    async with run_proxy(permissive.url, raw=raw, link=Link(latency=0.3)) as proxy:
        await _takes(0.3, lambda: _ask(proxy, target="/v2/"))


async def test_a_delay_holds_one_request_back(server: Server) -> None:
    server.proxy.add(Delay(seconds=0.5))
    assert await _timed(_ask(server.proxy)) >= 0.5
    assert await _timed(_ask(server.proxy)) < 0.5


async def test_raw_mode_cuts_a_connection_after_so_many_bytes(permissive: PermissiveRegistry) -> None:
    image = make_image("cut", [500_000])
    await push(permissive.url, "team/app", "v1", image)
    target = f"/v2/team/app/blobs/{image.layers[0].digest}"
    async with run_proxy(permissive.url, raw=True, link=Link(cut_down_after=100_000)) as proxy:
        got = await _ask(proxy, target=target)
        assert image.layers[0].read().startswith(got.body)
        assert proxy.bytes_from_server == 100_000
        assert 0 < 100_000 - len(got.body) < 1_000
        proxy.link.cut_down_after = None
        proxy.link.cut_up_after = 10
        assert (await _ask(proxy, target=target)).status == 0


async def test_a_whole_push_and_pull_goes_through(registry: DockerRegistry) -> None:
    index = make_index([make_image(1, [300_000, 0, 7]), make_image(2)])
    async with run_proxy(registry.url) as proxy, run_proxy(proxy.url, raw=True) as outer:
        await push(outer.url, "team/app", "v1", index)
        found = await fetch_closure(outer.url, "team/app", "v1", deep=True)
        assert found.digests == closure_of(index)
        assert proxy.sent("upload") == sum(blob.size for blob in index.blobs())
        assert proxy.received("blob") == proxy.sent("upload")


async def _timed(job: Coroutine[Any, Any, Got]) -> float:
    before = time.monotonic()
    assert (await job).status in {200, 201}
    return time.monotonic() - before


async def _takes(seconds: float, job: Callable[[], Coroutine[Any, Any, Got]]) -> None:
    """Hold a job against a time: never faster than a tenth below it, and the best of twenty tries no slower."""
    best = math.inf
    for _ in range(20):
        took = await _timed(job())
        assert took > seconds * 0.9
        best = min(best, took)
        if best < seconds * 1.1:
            return
    raise AssertionError(f"took {best:.3f} s at best instead of {seconds:.3f} s")
