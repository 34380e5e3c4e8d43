"""Uploads in chunks: where PUT and one PATCH are refused, or where the configuration says so (U6, U9)."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from replicator.errors import RegistryError
from replicator.model import Descriptor, Digest
from replicator.registry.client import RegistryClient
from replicator.settings.registries import CapabilitiesSettings
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

MIB = 1024 * 1024
BIG = bytes(range(256)) * (9 * MIB // 256) + b"tail"
BIG_BLOB = Descriptor("a/b", Digest.of(BIG), len(BIG))
KIB_64 = 64 * 1024


def big_body() -> AsyncIterator[bytes]:
    return whole_body(BIG, 300_000)


class Session:
    """Takes chunks in order and finishes; refuses longer bodies than `most` with `status`."""

    def __init__(self, script: Script, most: int | None = None, status: int = 413, least: str = "") -> None:
        self.got = bytearray()
        self.chunks: list[tuple[str | None, int]] = []
        self.status, self.most = status, most
        opened = {"Location": "/up?_state=0"} | ({"OCI-Chunk-Min-Length": least} if least else {})
        script.on("POST", UPLOADS, self._start(opened))
        script.on("PATCH", "/up", self._append)
        script.on("PUT", "/up", self._finish)
        script.on("DELETE", "/up", Say(204))

    def _start(self, headers: dict[str, str]) -> Handler:
        async def start(_request: web.Request) -> web.StreamResponse:
            self.got.clear()
            return web.Response(status=202, headers=headers)

        return start

    async def _append(self, request: web.Request) -> web.StreamResponse:
        if request.query["_state"] != str(len(self.got)):
            return web.Response(status=416)
        data = await request.read()
        if self.most is not None and len(data) > self.most:
            return web.Response(status=self.status)
        self.chunks.append((request.headers.get("Content-Range"), len(data)))
        self.got += data
        location = f"/up?_state={len(self.got)}"
        return web.Response(status=202, headers={"Location": location, "Range": f"0-{len(self.got) - 1}"})

    async def _finish(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        if self.most is not None and len(data) > self.most:
            return web.Response(status=self.status)
        self.got += data
        return web.Response(status=201 if str(Digest.of(bytes(self.got))) == request.query["digest"] else 400)


@pytest.mark.parametrize("status", [413, 416])
async def test_u9_the_way_down_ends_at_chunks_of_4_mib_and_is_remembered(
    script: Script, client: RegistryClient, status: int
) -> None:
    session = Session(script, most=4 * MIB, status=status)
    await client.send_blob(TEAM, BIG_BLOB, big_body)
    assert session.got == BIG
    assert session.chunks == [
        ("0-4194303", 4 * MIB),
        ("4194304-8388607", 4 * MIB),
        (f"8388608-{len(BIG) - 1}", len(BIG) - 8 * MIB),
    ]
    script.seen.clear()
    await client.send_blob(TEAM, BIG_BLOB, big_body)
    assert [seen.method for seen in script.seen] == ["POST", "PATCH", "PATCH", "PATCH", "PUT"]
    script.seen.clear()
    await client.send_blob(TEAM, BLOB, whole_body)
    sizes_matter = status == 413
    assert [seen.method for seen in script.seen] == (["POST", "PUT"] if sizes_matter else ["POST", "PATCH", "PUT"])


async def test_u9_a_registry_without_patch_is_not_asked_for_chunks(script: Script, client: RegistryClient) -> None:
    script.on("POST", UPLOADS, Say(202, {"Location": "/up"}))
    script.on("PUT", "/up", Say(413))
    script.on("PATCH", "/up", Say(405))
    with pytest.raises(RegistryError) as caught:
        await client.send_blob(TEAM, BIG_BLOB, big_body)
    assert caught.value.status == 405
    assert len(script.asked("PATCH")) == 1


@pytest.mark.parametrize("size", [0, 1, KIB_64, KIB_64 + 1, len(DATA)])
async def test_u6_the_configuration_may_ask_for_chunks_of_its_length(script: Script, size: int) -> None:
    session, data = Session(script), DATA[:size]
    said = CapabilitiesSettings(upload="chunks", chunk_max=KIB_64)
    async with client_for(script.url, capabilities=said) as client:
        await client.send_blob(TEAM, Descriptor("a/b", Digest.of(data), size), lambda: whole_body(data))
    assert session.got == data
    assert [length for _, length in session.chunks] == [min(KIB_64, size - first) for first in range(0, size, KIB_64)]


@pytest.mark.parametrize(("least", "expected"), [("6291456", 6 * MIB), ("nonsense", 4 * MIB), ("-1", 4 * MIB)])
async def test_u6_a_chunk_is_never_shorter_than_the_registry_wants(script: Script, least: str, expected: int) -> None:
    session = Session(script, least=least)
    async with client_for(script.url, capabilities=CapabilitiesSettings(upload="chunks")) as client:
        session.most = 8 * MIB
        await client.send_blob(TEAM, BIG_BLOB, big_body)
    assert session.got == BIG
    assert session.chunks[0][1] == expected


async def test_a_mode_that_is_laid_down_is_not_left(script: Script) -> None:
    script.on("POST", UPLOADS, Say(202, {"Location": "/up"}))
    script.on("PUT", "/up", Say(413))
    async with client_for(script.url, capabilities=CapabilitiesSettings(upload="put")) as client:
        with pytest.raises(RegistryError):
            await client.send_blob(TEAM, BLOB, whole_body)
    assert not script.asked("PATCH")


@pytest.mark.parametrize("difference", [-1, 1])
async def test_h2_chunks_of_a_body_of_another_length_never_finish(script: Script, difference: int) -> None:
    Session(script)
    data = DATA + DATA[:difference] if difference > 0 else DATA[:difference]
    said = CapabilitiesSettings(upload="chunks", chunk_max=KIB_64)
    async with client_for(script.url, capabilities=said) as client:
        with pytest.raises(Exception, match="bytes"):
            await client.send_blob(TEAM, BLOB, lambda: whole_body(data))
    assert not script.asked("PUT")


async def test_a_broken_source_is_no_refusal_of_chunks(script: Script) -> None:
    class SourceBroke(Exception):
        pass

    async def body() -> AsyncIterator[bytes]:
        yield BIG[: 5 * MIB]
        raise SourceBroke

    session = Session(script)
    async with client_for(
        script.url, capabilities=CapabilitiesSettings(upload="chunks", chunk_max=4 * MIB)
    ) as client:
        with pytest.raises(SourceBroke):
            await client.send_blob(TEAM, BIG_BLOB, body)
    assert len(session.chunks) == 1


async def test_mounts_are_not_tried_where_the_configuration_says_no(script: Script) -> None:
    script.on("POST", UPLOADS, Say(202, {"Location": "/up"}))
    async with client_for(script.url, capabilities=CapabilitiesSettings(mount=False)) as client:
        assert await client.mount_blob(TEAM, BLOB, TEAM) is not None
    assert script.seen[0].target == UPLOADS


async def test_a_page_size_is_laid_down_or_given_up(script: Script) -> None:
    script.on("GET", "/v2/team/app/tags/list", Say(200, {}, b'{"tags": ["a"]}'))
    async with client_for(script.url, capabilities=CapabilitiesSettings(page_size=7)) as client:
        assert [tag async for tag in client.tags(TEAM)] == ["a"]
    assert script.seen[-1].target.endswith("?n=7")
    script.on("GET", r"/v2/team/app/tags/list\?n=", error(400, "PAGINATION_NUMBER_INVALID"))
    async with client_for(script.url) as client:
        script.seen.clear()
        for _ in range(2):
            assert [tag async for tag in client.tags(TEAM)] == ["a"]
    assert ["n=" in seen.target for seen in script.seen] == [True, False, False]
