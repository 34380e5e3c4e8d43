"""Reading blobs: exactly the promised bytes or an error, whatever the server does (B1-B6a, S8, S9)."""

import gzip

import pytest
from aiohttp import web

from replicator.errors import ContentError, Reason, RegistryError
from replicator.model import Descriptor, Digest
from replicator.registry.capabilities import Capability
from replicator.registry.client import RegistryClient
from replicator.registry.http import Timeouts
from tests.unit.registry.scripted import (
    BLOB,
    BLOB_PATH,
    DATA,
    TEAM,
    Handler,
    Say,
    Script,
    client_for,
    error,
    read_blob,
)

TOTAL = len(DATA)


def partial(first: int, last: int, total: object = TOTAL, body: bytes = b"") -> Say:
    return Say(206, {"Content-Range": f"bytes {first}-{last}/{total}"}, body or DATA[first : last + 1])


async def test_b1_a_head_of_another_length_is_a_content_error(script: Script, client: RegistryClient) -> None:
    script.on("HEAD", "/v2/", Say(200, {"Content-Length": str(TOTAL - 1)}))
    with pytest.raises(ContentError, match=f"{TOTAL - 1} bytes"):
        await client.has_blob(TEAM, BLOB)


def chunked_head() -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        return response

    return answer


@pytest.mark.parametrize("head", [Say(405), Say(403), Say(501), chunked_head()])
async def test_b1_a_registry_without_useful_head_is_asked_for_one_byte(
    script: Script, client: RegistryClient, head: Say | Handler
) -> None:
    script.on("HEAD", "/v2/", head)
    script.on("GET", "/v2/", partial(0, 0))
    assert await client.has_blob(TEAM, BLOB)
    assert script.asked("GET")[0].headers["Range"] == "bytes=0-0"
    script.on("GET", "/v2/", Say(200, {}, DATA))
    assert await client.has_blob(TEAM, BLOB)
    script.on("GET", "/v2/", error(404, "BLOB_UNKNOWN"))
    assert not await client.has_blob(TEAM, BLOB)
    script.on("GET", "/v2/", partial(0, 0, TOTAL + 1))
    with pytest.raises(ContentError):
        await client.has_blob(TEAM, BLOB)


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_trouble_is_neither_presence_nor_absence(script: Script, client: RegistryClient, status: int) -> None:
    script.on("HEAD", "/v2/", Say(status, {"Retry-After": "600"}))
    with pytest.raises(RegistryError):
        await client.has_blob(TEAM, BLOB)


async def test_b4_another_content_length_is_refused_before_a_byte_is_read(
    script: Script, client: RegistryClient
) -> None:
    script.on("GET", "/v2/", Say(200, {}, DATA + b"!"))
    with pytest.raises(ContentError, match=f"{TOTAL + 1} bytes"):
        async with client.open_blob(TEAM, BLOB):
            pytest.fail("it was opened")


def chunked(*pieces: bytes, headers: dict[str, str] | None = None, abort: bool = False, status: int = 200) -> Handler:
    """Return an answer without Content-Length."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if abort and request.transport is not None:
            request.transport.abort()
        return response

    return answer


async def test_b4_a_body_that_goes_on_after_its_size_is_a_content_error(
    script: Script, client: RegistryClient
) -> None:
    script.on("GET", "/v2/", chunked(DATA, b"!"))
    with pytest.raises(ContentError, match="longer"):
        await read_blob(client)


async def test_s9_an_endless_body_is_not_read_on(script: Script, client: RegistryClient) -> None:
    pieces = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal pieces
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1024 * 1024))
                pieces += 1
        except ConnectionError:
            return response

    script.on("GET", "/v2/", endless)
    with pytest.raises(ContentError):
        await read_blob(client)
    assert pieces < 30


async def test_b4_a_body_that_ends_early_is_a_temporary_error_and_never_the_end(
    script: Script, client: RegistryClient
) -> None:
    script.on("GET", "/v2/", chunked(DATA[:1000]))
    got = bytearray()

    async def read() -> None:
        async with client.open_blob(TEAM, BLOB) as reader:
            async for chunk in reader.chunks():
                got.extend(chunk)

    with pytest.raises(RegistryError, match=f"after 1000 of {TOTAL}") as caught:
        await read()
    assert bytes(got) == DATA[:1000]
    assert (caught.value.reason, caught.value.temporary) == (Reason.NETWORK, True)


async def test_b4_a_connection_that_breaks_is_a_temporary_error(script: Script, client: RegistryClient) -> None:
    script.on("GET", "/v2/", chunked(DATA[:1000], abort=True))
    with pytest.raises(RegistryError) as caught:
        await read_blob(client)
    assert (caught.value.reason, caught.value.temporary, caught.value.status) == (Reason.NETWORK, True, 0)


async def test_b5_a_range_is_asked_for_and_checked(script: Script, client: RegistryClient) -> None:
    script.on("GET", "/v2/", partial(1000, TOTAL - 1))
    assert await read_blob(client, offset=1000) == DATA[1000:]
    assert script.seen[0].headers["Range"] == f"bytes=1000-{TOTAL - 1}"
    script.on("GET", "/v2/", partial(1000, TOTAL - 1, "*"))
    assert await read_blob(client, offset=1000) == DATA[1000:]


async def test_b5_a_whole_answer_to_a_range_loses_its_head(script: Script, client: RegistryClient) -> None:
    script.on("GET", "/v2/", Say(200, {}, DATA))
    assert await read_blob(client, offset=123_456) == DATA[123_456:]
    script.on("GET", "/v2/", chunked(*(DATA[n : n + 999] for n in range(0, TOTAL, 999))))
    assert await read_blob(client, offset=123_456) == DATA[123_456:]


@pytest.mark.parametrize(
    "answer",
    [
        partial(0, TOTAL - 1),
        partial(1001, TOTAL - 1),
        partial(1000, TOTAL - 2),
        partial(1000, TOTAL - 1, TOTAL + 1),
        Say(206, {}, DATA[1000:]),
        Say(206, {"Content-Range": "bytes */256000"}, DATA[1000:]),
        Say(206, {"Content-Range": (f"bytes 1000-{TOTAL - 1}/{TOTAL}", "bytes 0-1/2")}, DATA[1000:]),
        Say(206, {"Content-Type": "multipart/byteranges; boundary=x"}, b"--x"),
        Say(204),
    ],
)
async def test_b5_other_bytes_than_asked_for_are_never_taken(
    script: Script, client: RegistryClient, answer: Say
) -> None:
    script.on("GET", "/v2/", answer)
    with pytest.raises(RegistryError):
        await read_blob(client, offset=1000)


async def part_of(client: RegistryClient, offset: int, length: int) -> bytes:
    async with client.open_blob(TEAM, BLOB, offset, length) as reader:
        return b"".join([chunk async for chunk in reader.chunks()])


async def test_b5_a_part_is_asked_for_and_checked(script: Script, client: RegistryClient) -> None:
    script.on("GET", "/v2/", partial(1000, 1999))
    assert await part_of(client, 1000, 1000) == DATA[1000:2000]
    assert script.seen[0].headers["Range"] == "bytes=1000-1999"
    assert client.capabilities.holds(Capability.RANGES)
    script.on("GET", "/v2/", partial(0, 9))
    assert await part_of(client, 0, 10) == DATA[:10]
    assert await part_of(client, 5, 0) == b""
    assert len(script.seen) == 2
    with pytest.raises(ValueError, match="outside"):
        await part_of(client, 1, TOTAL)


@pytest.mark.parametrize(
    "answer",
    [
        partial(1000, TOTAL - 1),
        partial(1000, 1998),
        partial(1001, 2000),
        partial(1000, 1999, TOTAL + 1),
        Say(206, {}, DATA[1000:2000]),
        Say(416),
    ],
)
async def test_b5_other_bytes_than_the_part_are_never_taken(
    script: Script, client: RegistryClient, answer: Say
) -> None:
    script.on("GET", "/v2/", answer)
    with pytest.raises(RegistryError):
        await part_of(client, 1000, 1000)


async def test_b5_a_part_that_is_short_or_long_is_an_error(script: Script, client: RegistryClient) -> None:
    part = {"Content-Range": f"bytes 1000-1999/{TOTAL}"}
    script.on("GET", "/v2/", chunked(DATA[1000:1990], headers=part, status=206))
    with pytest.raises(RegistryError) as caught:
        await part_of(client, 1000, 1000)
    assert caught.value.temporary
    script.on("GET", "/v2/", chunked(DATA[1000:2001], headers=part, status=206))
    with pytest.raises(ContentError):
        await part_of(client, 1000, 1000)


async def test_b5_a_registry_that_serves_no_parts_is_found_out(script: Script, client: RegistryClient) -> None:
    script.on("GET", "/v2/", Say(200, {}, DATA))
    for offset in (0, 1000):
        with pytest.raises(RegistryError, match="only as a whole") as caught:
            await part_of(client, offset, 1000)
        assert not caught.value.temporary
    assert client.capabilities.holds(Capability.RANGES) is False


async def test_b5_a_partial_answer_to_a_whole_question_is_refused(script: Script, client: RegistryClient) -> None:
    script.on("GET", "/v2/", partial(0, TOTAL - 1))
    with pytest.raises(RegistryError):
        await read_blob(client)


async def test_b5_nothing_is_left_to_read_behind_the_last_byte(script: Script, client: RegistryClient) -> None:
    assert await read_blob(client, offset=TOTAL) == b""
    assert not script.seen
    with pytest.raises(ValueError, match="outside"):
        await read_blob(client, offset=TOTAL + 1)


async def test_b6_an_empty_blob_is_read_like_any_other(script: Script, client: RegistryClient) -> None:
    empty = Descriptor("a/b", Digest.of(b""), 0)
    script.on("GET", "/v2/", Say(200, {}, b""))
    assert await read_blob(client, empty) == b""
    script.on("GET", "/v2/", chunked(b"!"))
    with pytest.raises(ContentError):
        await read_blob(client, empty)


async def test_b3_s11_what_is_called_gzip_is_passed_on_as_it_came(script: Script, client: RegistryClient) -> None:
    """A layer is gzip itself; a registry that labels it so must not make us unpack it, nor a bomb."""
    packed = gzip.compress(bytes(5_000_000))
    layer = Descriptor("a/b", Digest.of(packed), len(packed))
    script.on("GET", "/v2/", Say(200, {"Content-Encoding": "gzip"}, packed))
    assert await read_blob(client, layer) == packed
    assert script.seen[0].headers["Accept-Encoding"] == "identity"


async def test_chunks_are_bounded(script: Script, client: RegistryClient) -> None:
    data = bytes(5_000_000)
    script.on("GET", "/v2/", Say(200, {}, data))
    async with client.open_blob(TEAM, Descriptor("a/b", Digest.of(data), len(data))) as reader:
        sizes = [len(chunk) async for chunk in reader.chunks()]
    assert sum(sizes) == len(data)
    assert max(sizes) <= 512 * 1024


async def test_s21_a_body_that_stalls_is_a_timeout(script: Script) -> None:
    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(DATA[:1000])
        await script.stopped.wait()
        return response

    script.on("GET", "/v2/", stall)
    async with client_for(script.url, timeouts=Timeouts(connect=1, read=0.2, write=1, commit=1)) as client:
        with pytest.raises(RegistryError) as caught:
            await read_blob(client)
    assert (caught.value.reason, caught.value.temporary) == (Reason.TIMEOUT, True)


async def test_a_reader_that_is_left_early_leaves_a_client_that_works(script: Script, client: RegistryClient) -> None:
    script.on("GET", BLOB_PATH, Say(200, {}, DATA))
    for _ in range(40):
        async with client.open_blob(TEAM, BLOB) as reader:
            async for _chunk in reader.chunks():
                break
    assert await read_blob(client) == DATA
