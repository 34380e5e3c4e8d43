"""The parts work with the real world: skopeo reads what we push, we read what it pushes, Distribution tells of both.

The notification tests also keep what Distribution 2.8 really sends: the receiver's decoder is built on it.
"""

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from replicator.model import Digest
from tests.support.eventually import eventually
from tests.support.images import (
    Content,
    closure_of,
    fetch_closure,
    make_image,
    make_index,
    push,
    tag_digest,
    write_layout,
)
from tests.support.permissive import PermissiveRegistry
from tests.support.registries import DockerRegistry, Notification, run_registry
from tests.support.sink import Sink, run_sink
from tests.support.skopeo import docker_name, skopeo_copy, skopeo_inspect_digest, skopeo_tags

ARM = make_image("arm", [1_000, 0], platform="linux/arm64/v8")
SHAPES: dict[str, Content] = {
    "image": make_image("oci"),
    "docker image": make_image("docker", docker=True),
    "index": make_index([make_image("amd"), ARM]),
    "docker list": make_index([make_image("amd", docker=True)], docker=True),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_skopeo_copies_what_we_pushed_byte_for_byte(
    shape: str, shared_primary: DockerRegistry, permissive: PermissiveRegistry, repository: str
) -> None:
    content = SHAPES[shape]
    await push(shared_primary.url, repository, "v1", content)
    source = docker_name(shared_primary.url, repository, "v1")
    assert await skopeo_inspect_digest(source) == str(content.digest)
    await skopeo_copy(source, docker_name(permissive.url, repository, "v2"))
    assert (await fetch_closure(permissive.url, repository, "v2", deep=True)).digests == closure_of(content)
    assert await skopeo_tags(permissive.url, repository) == ["v2"]


async def test_we_read_what_skopeo_pushed_from_a_layout(
    shared_primary: DockerRegistry, repository: str, tmp_path: Path
) -> None:
    index = SHAPES["index"]
    layout = write_layout(index, tmp_path / "layout")
    await skopeo_copy(layout, docker_name(shared_primary.url, repository, "v1"))
    found = await fetch_closure(shared_primary.url, repository, "v1", deep=True)
    assert found.digests == closure_of(index)


async def test_distribution_tells_children_by_digest_then_the_index_with_its_tag(tmp_path: Path) -> None:
    index = make_index([make_image("amd"), ARM])
    async with run_sink() as sink:
        hook = Notification(url=f"{sink.url}/hook", headers={"Authorization": ["Bearer secret"]})
        async with run_registry(tmp_path, notifications=[hook]) as registry:
            await push(registry.url, "team/app", "v1", index)
            events = await _events(sink, 3)
            host, port = registry.host, registry.host.partition(":")[2]
    assert {one.headers["Authorization"] for one in sink.deliveries} == {"Bearer secret"}
    assert {one.headers["Content-Type"] for one in sink.deliveries} == {
        "application/vnd.docker.distribution.events.v1+json"
    }
    assert [event["action"] for event in events] == ["push"] * 3
    targets = [event["target"] for event in events]
    assert [one["digest"] for one in targets] == [str(one.digest) for one in index.manifests()]
    assert [one.get("tag") for one in targets] == [None, None, "v1"]
    top = targets[-1]
    assert top == {
        "mediaType": index.media_type,
        "size": len(index.body),
        "length": len(index.body),
        "digest": str(index.digest),
        "repository": "team/app",
        "url": f"http://{host}/v2/team/app/manifests/{index.digest}",
        "tag": "v1",
    }
    last = events[-1]
    assert set(last) == {"id", "timestamp", "action", "target", "request", "actor", "source"}
    assert set(last["request"]) == {"id", "addr", "host", "method", "useragent"}
    assert last["request"]["host"] == host
    assert last["request"]["method"] == "PUT"
    assert last["actor"] == {}
    assert last["source"]["addr"].endswith(f":{port}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", last["timestamp"])


async def test_distribution_repeats_an_event_until_it_is_taken_and_keeps_the_order(tmp_path: Path) -> None:
    first, second = make_image(1), make_image(2)
    async with run_sink() as sink:
        sink.status = 503
        async with run_registry(tmp_path, notifications=[Notification(url=sink.url)]) as registry:
            await push(registry.url, "team/app", "v1", first)
            await push(registry.url, "team/app", "v2", second)
            await eventually(lambda: len(sink.deliveries) >= 5, what="refused deliveries are repeated")
            assert {_digest(one.body) for one in sink.deliveries} == {first.digest}
            sink.status = 202
            await eventually(
                lambda: any(_digest(one.body) == second.digest for one in sink.deliveries),
                what="the second event follows when the first is taken",
            )


async def test_distribution_tells_blobs_and_pulls_too_when_they_are_not_ignored(tmp_path: Path) -> None:
    image = make_image(1)
    async with run_sink() as sink:
        hook = Notification(url=sink.url, ignore_actions=(), ignore_media_types=())
        async with run_registry(tmp_path, notifications=[hook]) as registry:
            await push(registry.url, "team/app", "v1", image)
            await tag_digest(registry.url, "team/app", "v1")
            events = await _events(sink, len(image.blobs()) + 2)
    told = [(event["action"], event["target"]["mediaType"], event["target"].get("tag")) for event in events]
    blob = ("push", "application/octet-stream", None)
    assert sorted(told, key=str) == sorted(
        [blob] * len(image.blobs()) + [("push", image.media_type, "v1"), ("pull", image.media_type, "v1")], key=str
    )


async def test_distribution_tells_a_delete_by_digest_alone(tmp_path: Path) -> None:
    image = make_image(1)
    async with run_sink() as sink, run_registry(tmp_path, notifications=[Notification(url=sink.url)]) as registry:
        await push(registry.url, "team/app", "v1", image)
        manifest = f"{registry.url}/v2/team/app/manifests/{image.digest}"
        async with aiohttp.ClientSession() as session, session.delete(manifest) as answer:
            assert answer.status == 202
        events = await _events(sink, 2)
    assert events[1]["action"] == "delete"
    assert events[1]["target"] == {"digest": str(image.digest), "repository": "team/app"}


def _digest(body: bytes) -> Digest:
    return Digest.parse(json.loads(body)["events"][0]["target"]["digest"])


async def _events(sink: Sink, count: int) -> list[dict[str, Any]]:
    await eventually(lambda: len(sink.deliveries) >= count, what=f"{count} events arrive")
    return [event for one in sink.deliveries for event in json.loads(one.body)["events"]]
