"""Before a copy: the whole tree at the source, what the replica holds, and nothing asked twice."""

import json
from typing import Any

import pytest

from replicator import manifest
from replicator.errors import ContentError, NotFound, Reason
from replicator.manifest import Closure
from replicator.model import Descriptor, Digest, MediaType, RawManifest, parse_repository
from replicator.replication.one_shot import NoLocations
from replicator.replication.presence import Presence
from replicator.replication.survey import ManifestCache, ask_replica, read_closure
from tests.support.content import Content, Index, blob_of, closure_of, make_blob, make_image, make_index
from tests.support.fake_clock import FakeClock
from tests.unit.replication.support import ModelRegistry, Op

HERE, THERE = parse_repository("team/here"), parse_repository("team/there")
CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"


def raw(content: Content) -> RawManifest:
    return RawManifest(content.media_type, content.digest, content.body)


async def survey(
    content: Content, source: ModelRegistry | None = None, cache: ManifestCache | None = None
) -> Closure:
    if source is None:
        source = ModelRegistry("primary")
        source.hold(HERE, content)
    return await read_closure(source, HERE, raw(content), cache or ManifestCache())


def index_of(*entries: dict[str, Any]) -> Index:
    body = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return Index(MediaType.OCI_INDEX.value, Digest.of(body), body, ())


def entry(content: Content, **more: Any) -> dict[str, Any]:
    return {
        "mediaType": content.media_type, "digest": str(content.digest), "size": len(content.body), **more
    }  # fmt: skip


def nested(levels: int) -> Content:
    content: Content = make_image("deep")
    for _ in range(levels):
        content = make_index([content])
    return content


@pytest.mark.parametrize(
    "content",
    [
        make_image("a", [10, 20, 0], foreign=[30]),
        make_image("a", docker=True),
        make_index([make_image("a"), make_image("b")]),
        make_index([make_image("a"), make_index([make_image("a"), make_image("c")])], docker=True),
        make_index([]),
    ],
)
async def test_the_whole_tree_is_read(content: Content) -> None:
    found = await survey(content)
    everything = {one.raw.digest for one in found.manifests} | {blob.digest for blob in found.blobs}
    assert everything == closure_of(content)
    assert found.top.raw == raw(content)


async def test_each_manifest_is_read_once() -> None:
    shared = make_image("shared")
    content = make_index([shared, make_index([shared]), make_index([shared, make_image("b")])])
    source = ModelRegistry("primary")
    source.hold(HERE, content)
    await survey(content, source)
    assert source.count(Op.READ) == len(content.manifests()) - 1
    assert source.count(Op.READ, content.digest) == 0, "the top was read by whoever asked"


async def test_what_was_read_for_one_replica_is_not_read_for_the_next() -> None:
    content, source, cache = make_index([make_image("a")]), ModelRegistry("primary"), ManifestCache()
    source.hold(HERE, content)
    assert await survey(content, source, cache) == await survey(content, source, cache)
    assert source.count(Op.READ) == 1


async def test_eight_nested_indexes_are_read_and_nine_are_not() -> None:
    assert len((await survey(nested(manifest.MAX_DEPTH))).manifests) == manifest.MAX_DEPTH + 1
    with pytest.raises(ContentError, match="deeper") as caught:
        await survey(nested(manifest.MAX_DEPTH + 1))
    assert caught.value.reason is Reason.UNSUPPORTED


async def test_a_missing_child_is_not_found() -> None:
    content, source = make_index([make_image("a"), make_image("b")]), ModelRegistry("primary")
    source.hold(HERE, content)
    source.lose(HERE, content.children[1].digest)
    with pytest.raises(NotFound):
        await survey(content, source)


async def test_a_child_of_an_unknown_type_may_be_a_blob() -> None:
    """Build caches list their layers in an index."""
    layer = make_blob("layer", 500)
    listed = {"mediaType": CACHE_CONFIG, "digest": str(layer.digest), "size": layer.size}
    content, source = index_of(listed), ModelRegistry("primary")
    source.hold_blob(HERE, layer)
    found = await survey(content, source)
    assert found.blobs == (Descriptor(CACHE_CONFIG, layer.digest, layer.size),)
    assert [one.raw.digest for one in found.manifests] == [content.digest]


async def test_a_child_whose_size_or_type_differs_is_refused() -> None:
    image = make_image("a")
    for wrong in ({"size": 5}, {"mediaType": MediaType.DOCKER_MANIFEST.value}):
        source = ModelRegistry("primary")
        source.hold(HERE, image)
        with pytest.raises(ContentError, match="differs"):
            await survey(index_of(entry(image, **wrong)), source)


async def test_a_cached_child_is_held_against_its_descriptor_too() -> None:
    """What another repository serves of the same bytes, under another type, does not decide here."""
    body = json.dumps({"schemaVersion": 2, "config": _config(), "layers": []}).encode()
    digest, cache = Digest.of(body), ManifestCache()
    source = ModelRegistry("primary")
    source.manifests[THERE, digest] = RawManifest(MediaType.DOCKER_MANIFEST, digest, body)
    source.manifests[HERE, digest] = RawManifest(MediaType.OCI_MANIFEST, digest, body)
    listed = {"digest": str(digest), "size": len(body)}
    theirs = index_of(listed | {"mediaType": MediaType.DOCKER_MANIFEST.value})
    ours = index_of(listed | {"mediaType": MediaType.OCI_MANIFEST.value})
    await read_closure(source, THERE, raw(theirs), cache)
    found = await read_closure(source, HERE, raw(ours), cache)
    assert found.manifests[0].raw.media_type == MediaType.OCI_MANIFEST


def _config() -> dict[str, Any]:
    blob = blob_of(b"{}", "application/vnd.oci.image.config.v1+json")
    return {"mediaType": blob.media_type, "digest": str(blob.digest), "size": blob.size}


async def test_more_bytes_of_manifests_than_are_held_are_refused_before_they_are_read() -> None:
    images = [make_image(f"huge-{number}") for number in range(9)]
    content = index_of(*(entry(image, size=8 * 1024 * 1024) for image in images))
    source = ModelRegistry("primary")
    with pytest.raises(ContentError, match="67108864 bytes") as caught:
        await survey(content, source)
    assert caught.value.reason is Reason.UNSUPPORTED
    assert source.calls == []


async def test_too_many_manifests_are_refused_before_they_are_read() -> None:
    kind, source = MediaType.OCI_INDEX.value, ModelRegistry("primary")
    middles = []
    for n in range(12):
        digests = [str(Digest.of(b"%d/%d" % (n, at))) for at in range(999)]
        middle = index_of(*({"mediaType": kind, "digest": digest, "size": 1} for digest in digests))
        source.manifests[HERE, middle.digest] = raw(middle)
        middles.append(middle)
    with pytest.raises(ContentError, match="over 10000 manifests"):
        await survey(index_of(*(entry(one) for one in middles)), source)
    assert source.count(Op.READ) == len(middles)


def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    images = [make_image(seed) for seed in range(4)]
    parsed = [manifest.parse(raw(image), registry="primary") for image in images]
    size = max(len(image.body) for image in images)
    cache = ManifestCache(limit=3 * size)
    for one in parsed[:3]:
        cache.add(one)
        cache.add(one)
    assert cache.get(images[0].digest) == parsed[0]
    cache.add(parsed[3])
    assert [cache.get(image.digest) is not None for image in images] == [True, False, True, True]


# The replica


class Locations(NoLocations):
    """Knows where some blobs are."""

    def __init__(self, known: dict[Digest, tuple[Any, ...]]) -> None:
        self.known = known
        self.asked: list[Digest] = []

    async def locations(self, replica: str, digests: Any) -> dict[Digest, tuple[Any, ...]]:
        assert replica == "eu"
        self.asked += digests
        return {digest: self.known[digest] for digest in digests if digest in self.known}


async def test_a_replica_is_asked_for_each_blob_once(fake_clock: FakeClock) -> None:
    content = make_image("a", [10, 20])
    replica, presence = ModelRegistry("eu"), Presence(fake_clock)
    replica.hold_blob(HERE, content.layers[0])
    closure = await survey(content)
    facts = await ask_replica(replica, HERE, closure, presence, NoLocations())
    assert facts.present == {content.layers[0].digest}
    assert replica.count(Op.HAS) == 3
    again = await ask_replica(replica, HERE, closure, presence, NoLocations())
    assert again.present == facts.present
    assert replica.count(Op.HAS, content.layers[0].digest) == 1, "it is known from its own answer"


async def test_what_we_put_ourselves_is_not_asked_for(fake_clock: FakeClock) -> None:
    content = make_index([make_image("a")])
    replica, presence = ModelRegistry("eu"), Presence(fake_clock)
    for digest in closure_of(content):
        presence.learn(HERE, digest)
    facts = await ask_replica(replica, HERE, await survey(content), presence, NoLocations())
    assert facts.present == closure_of(content) - {content.digest}
    assert replica.calls == []


async def test_a_blob_on_its_way_is_not_asked_for(fake_clock: FakeClock) -> None:
    content = make_image("a", [10])
    replica, presence = ModelRegistry("eu"), Presence(fake_clock)
    with presence.bring(THERE, content.layers[0].digest):
        facts = await ask_replica(replica, HERE, await survey(content), presence, NoLocations())
    assert facts.present == frozenset()
    assert replica.count(Op.HAS, content.layers[0].digest) == 0


async def test_locations_are_those_of_other_repositories_for_absent_blobs(fake_clock: FakeClock) -> None:
    content = make_image("a", [10, 20])
    replica = ModelRegistry("eu")
    replica.hold_blob(HERE, content.layers[0])
    here, there = (layer.digest for layer in content.layers)
    locations = Locations({there: (HERE, THERE), here: (THERE,)})
    facts = await ask_replica(replica, HERE, await survey(content), Presence(fake_clock), locations)
    assert facts.locations == {there: (THERE,)}
    assert set(locations.asked) == {there, content.config.digest}


async def test_a_blob_of_another_size_on_the_replica_is_an_error(fake_clock: FakeClock) -> None:
    content = make_image("a", [10])
    replica = ModelRegistry("eu")
    replica.hold_blob(HERE, content.layers[0])
    replica.data[content.layers[0].digest] += b"x"
    with pytest.raises(ContentError):
        await ask_replica(replica, HERE, await survey(content), Presence(fake_clock), NoLocations())
