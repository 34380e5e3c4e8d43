"""The permissive registry answers as Distribution does, except that it takes incomplete manifests."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yarl

from replicator.model import Digest
from tests.support.content import make_blob
from tests.support.eventually import eventually
from tests.support.faults import CutRequest
from tests.support.images import closure_of, fetch_closure, make_image, make_index, push, push_blob, tag_digest
from tests.support.permissive import PermissiveRegistry, run_permissive
from tests.support.ports import Port
from tests.support.processes import Process
from tests.support.proxy import run_proxy
from tests.support.registries import DockerRegistry

BLOB = make_blob("permissive", 5_000)
WHOLE = BLOB.read()


@pytest.fixture(params=["distribution", "permissive"])
def either(request: pytest.FixtureRequest, shared_primary: DockerRegistry, permissive: PermissiveRegistry) -> str:
    return shared_primary.url if request.param == "distribution" else permissive.url


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def test_both_start_append_tell_and_finish_an_upload(
    either: str, repository: str, session: aiohttp.ClientSession
) -> None:
    place = await _open(session, either, repository)
    async with session.patch(place, data=WHOLE[:2_000], headers={"Content-Range": "0-1999"}) as answer:
        assert (answer.status, answer.headers["Range"]) == (202, "0-1999")
        place = _place(answer)
    async with session.get(place) as answer:
        assert (answer.status, answer.headers["Range"]) == (204, "0-1999")
        place = _place(answer)
    async with session.put(_with_digest(place, BLOB.digest), data=WHOLE[2_000:]) as answer:
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, str(BLOB.digest))
    blob = f"{either}/v2/{repository}/blobs/{BLOB.digest}"
    async with session.head(blob) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, "5000")
    async with session.get(blob) as answer:
        assert await answer.read() == WHOLE
        assert answer.headers["Docker-Content-Digest"] == str(BLOB.digest)
    async with session.get(place) as answer:
        assert answer.status == 404


async def test_both_serve_ranges(either: str, repository: str, session: aiohttp.ClientSession) -> None:
    await push_blob(either, repository, BLOB)
    blob = f"{either}/v2/{repository}/blobs/{BLOB.digest}"
    for asked, told, part in (
        ("bytes=4000-", "bytes 4000-4999/5000", WHOLE[4_000:]),
        ("bytes=10-19", "bytes 10-19/5000", WHOLE[10:20]),
    ):
        async with session.get(blob, headers={"Range": asked}) as answer:
            assert (answer.status, answer.headers["Content-Range"]) == (206, told)
            assert await answer.read() == part
    async with session.get(blob, headers={"Range": "bytes=5000-"}) as answer:
        assert answer.status == 416


async def test_both_refuse_bytes_that_are_not_the_digest(
    either: str, repository: str, session: aiohttp.ClientSession
) -> None:
    place = _with_digest(await _open(session, either, repository), BLOB.digest)
    async with session.put(place, data=WHOLE[:-1] + b"?") as answer:
        assert answer.status == 400
        assert (await answer.json())["errors"][0]["code"] == "DIGEST_INVALID"
    async with session.head(f"{either}/v2/{repository}/blobs/{BLOB.digest}") as answer:
        assert answer.status == 404


async def test_both_mount_from_a_repository_that_has_the_blob(
    either: str, repository: str, session: aiohttp.ClientSession
) -> None:
    await push_blob(either, f"{repository}/source", BLOB)
    url = f"{either}/v2/{repository}/blobs/uploads/"
    async with session.post(url, params={"mount": str(BLOB.digest), "from": f"{repository}/source"}) as answer:
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, str(BLOB.digest))
    absent = make_blob("absent", 10)
    async with session.post(url, params={"mount": str(absent.digest), "from": f"{repository}/source"}) as answer:
        assert answer.status == 202
        place = _with_digest(_place(answer), absent.digest)
    async with session.put(place, data=absent.read()) as answer:
        assert answer.status == 201


async def test_both_cancel_an_upload(either: str, repository: str, session: aiohttp.ClientSession) -> None:
    place = await _open(session, either, repository)
    for status in (204, 404):
        async with session.delete(place) as answer:
            assert answer.status == status


async def test_both_keep_blobs_to_the_repository(
    either: str, repository: str, session: aiohttp.ClientSession
) -> None:
    await push_blob(either, repository, BLOB)
    async with session.get(f"{either}/v2/{repository}/other/blobs/{BLOB.digest}") as answer:
        assert answer.status == 404
        assert (await answer.json())["errors"][0]["code"] == "BLOB_UNKNOWN"


async def test_both_serve_and_delete_manifests(either: str, repository: str, session: aiohttp.ClientSession) -> None:
    index = make_index([make_image(1), make_image(2, docker=True)])
    await push(either, repository, "v1", index)
    assert (await fetch_closure(either, repository, "v1", deep=True)).digests == closure_of(index)
    manifest = f"{either}/v2/{repository}/manifests"
    async with session.head(f"{manifest}/v1", headers={"Accept": index.media_type}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == index.media_type
        assert answer.headers["Content-Length"] == str(len(index.body))
        assert answer.headers["Docker-Content-Digest"] == str(index.digest)
    async with session.put(f"{manifest}/{BLOB.digest}", data=index.body, headers=_type(index.media_type)) as answer:
        assert answer.status == 400
    async with session.delete(f"{manifest}/{index.digest}") as answer:
        assert answer.status == 202
    async with session.get(f"{manifest}/v1") as answer:
        assert answer.status == 404
        assert (await answer.json())["errors"][0]["code"] == "MANIFEST_UNKNOWN"


async def test_both_list_tags(either: str, repository: str, session: aiohttp.ClientSession) -> None:
    for number in range(5):
        await push(either, repository, f"v{number}", make_image(1))
    async with session.get(f"{either}/v2/{repository}/tags/list") as answer:
        listed = await answer.json()
    assert listed["name"] == repository
    # Distribution 2.8 keeps the order of its file system, and neither sorts nor pages tags.
    assert sorted(listed["tags"]) == [f"v{number}" for number in range(5)]
    async with session.get(f"{either}/v2/{repository}/absent/tags/list") as answer:
        assert answer.status == 404
        assert (await answer.json())["errors"][0]["code"] == "NAME_UNKNOWN"


async def test_the_permissive_one_pages_lists_by_links(
    permissive: PermissiveRegistry, session: aiohttp.ClientSession
) -> None:
    for name in ("a", "b/c", "d"):
        for tag in ("v1", "v2", "v3"):
            await push(permissive.url, name, tag, make_image(1))
    assert await _pages(session, f"{permissive.url}/v2/b/c/tags/list?n=2", "tags") == [["v1", "v2"], ["v3"]]
    permissive.switches.page = 1
    assert await _pages(session, f"{permissive.url}/v2/_catalog", "repositories") == [["a"], ["b/c"], ["d"]]


async def test_distribution_refuses_an_incomplete_manifest_and_the_permissive_one_takes_it(
    shared_primary: DockerRegistry, permissive: PermissiveRegistry, repository: str, session: aiohttp.ClientSession
) -> None:
    image = make_image("incomplete")
    for content in (image, make_index([image])):
        for url, status in ((shared_primary.url, 400), (permissive.url, 201)):
            target = f"{url}/v2/{repository}/manifests/v1"
            async with session.put(target, data=content.body, headers=_type(content.media_type)) as answer:
                assert answer.status == status
        assert await tag_digest(permissive.url, repository, "v1") == content.digest
        with pytest.raises(AssertionError, match="is not complete"):
            await fetch_closure(permissive.url, repository, "v1")


async def test_uploads_can_be_made_harder(permissive: PermissiveRegistry, session: aiohttp.ClientSession) -> None:
    await push_blob(permissive.url, "source", BLOB)
    permissive.switches.refuse_monolithic_put = 4_999
    permissive.switches.no_mount = True
    permissive.switches.absolute_locations = True
    url = f"{permissive.url}/v2/team/app/blobs/uploads/"
    async with session.post(url, params={"mount": str(BLOB.digest), "from": "source"}) as answer:
        assert answer.status == 202
        assert answer.headers["Location"].startswith(permissive.url)
        place = _place(answer)
    async with session.put(_with_digest(place, BLOB.digest), data=WHOLE) as answer:
        assert answer.status == 413
    permissive.switches.refuse_patch = True
    async with session.patch(place, data=WHOLE) as answer:
        assert answer.status == 405
    permissive.switches.refuse_patch = False
    async with session.patch(place, data=WHOLE) as answer:
        assert answer.status == 202
        place = _place(answer)
    async with session.put(_with_digest(place, BLOB.digest)) as answer:
        assert answer.status == 201


async def test_requests_are_written_down(permissive: PermissiveRegistry) -> None:
    await push(permissive.url, "team/app", "v1", make_image(1, [10]), headers={"User-Agent": "test"})
    told = [(one.method, one.endpoint.kind, one.status) for one in permissive.requests]
    assert sorted(told) == sorted(
        [("HEAD", "blob", 404), ("POST", "upload", 202), ("PUT", "upload", 201)] * 2 + [("PUT", "manifest", 201)]
    )
    assert permissive.count("PUT", "upload") == 2
    last = permissive.requests[-1]
    assert (last.endpoint.repository, last.endpoint.reference) == ("team/app", "v1")
    assert {one.headers["User-Agent"] for one in permissive.requests} == {"test"}


async def test_a_cut_upload_keeps_its_bytes_and_goes_on(
    permissive: PermissiveRegistry, session: aiohttp.ClientSession
) -> None:
    place = await _open(session, permissive.url, "team/app")
    async with run_proxy(permissive.url) as proxy:
        proxy.add(CutRequest(method="PATCH", after=3_000))
        with pytest.raises(aiohttp.ClientError):
            await session.patch(place.with_port(int(proxy.url.rpartition(":")[2])), data=WHOLE)

    async def arrived() -> bool:
        async with session.get(place) as answer:
            return answer.headers["Range"] == "0-2999"

    await eventually(arrived, what="the bytes before the cut are kept")
    async with session.patch(place, data=WHOLE[3_000:], headers={"Content-Range": "2999-4999"}) as answer:
        assert answer.status == 416
    async with session.patch(place, data=WHOLE[3_000:], headers={"Content-Range": "3000-4999"}) as answer:
        place = _with_digest(_place(answer), BLOB.digest)
    async with session.put(place) as answer:
        assert answer.status == 201


async def test_content_survives_a_restart_also_as_a_process_of_its_own(tmp_path: Path) -> None:
    image = make_image(1, [0, 300_000], algorithm="sha512")
    async with run_permissive(tmp_path / "data") as registry:
        await push(registry.url, "team/app", "v1", image)
        await registry.stop()
        await registry.start()
        assert (await fetch_closure(registry.url, "team/app", "v1")).digests == closure_of(image)
    port = Port()
    command = [sys.executable, "-m", "tests.support.permissive", "--port", str(port.number), "--root"]
    process = Process([*command, tmp_path / "data"], log=tmp_path / "log", environ=os.environ, cwd=Path.cwd())
    try:
        await eventually(lambda: "http://" in process.tail(), what="the process listens")
        found = await fetch_closure(f"http://127.0.0.1:{port.number}", "team/app", "v1", deep=True)
        assert found.digests == closure_of(image)
    finally:
        await asyncio.to_thread(process.kill)
        port.release()


def _type(media_type: str) -> dict[str, str]:
    return {"Content-Type": media_type}


def _place(answer: aiohttp.ClientResponse) -> yarl.URL:
    return answer.url.join(yarl.URL(answer.headers["Location"], encoded=True))


def _with_digest(place: yarl.URL, digest: Digest) -> yarl.URL:
    return yarl.URL(f"{place}&digest={digest}", encoded=True)


async def _open(session: aiohttp.ClientSession, url: str, repository: str) -> yarl.URL:
    async with session.post(f"{url}/v2/{repository}/blobs/uploads/") as answer:
        assert answer.status == 202
        return _place(answer)


async def _pages(session: aiohttp.ClientSession, url: str, key: str) -> list[list[str]]:
    pages = []
    following: str | yarl.URL | None = url
    while following is not None:
        async with session.get(following) as answer:
            pages.append((await answer.json())[key])
            following = answer.links["next"]["url"] if "next" in answer.links else None
    return pages
