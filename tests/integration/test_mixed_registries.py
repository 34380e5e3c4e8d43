"""Registries of different kinds as primary and as replicas, mixed: what arrives is the same, byte for byte.

One site for each kind of primary, for all tests of this file: every test has a repository of its own.
docs/registries.md tells how the three kinds differ.
"""

from collections.abc import AsyncIterator

import pytest

from tests.integration.events import post_push
from tests.integration.site import Site, run_site
from tests.support.content import Content
from tests.support.eventually import eventually
from tests.support.images import closure_of, fetch_closure, make_image, make_index, push, read_manifest, write_layout
from tests.support.registries import Kind, OciRegistry
from tests.support.skopeo import docker_name, skopeo_copy, skopeo_inspect_digest

_LAYERS = (300_000, 200_000, 5_000)
_SITES: list[dict[str, Kind]] = [
    {"primary": "distribution2", "a": "distribution3", "b": "oci"},
    {"primary": "distribution3", "a": "distribution2", "b": "oci"},
    {"primary": "oci", "a": "distribution2", "b": "distribution3"},
]


@pytest.fixture(scope="module", params=_SITES, ids=lambda kinds: f"{kinds['primary']}-primary")
async def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    kinds: dict[str, Kind] = request.param
    notifies = kinds["primary"] != "oci"
    folder = tmp_path_factory.mktemp("mixed")
    async with run_site(folder, replicas=("a", "b"), kinds=kinds, notifies=notifies) as running:
        yield running


async def _push(site: Site, repository: str, tag: str, content: Content) -> None:
    await push(site.primary.url, repository, tag, content)
    await _announce(site, repository, tag, content)


async def _announce(site: Site, repository: str, tag: str, content: Content) -> None:
    """Tell the daemon where the primary does not do it itself."""
    if isinstance(site.primary, OciRegistry):
        assert await post_push(site.hook_url, repository, tag, content.digest) == 202


async def _is_the_same_everywhere(site: Site, repository: str, tag: str, content: Content, *on: str) -> None:
    names = on or tuple(site.replicas)
    await site.arrived(repository, tag, content.digest, on=names)
    for name in names:
        url = site.url(name)
        assert (await fetch_closure(url, repository, tag, deep=True)).digests == closure_of(content)
        for manifest in content.manifests():
            raw = (manifest.media_type, manifest.body)
            assert await read_manifest(url, repository, manifest.digest) == raw
            assert await read_manifest(site.primary.url, repository, manifest.digest) == raw
        assert await skopeo_inspect_digest(docker_name(url, repository, tag)) == str(content.digest)


def _content(kind: str) -> Content:
    docker = kind.startswith("docker")
    amd, arm = make_image("amd", _LAYERS, docker=docker), make_image("arm", platform="linux/arm64/v8", docker=docker)
    twice = make_image("layer").layers[0]
    match kind:
        case "index" | "docker-list":
            return make_index([amd, arm], docker=docker)
        case "nested":
            return make_index([make_index([amd, arm]), make_image("third")])
        case "odd-layers":
            return make_index([make_image("one", (0, twice, twice, 1)), make_image("two", (twice, 0))])
        case _:
            return amd


@pytest.mark.parametrize("kind", ["image", "docker", "index", "docker-list", "nested", "odd-layers"])
async def test_what_is_pushed_arrives_byte_for_byte(site: Site, repository: str, kind: str) -> None:
    content = _content(kind)
    await _push(site, repository, "v1", content)
    await _is_the_same_everywhere(site, repository, "v1", content)


async def test_what_skopeo_pushes_arrives_byte_for_byte(
    site: Site, repository: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = _content("index")
    layout = write_layout(content, tmp_path_factory.mktemp("skopeo") / "layout")
    await skopeo_copy(layout, docker_name(site.primary.url, repository, "v1"))
    await _announce(site, repository, "v1", content)
    await _is_the_same_everywhere(site, repository, "v1", content)


async def test_a_tag_that_moves_ends_at_the_last_push(site: Site, repository: str) -> None:
    pushes = [make_image(f"moved-{number}", (1_000_000, 1_000)) for number in range(5)]
    for image in pushes:
        await _push(site, repository, "latest", image)
    await _is_the_same_everywhere(site, repository, "latest", pushes[-1])


async def test_a_layer_that_another_repository_has_is_not_sent_again(site: Site, repository: str) -> None:
    """Distribution mounts it. To the OCI registry a blob belongs to all repositories: it is found there."""
    base = make_image(f"base of {repository}", (2_000_000,)).layers[0]
    first, second = (make_image(f"{name} of {repository}", (base, 1_000)) for name in ("first", "second"))
    await _push(site, f"{repository}/one", "v1", first)
    await _is_the_same_everywhere(site, f"{repository}/one", "v1", first)
    before = {name: _bytes(site, name) for name in site.replicas}
    await _push(site, f"{repository}/two", "v1", second)
    await _is_the_same_everywhere(site, f"{repository}/two", "v1", second)
    for name, replica in site.replicas.items():
        sent, mounted, existed = (after - old for after, old in zip(_bytes(site, name), before[name], strict=True))
        assert sent == sum(blob.size for blob in second.blobs() if blob != base)
        here = isinstance(replica, OciRegistry)
        assert (mounted, existed) == ((0, base.size) if here else (base.size, 0))


async def test_sha512_arrives_where_it_is_kept_and_is_never_tagged_where_it_is_not(
    site: Site, repository: str
) -> None:
    """The OCI registry answers 201 to such a blob and does not find it again, and takes manifests without looking."""
    content = make_image("long digests", (70_000, 5_000), algorithm="sha512")
    if isinstance(site.primary, OciRegistry):
        await push(site.primary.url, repository, "v1", content)
        with pytest.raises(AssertionError, match="status 404"):
            await fetch_closure(site.primary.url, repository, "v1")
        return
    await _push(site, repository, "v1", content)
    await _is_the_same_everywhere(site, repository, "v1", content, "a")
    await eventually(
        lambda: _unsupported(site, "b") >= 1, what="the replica that cannot keep it is said not to support it"
    )
    assert await read_manifest(site.url("b"), repository, "v1") is None


def _bytes(site: Site, name: str) -> tuple[float, float, float]:
    metrics = site.daemon.metrics()
    deduplicated = "replicator_deduplicated_bytes_total"
    return (
        metrics.value("replicator_copied_bytes_total", replica=name),
        metrics.value(deduplicated, replica=name, how="mounted"),
        metrics.value(deduplicated, replica=name, how="existed"),
    )


def _unsupported(site: Site, name: str) -> float:
    return site.daemon.metric("replicator_replica_failing_updates", replica=name, reason="unsupported")
