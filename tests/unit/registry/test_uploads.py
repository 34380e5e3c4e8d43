"""Sending blobs: opaque locations, the ladder, lost answers, and no success that is none (U1-U5, U8, H2, H5, S20)."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web

from replicator.errors import AccessDenied, ContentError, NotFound, Reason, RegistryError
from replicator.model import Descriptor, Digest, Repository, parse_repository
from replicator.registry.client import RegistryClient
from replicator.registry.http import Timeouts
from tests.support.fake_clock import FakeClock
from tests.unit.registry.scripted import (
    BLOB,
    DATA,
    TEAM,
    UPLOADS,
    Handler,
    Say,
    Script,
    client_for,
    error,
    whole_body,
)

OPENED = Say(202, {"Location": "/up?_state=a%2Fb%3D&x=%7E1"})
PRESENT = Say(200, {"Content-Length": str(BLOB.size)})
BASE = parse_repository("base/image")
BIG = bytes(4 * 1024 * 1024)
BIG_BLOB = Descriptor("a/b", Digest.of(BIG), len(BIG))


def big_body() -> AsyncIterator[bytes]:
    return whole_body(BIG, 512 * 1024)


async def test_u3_u4_a_blob_goes_out_in_one_put_with_its_length_and_the_raw_location(
    script: Script, client: RegistryClient
) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(201, {"Docker-Content-Digest": str(BLOB.digest)}))
    await client.send_blob(TEAM, BLOB, whole_body)
    post, put = script.seen
    assert (post.headers["Content-Length"], post.body) == ("0", b"")
    assert put.target == f"/up?_state=a%2Fb%3D&x=%7E1&digest=sha256%3A{BLOB.digest.encoded}"
    assert put.headers["Content-Length"] == str(BLOB.size)
    assert "Transfer-Encoding" not in put.headers
    assert put.headers["Content-Type"] == "application/octet-stream"
    assert put.body == DATA


async def test_u3_an_absolute_location_with_another_path_is_followed_as_written(
    script: Script, client: RegistryClient
) -> None:
    script.on("POST", UPLOADS, Say(202, {"Location": f"{script.url}/other/prefix/%2Fx"}))
    script.on("PUT", "/other", Say(201))
    await client.send_blob(TEAM, BLOB, whole_body)
    assert script.asked("PUT")[0].target == f"/other/prefix/%2Fx?digest=sha256%3A{BLOB.digest.encoded}"


async def test_u3_a_session_without_location_is_an_error(script: Script, client: RegistryClient) -> None:
    script.on("POST", UPLOADS, Say(202))
    with pytest.raises(RegistryError, match="without saying where"):
        await client.start_upload(TEAM)


async def test_u1_a_mount_is_done_with_201_and_no_byte_is_sent(script: Script, client: RegistryClient) -> None:
    script.on("POST", UPLOADS, Say(201))
    script.on("HEAD", "/v2/team/app", PRESENT)
    assert await client.mount_blob(TEAM, BLOB, BASE) is None
    assert await client.mount_blob(TEAM, BLOB, BASE) is None
    assert script.seen[0].target == f"{UPLOADS}?mount=sha256%3A{BLOB.digest.encoded}&from=base%2Fimage"
    assert len(script.asked("HEAD")) == 1, "the second mount of a registry that is proven is believed"


async def test_u1_a_mount_answered_202_is_a_session_without_a_second_post(
    script: Script, client: RegistryClient
) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(201))
    session = await client.mount_blob(TEAM, BLOB, BASE)
    assert session is not None
    await client.send_blob(TEAM, BLOB, whole_body, session)
    assert len(script.asked("POST")) == 1


async def test_s20_a_mount_that_only_claims_to_be_done_is_found_out(script: Script, client: RegistryClient) -> None:
    script.on("POST", rf"{UPLOADS}\?mount", Say(201))
    script.on("POST", f"{UPLOADS}$", OPENED)
    script.on("HEAD", "/v2/team/app", Say(404))
    assert await client.mount_blob(TEAM, BLOB, BASE) is not None


async def test_a_mount_that_meets_trouble_is_an_error(script: Script, client: RegistryClient) -> None:
    script.on("POST", UPLOADS, error(429, "TOOMANYREQUESTS", **{"Retry-After": "300"}))
    with pytest.raises(RegistryError) as caught:
        await client.mount_blob(TEAM, BLOB, BASE)
    assert caught.value.retry_after == 300


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_u4_s20_an_unusual_success_counts_when_the_blob_is_there(
    script: Script, client: RegistryClient, status: int
) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(status))
    script.on("DELETE", "/up", Say(204))
    script.on("HEAD", "/v2/", PRESENT)
    await client.send_blob(TEAM, BLOB, whole_body)
    script.on("HEAD", "/v2/", Say(404))
    with pytest.raises(RegistryError, match="does not hold") as caught:
        await client.send_blob(TEAM, BLOB, whole_body)
    assert caught.value.temporary


async def test_s8_a_registry_that_stored_another_digest_is_found_out(script: Script, client: RegistryClient) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(201, {"Docker-Content-Digest": str(Digest.of(b"else"))}))
    with pytest.raises(ContentError, match="stored"):
        await client.send_blob(TEAM, BLOB, whole_body)


@pytest.mark.parametrize("status", [405, 413, 416])
async def test_u5_a_refused_put_becomes_a_streamed_patch_and_that_is_remembered(script: Script, status: int) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(status))
    script.on("DELETE", "/up", Say(204))
    script.on("PATCH", "/up", Say(202, {"Location": "/up2?_state=2"}))
    script.on("PUT", "/up2", Say(201))
    clock = FakeClock()
    async with client_for(script.url, clock=clock) as client:
        await client.send_blob(TEAM, BLOB, whole_body)
        (patch,) = script.asked("PATCH")
        assert (patch.body, patch.headers["Content-Length"]) == (DATA, str(BLOB.size))
        assert "Content-Range" not in patch.headers
        finish = script.asked("PUT")[-1]
        assert finish.target == f"/up2?_state=2&digest=sha256%3A{BLOB.digest.encoded}"
        assert (finish.body, finish.headers["Content-Length"]) == (b"", "0")
        assert script.asked("DELETE")[0].target == OPENED.headers["Location"]
        script.seen.clear()
        await client.send_blob(TEAM, BLOB, whole_body)
        assert [seen.method for seen in script.seen] == ["POST", "PATCH", "PUT"]
        clock.advance(3601)
        script.seen.clear()
        await client.send_blob(TEAM, BLOB, whole_body)
        assert [seen.method for seen in script.seen][:2] == ["POST", "PUT"]


async def test_u5_a_size_that_was_refused_says_nothing_of_smaller_blobs(
    script: Script, client: RegistryClient
) -> None:
    async def at_most_100_kb(request: web.Request) -> web.StreamResponse:
        data = await request.read()
        return web.Response(status=413 if len(data) > 100_000 else 201)

    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", at_most_100_kb)
    script.on("DELETE", "/up", Say(204))
    script.on("PATCH", "/up", Say(202, {"Location": "/up"}))
    await client.send_blob(TEAM, BLOB, whole_body)
    small = DATA[:90_000]
    script.seen.clear()
    await client.send_blob(TEAM, Descriptor("a/b", Digest.of(small), len(small)), lambda: whole_body(small))
    assert [seen.method for seen in script.seen] == ["POST", "PUT"]


async def test_u5_what_both_rungs_refuse_is_an_error_of_the_last(script: Script, client: RegistryClient) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(413))
    script.on("PATCH", "/up", Say(413))
    script.on("DELETE", "/up", Say(204))
    with pytest.raises(RegistryError) as caught:
        await client.send_blob(TEAM, BLOB, whole_body)
    assert (caught.value.status, caught.value.temporary) == (413, False)
    assert len(script.asked("DELETE")) == 2


def resets(after: int) -> Handler:
    """Read so many bytes of the request, then reset the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if after:
            await request.content.readexactly(after)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return answer


async def test_u5_the_second_reset_in_a_row_proves_that_a_put_is_not_taken(
    script: Script, client: RegistryClient
) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", resets(1_000_000))
    script.on("HEAD", "/v2/", Say(404))
    script.on("DELETE", "/up", Say(204))
    script.on("PATCH", "/up", Say(202, {"Location": "/done"}))
    script.on("PUT", "/done", Say(201))
    with pytest.raises(RegistryError) as caught:
        await client.send_blob(TEAM, BIG_BLOB, big_body)
    assert (caught.value.reason, caught.value.temporary) == (Reason.NETWORK, True)
    assert not script.asked("PATCH")
    await client.send_blob(TEAM, BIG_BLOB, big_body)
    assert len(script.asked("PATCH")) == 1


OTHER = bytes(3 * 1024 * 1024)


@pytest.mark.parametrize(
    ("repository", "data"), [(TEAM, OTHER), (BASE, BIG)], ids=["another blob", "the blob in another repository"]
)
async def test_u9_one_mishap_that_breaks_two_uploads_proves_nothing(
    script: Script, client: RegistryClient, repository: Repository, data: bytes
) -> None:
    under_way, broken = 0, anyio.Event()

    async def breaks_both(request: web.Request) -> web.StreamResponse:
        nonlocal under_way
        await request.content.readexactly(1_000_000)
        under_way += 1
        if under_way == 2:
            broken.set()
        await broken.wait()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    script.on("POST", "/v2/[a-z/]+/blobs/uploads/", OPENED)
    script.on("PUT", "/up", breaks_both)
    script.on("HEAD", "/v2/", Say(404))
    script.on("DELETE", "/up", Say(204))
    script.on("PATCH", "/up", Say(202, {"Location": "/done"}))
    script.on("PUT", "/done", Say(201))
    blob = Descriptor("a/b", Digest.of(data), len(data))

    async def send_both() -> list[BaseException | None]:
        one = client.send_blob(TEAM, BIG_BLOB, big_body)
        other = client.send_blob(repository, blob, lambda: whole_body(data, 512 * 1024))
        return list(await asyncio.gather(one, other, return_exceptions=True))

    reasons = [error.reason for error in await send_both() if isinstance(error, RegistryError)]
    assert reasons == [Reason.NETWORK, Reason.NETWORK]
    script.on("PUT", "/up", Say(201))
    assert await send_both() == [None, None]
    assert not script.asked("PATCH")


async def test_u9_smaller_blobs_that_go_through_do_not_hide_that_a_long_put_is_always_reset(
    script: Script, client: RegistryClient
) -> None:
    long_ones_reset = resets(1_000_000)

    async def put(request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > 1_000_000:
            return await long_ones_reset(request)
        return await _read_all(request)

    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", put)
    script.on("HEAD", "/v2/", Say(404))
    script.on("DELETE", "/up", Say(204))
    script.on("PATCH", "/up", Say(202, {"Location": "/done"}))
    script.on("PUT", "/done", Say(201))
    with pytest.raises(RegistryError):
        await client.send_blob(TEAM, BIG_BLOB, big_body)
    await client.send_blob(TEAM, BLOB, whole_body)
    await client.send_blob(TEAM, BIG_BLOB, big_body)
    assert len(script.asked("PATCH")) == 1


async def test_u8_a_lost_answer_is_looked_up_before_anything_is_sent_again(
    script: Script, client: RegistryClient
) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", resets(BLOB.size))
    script.on("DELETE", "/up", Say(404))
    script.on("HEAD", "/v2/", PRESENT)
    await client.send_blob(TEAM, BLOB, whole_body)
    assert [seen.method for seen in script.seen] == ["POST", "PUT", "HEAD"]
    script.on("HEAD", "/v2/", Say(404))
    with pytest.raises(RegistryError) as caught:
        await client.send_blob(TEAM, BLOB, whole_body)
    assert caught.value.temporary


async def test_e5_a_proxy_that_gave_up_on_an_upload_that_arrived_is_no_failure(
    script: Script, client: RegistryClient
) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(502))
    script.on("DELETE", "/up", Say(404))
    script.on("HEAD", "/v2/", PRESENT)
    await client.send_blob(TEAM, BLOB, whole_body)
    script.on("HEAD", "/v2/", Say(404))
    with pytest.raises(RegistryError) as caught:
        await client.send_blob(TEAM, BLOB, whole_body)
    assert (caught.value.status, caught.value.temporary) == (502, True)


async def test_u8_a_session_that_is_gone_is_worth_another_try(script: Script, client: RegistryClient) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", error(404, "BLOB_UPLOAD_UNKNOWN"))
    script.on("DELETE", "/up", Say(404))
    with pytest.raises(NotFound) as caught:
        await client.send_blob(TEAM, BLOB, whole_body)
    assert caught.value.temporary


@pytest.mark.parametrize(("status", "kind"), [(413, RegistryError), (401, AccessDenied), (500, RegistryError)])
async def test_h5_an_answer_before_the_body_is_out_ends_the_upload(
    script: Script, client: RegistryClient, status: int, kind: type[RegistryError]
) -> None:
    """The body would never end: only who listens while sending gets out."""
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield bytes(1024 * 1024)

    async def early(request: web.Request) -> web.StreamResponse:
        await request.content.readexactly(10)
        return web.Response(status=status)

    huge = Descriptor("a/b", Digest.of(b""), 10 * 2**40)
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", early)
    script.on("PATCH", "/up", early)
    script.on("DELETE", "/up", Say(204))
    script.on("HEAD", "/v2/", Say(404))
    with pytest.raises(kind) as caught:
        await client.send_blob(TEAM, huge, endless)
    assert caught.value.status == status
    assert given < 100


async def test_h5_success_before_the_body_is_out_is_no_success(script: Script, client: RegistryClient) -> None:
    async def early(request: web.Request) -> web.StreamResponse:
        await request.content.readexactly(10)
        return web.Response(status=201)

    async def slow() -> AsyncIterator[bytes]:
        yield BIG[:1_000_000]
        await anyio.sleep_forever()

    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", early)
    script.on("DELETE", "/up", Say(204))
    with pytest.raises(RegistryError, match="before it had the whole body"):
        await client.send_blob(TEAM, BIG_BLOB, slow)


class SourceBroke(Exception):
    """Raised by a body."""


@pytest.mark.parametrize("size", [1_000, len(BIG)])
async def test_h2_an_error_of_the_body_beats_the_registrys_success(
    script: Script, client: RegistryClient, size: int
) -> None:
    """The body raises after its last byte: so the registry must not have had that byte."""
    data = BIG[:size]
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(201))
    script.on("DELETE", "/up", Say(204))

    async def late() -> AsyncIterator[bytes]:
        yield data
        with anyio.move_on_after(0.1):
            await anyio.sleep_forever()
        raise SourceBroke

    with pytest.raises(SourceBroke) as caught:
        await client.send_blob(TEAM, Descriptor("a/b", Digest.of(data), size), late)
    assert not script.asked("PUT"), "a PUT is noted when its body was whole"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("size", [2_000, len(BIG)], ids=["small", "big"])
async def test_h2_an_error_of_the_source_is_not_taken_for_one_of_the_replica(
    script: Script, client: RegistryClient, size: int
) -> None:
    """Not looked up, not tried on another rung: it is the source that failed."""
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(201))
    script.on("DELETE", "/up", Say(204))
    broken = RegistryError("reset", registry="primary", reason=Reason.NETWORK, temporary=True)
    calls = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal calls
        calls += 1
        yield BIG[:1000]
        raise broken

    for _ in range(3):
        with pytest.raises(RegistryError) as caught:
            await client.send_blob(TEAM, Descriptor("a/b", Digest.of(BIG[:size]), size), body)
        assert caught.value is broken
    assert calls == 3
    assert not script.asked("HEAD")
    assert not script.asked("PATCH")


async def test_a_cancelled_upload_is_given_up_at_the_registry(script: Script, client: RegistryClient) -> None:
    started = anyio.Event()
    closed = anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield BIG[:1_000_000]
            started.set()
            await anyio.sleep_forever()
        finally:
            closed.set()

    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", _read_all)
    script.on("DELETE", "/up", Say(204))
    async with anyio.create_task_group() as group:
        group.start_soon(client.send_blob, TEAM, BIG_BLOB, body)
        await started.wait()
        group.cancel_scope.cancel()
    assert closed.is_set()
    assert [seen.target for seen in script.asked("DELETE")] == [OPENED.headers["Location"]]


async def test_a_session_that_has_gone_on_is_given_up_where_it_stands(script: Script, client: RegistryClient) -> None:
    """Distribution 3 takes no cancel at a place from before the bytes that it has."""
    script.on("DELETE", "/up", Say(416))
    script.on("GET", "/up", Say(204, {"Location": "/now?_state=5", "Range": "0-4"}))
    script.on("DELETE", "/now", Say(204))
    script.on("POST", UPLOADS, OPENED)
    await client.cancel_upload(await client.start_upload(TEAM))
    assert [seen.target for seen in script.asked("DELETE")] == [OPENED.headers["Location"], "/now?_state=5"]


async def _read_all(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.Response(status=201)


async def test_s21_a_peer_that_takes_no_bytes_is_a_timeout(script: Script) -> None:
    async def deaf(request: web.Request) -> web.StreamResponse:
        await request.content.readany()
        await script.stopped.wait()
        return web.Response(status=201)

    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", deaf)
    script.on("DELETE", "/up", Say(204))
    script.on("HEAD", "/v2/", Say(404))
    huge = Descriptor("a/b", Digest.of(b""), 2**30)

    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(1024):
            yield bytes(1024 * 1024)

    async with client_for(script.url, timeouts=Timeouts(connect=1, read=1, write=0.3, commit=1)) as client:
        with pytest.raises(RegistryError, match="takes hardly any bytes") as caught:
            await client.send_blob(TEAM, huge, zeros)
    assert (caught.value.reason, caught.value.temporary) == (Reason.TIMEOUT, True)


async def test_s21_a_peer_that_has_everything_and_says_nothing_is_a_timeout(script: Script) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        await request.read()
        await script.stopped.wait()
        return web.Response(status=201)

    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", silent)
    script.on("DELETE", "/up", Say(204))
    script.on("HEAD", "/v2/", Say(404))
    async with client_for(script.url, timeouts=Timeouts(connect=1, read=1, write=1, commit=0.3)) as client:
        with pytest.raises(RegistryError) as caught:
            await client.send_blob(TEAM, BIG_BLOB, big_body)
    assert (caught.value.reason, caught.value.temporary, caught.value.status) == (Reason.TIMEOUT, True, 0)


async def test_waiting_for_the_source_is_no_stall(script: Script) -> None:
    async def patient() -> AsyncIterator[bytes]:
        yield DATA[:100_000]
        with anyio.move_on_after(0.4):
            await anyio.sleep_forever()
        yield DATA[100_000:]

    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", _read_all)
    async with client_for(script.url, timeouts=Timeouts(connect=1, read=0.2, write=0.2, commit=0.2)) as client:
        await client.send_blob(TEAM, BLOB, patient)


async def test_waiting_for_a_free_connection_is_no_stall_and_reads_nothing(script: Script) -> None:
    """With one connection, the second upload begins to read its source when the first is done."""
    release = anyio.Event()
    begun = {"first": anyio.Event(), "second": anyio.Event()}

    def body(name: str, gate: anyio.Event | None) -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            begun[name].set()
            yield DATA[:100_000]
            if gate is not None:
                await gate.wait()
            yield DATA[100_000:]

        return pieces()

    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", _read_all)
    limits = Timeouts(connect=1, read=1, write=0.2, commit=1)
    async with client_for(script.url, max_connections=1, timeouts=limits) as client:
        first_session = await client.start_upload(TEAM)
        second_session = await client.start_upload(TEAM)
        async with anyio.create_task_group() as group:
            group.start_soon(client.send_blob, TEAM, BLOB, lambda: body("first", release), first_session)
            await begun["first"].wait()
            group.start_soon(client.send_blob, TEAM, BLOB, lambda: body("second", None), second_session)
            with anyio.move_on_after(2 * limits.write):
                await begun["second"].wait()
            assert not begun["second"].is_set()
            release.set()
    assert begun["second"].is_set()


async def test_a_kept_connection_that_has_just_ended_does_not_fail_an_upload(
    script: Script, client: RegistryClient
) -> None:
    script.on("POST", UPLOADS, resets(0), OPENED)
    await client.start_upload(TEAM)
    assert len(script.asked("POST")) == 2


async def test_h3_u8_a_lost_answer_to_the_last_request_of_a_stream_is_looked_up(
    script: Script, client: RegistryClient
) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", Say(413))
    script.on("PATCH", "/up", Say(202, {"Location": "/done"}))
    script.on("PUT", "/done", resets(0))
    script.on("DELETE", "/", Say(404))
    script.on("HEAD", "/v2/", PRESENT)
    await client.send_blob(TEAM, BLOB, whole_body)
    assert len(script.asked("PUT", "/done")) == 1


@pytest.mark.parametrize("size", [1_000, len(BIG)])
@pytest.mark.parametrize("difference", [-1, 1])
async def test_h2_a_body_of_another_length_is_a_content_error_before_its_last_byte_is_out(
    script: Script, client: RegistryClient, size: int, difference: int
) -> None:
    received = 0

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal received
        async for chunk in request.content.iter_any():
            received += len(chunk)
        return web.Response(status=201)

    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", count)
    script.on("DELETE", "/up", Say(204))
    data = bytes(size + difference)
    with pytest.raises(ContentError):
        await client.send_blob(TEAM, Descriptor("a/b", Digest.of(data), size), lambda: whole_body(data))
    assert received < size


@pytest.mark.parametrize("size", [1_000, len(BIG)])
async def test_h2_a_body_without_end_is_not_gathered(script: Script, client: RegistryClient, size: int) -> None:
    script.on("POST", UPLOADS, OPENED)
    script.on("PUT", "/up", _read_all)
    script.on("DELETE", "/up", Say(204))
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while given < 2 * size + 1_000_000:
            given += 1_000
            yield bytes(1_000)
            await anyio.lowlevel.checkpoint()

    with pytest.raises(ContentError):
        await client.send_blob(TEAM, Descriptor("a/b", Digest.of(b""), size), endless)
    assert given <= size + 2_000
