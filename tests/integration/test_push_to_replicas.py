"""A push to a real primary appears on real replicas: the daemon's main job, from outside."""

import time
from pathlib import Path

import aiohttp
import pytest

from tests.integration.events import post_push
from tests.integration.site import Site, arrival, run_site
from tests.support.content import Content
from tests.support.eventually import eventually
from tests.support.images import closure_of, fetch_closure, make_image, make_index, push, read_manifest, write_layout
from tests.support.registries import run_registry
from tests.support.skopeo import docker_name, skopeo_copy, skopeo_inspect_digest

_LAYERS = (300_000, 200_000, 5_000)


async def _holds_exactly(site: Site, repository: str, tag: str, content: Content) -> None:
    at_primary = await read_manifest(site.primary.url, repository, tag)
    for replica in site.replicas.values():
        assert await read_manifest(replica.url, repository, tag) == at_primary
        closure = await fetch_closure(replica.url, repository, tag, deep=True)
        assert closure.digests == closure_of(content)


@pytest.mark.parametrize("kind", ["image", "docker", "index", "docker-list", "nested"])
async def test_what_is_pushed_is_on_every_replica_byte_for_byte(tmp_path: Path, kind: str) -> None:
    arm = make_image("arm", _LAYERS, platform="linux/arm64/v8", docker=kind.startswith("docker"))
    amd = make_image("amd", _LAYERS, docker=kind.startswith("docker"))
    content: Content = amd
    if kind in {"index", "docker-list"}:
        content = make_index([amd, arm], docker=kind == "docker-list")
    elif kind == "nested":
        content = make_index([make_index([amd, arm]), make_image("third")])
    async with run_site(tmp_path) as site:
        target = docker_name(site.primary.url, "team/app", "v1")
        if kind in {"image", "index"}:
            await skopeo_copy(write_layout(content, tmp_path / "layout"), target)
        else:  # skopeo copies no index inside an index, and reads no Docker types from a layout
            await push(site.primary.url, "team/app", "v1", content)
        await site.arrived("team/app", "v1", content.digest)
        await _holds_exactly(site, "team/app", "v1", content)
        for replica in site.replicas.values():
            assert await skopeo_inspect_digest(docker_name(replica.url, "team/app", "v1")) == str(content.digest)


async def test_unusual_layers_arrive(tmp_path: Path) -> None:
    """Zero-byte layers, duplicate descriptors, one layer in two images of an index."""
    twice = make_image("layer").layers[0]
    one = make_image("one", (0, twice, twice, 1))
    two = make_image("two", (twice, 0), platform="linux/arm64")
    content = make_index([one, two])
    async with run_site(tmp_path) as site:
        await push(site.primary.url, "odd/layers", "v1", content)
        await site.arrived("odd/layers", "v1", content.digest)
        await _holds_exactly(site, "odd/layers", "v1", content)


async def test_digests_of_sha512_are_copied_and_checked(tmp_path: Path) -> None:
    content = make_image("long digests", (70_000, 5_000), algorithm="sha512")
    async with run_site(tmp_path) as site:
        await push(site.primary.url, "team/app", "v1", content)
        await site.arrived("team/app", "v1", content.digest)
        await _holds_exactly(site, "team/app", "v1", content)


async def test_a_push_is_on_all_replicas_within_a_second(tmp_path: Path, memory_path: Path) -> None:
    """Of several pushes at least one, since the machine may be busy; a pause of ours would hit them all.

    The store lies in memory: each push takes several syncs of it in a row, and a slow disk would hit them all, too.
    """
    store = {"store": {"url": f"sqlite:///{memory_path / 'state' / 'replicator.db'}"}}
    async with run_site(tmp_path, sections=store) as site:
        seconds = []
        for number in range(5):
            content = make_index(
                [make_image(f"a{number}", _LAYERS), make_image(f"b{number}", platform="linux/arm64")]
            )
            await push(site.primary.url, "team/app", f"v{number}", content)
            pushed = time.monotonic()
            await site.arrived("team/app", f"v{number}", content.digest)
            seconds.append(time.monotonic() - pushed)
        print(f"on both replicas after {min(seconds):.2f} to {max(seconds):.2f} s")
        assert min(seconds) < 1


async def test_an_index_whose_children_came_first_untagged_leaves_nothing_owed(tmp_path: Path) -> None:
    content = make_index([make_image("a"), make_image("b", platform="linux/arm64")])
    async with run_site(tmp_path) as site:
        await push(site.primary.url, "team/app", "v1", content)
        await site.arrived("team/app", "v1", content.digest)
        await eventually(lambda: _owed(site) == 0, what="nothing is owed once the children are present")


async def test_a_manifest_pushed_by_digest_alone_arrives(tmp_path: Path) -> None:
    image = make_image("untagged")
    async with run_site(tmp_path) as site:
        await push(site.primary.url, "team/app", None, image)
        await site.arrived("team/app", image.digest, image.digest)


async def test_f22_a_tag_that_moves_faster_than_it_copies_ends_at_the_last_push(tmp_path: Path) -> None:
    pushes = [make_image(f"busy-{number}", (3_000_000, 1_000)) for number in range(12)]
    async with run_site(tmp_path) as site:
        for image in pushes:
            await push(site.primary.url, "busy/app", "latest", image)
        await site.arrived("busy/app", "latest", pushes[-1].digest)
        await eventually(lambda: _owed(site) == 0, what="nothing stays owed")
        await _holds_exactly(site, "busy/app", "latest", pushes[-1])


async def test_f24_a_tag_that_moves_back_ends_there(tmp_path: Path) -> None:
    first, second = make_image("first"), make_image("second")
    async with run_site(tmp_path) as site:
        for image in (first, second, first):
            await push(site.primary.url, "team/app", "v1", image)
        await eventually(lambda: _owed(site) == 0, what="nothing is owed")
        await site.arrived("team/app", "v1", first.digest)
        assert len(site.daemon.events("reference_replicated")) <= 3 * len(site.replicas), "one is needless"


async def test_a_shared_layer_is_sent_once_to_each_replica_and_mounted_elsewhere(tmp_path: Path) -> None:
    base = make_image("base", (2_000_000,)).layers[0]
    one, two = make_image("one", (base, 1_000)), make_image("two", (base, 1_000))
    again = make_image("again", (base, 1_000))
    async with run_site(tmp_path) as site:
        await push(site.primary.url, "team/one", "v1", one)
        await site.arrived("team/one", "v1", one.digest)
        await site.settled()
        await push(site.primary.url, "team/two", "v1", two)
        await site.arrived("team/two", "v1", two.digest)
        await site.settled()
        await push(site.primary.url, "team/one", "v2", again)
        await site.arrived("team/one", "v2", again.digest)
        await site.settled()
        metrics = site.daemon.metrics()
        new_bytes = sum(blob.size for image in (one, two, again) for blob in image.blobs() if blob != base)
        for name in site.replicas:
            assert metrics.value("replicator_copied_bytes_total", replica=name) == base.size + new_bytes
            assert metrics.value("replicator_deduplicated_bytes_total", replica=name, how="mounted") == base.size
            assert metrics.value("replicator_deduplicated_bytes_total", replica=name, how="existed") == base.size


async def test_images_that_share_a_layer_and_come_together_send_it_once(tmp_path: Path) -> None:
    base = make_image("base", (8_000_000,)).layers[0]
    images = [make_image(f"image-{number}", (base, 1_000)) for number in range(5)]
    async with run_site(tmp_path, running=False) as site:
        for number, image in enumerate(images):
            await push(site.primary.url, f"team/app-{number}", "v1", image)
        await site.daemon.start()
        for number, image in enumerate(images):
            await site.arrived(f"team/app-{number}", "v1", image.digest)
        new_bytes = sum(blob.size for image in images for blob in image.blobs() if blob != base)
        for name in site.replicas:
            copied = site.daemon.metrics().value("replicator_copied_bytes_total", replica=name)
            assert copied == base.size + new_bytes


async def test_a_tag_deleted_at_the_primary_before_its_copy_is_owed_no_more(tmp_path: Path) -> None:
    image = make_image("gone")
    async with run_site(tmp_path, running=False) as site:
        await push(site.primary.url, "team/app", "v1", image)
        await _delete(site.primary.url, "team/app", image)
        await site.daemon.start()
        await eventually(lambda: _seen(site, "gone") >= len(site.replicas), what="the daemon saw that it is gone")
        await eventually(lambda: _owed(site) == 0, what="nothing is owed")


async def test_a_prefix_renames_repositories_on_the_replica(tmp_path: Path) -> None:
    image = make_image("prefixed")
    async with run_registry(tmp_path, name="eu") as replica:
        section = [{"name": "eu", "url": replica.url, "repository_prefix": "mirror/"}]
        async with run_site(tmp_path, replicas=(), sections={"replicas": section}) as site:
            await push(site.primary.url, "team/app", "v1", image)
            await arrival(replica.url, "mirror/team/app", "v1", image.digest)


async def test_an_event_before_its_tag_still_ends_at_the_push(tmp_path: Path) -> None:
    """The event names a digest that the tag does not name yet: the daemon looks again, and that is no lag."""
    old, new = make_image("old"), make_image("new")
    async with run_site(tmp_path, notifies=False) as site:
        await push(site.primary.url, "team/app", "v1", old)
        assert await post_push(site.hook_url, "team/app", "v1", new.digest) == 202
        await site.arrived("team/app", "v1", old.digest)
        await push(site.primary.url, "team/app", "v1", new)
        await site.arrived("team/app", "v1", new.digest)
        await eventually(lambda: _owed(site) == 0, what="nothing is owed")


async def test_an_event_of_a_tag_that_is_not_there_yet_is_looked_at_again(tmp_path: Path) -> None:
    image = make_image("late")
    async with run_site(tmp_path, notifies=False) as site:
        assert await post_push(site.hook_url, "team/app", "v1", image.digest) == 202
        await eventually(lambda: _seen(site, "gone") >= len(site.replicas), what="the tag was not there")
        await eventually(lambda: _owed(site) == 0, what="that is no lag")
        await push(site.primary.url, "team/app", "v1", image)
        await site.arrived("team/app", "v1", image.digest)


def _owed(site: Site) -> float:
    metrics = site.daemon.metrics()
    return sum(metrics.value("replicator_replica_pending_updates", replica=name) for name in site.replicas)


def _seen(site: Site, result: str) -> float:
    metrics = site.daemon.metrics()
    return sum(
        metrics.value("replicator_updates_completed_total", replica=name, result=result) for name in site.replicas
    )


async def _delete(url: str, repository: str, content: Content) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.delete(f"{url}/v2/{repository}/manifests/{content.digest}") as answer,
    ):
        assert answer.status == 202
