"""Before a copy: the whole tree at the source, what the replica holds, and nothing asked twice."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from replicator import manifest
from replicator.errors import ContentError, NotFound, Reason
from replicator.manifest import Closure
from replicator.model import Descriptor, Digest, MediaType, RawManifest, parse_repository
from replicator.observability.metrics import Metrics, Scope
from replicator.plan import Facts, Others
from replicator.registry.capabilities import Capabilities, Capability
from replicator.replication.mounts import Mounts
from replicator.replication.one_shot import NoLocations
from replicator.replication.presence import KNOWN_FOR, PROVEN_FOR, Presence
from replicator.replication.shared_reads import SharedReads
from replicator.replication.slots import Slots
from replicator.replication.survey import ManifestCache, read_closure, recall
from replicator.replication.tools import Tools
from replicator.together import together
from tests.support.content import Content, Index, blob_of, closure_of, make_blob, make_image, make_index
from tests.support.fake_clock import FakeClock
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import ModelRegistry, Op

HERE, THERE, OTHER = (parse_repository(f"team/{name}") for name in ("here", "there", "other"))
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


def tools_for(
    replica: ModelRegistry, clock: FakeClock, locations: NoLocations | None = None, presence: Presence | None = None
) -> Tools:
    return Tools(
        replica=replica,
        presence=presence or Presence(clock),
        mounts=Mounts(replica.capabilities, clock),
        locations=locations or NoLocations(),
        reads=SharedReads(clock=clock, on_read=lambda _name, _bytes: None),
        slots=Slots(1, clock),
        small_slots=Slots(1, clock),
        metrics=Metrics(Scope(replicas=("eu",)), clock=clock),
        clock=clock,
    )


@pytest.fixture
def eu(fake_clock: FakeClock) -> ModelRegistry:
    return ModelRegistry("eu", Capabilities(fake_clock))


async def test_a_replica_is_not_asked_at_all(eu: ModelRegistry, fake_clock: FakeClock) -> None:
    """Whatever has to be asked is asked by the copy, while it does other things."""
    content = make_image("a", [10, 20])
    eu.hold_blob(HERE, content.layers[0])
    assert await recall(tools_for(eu, fake_clock), HERE, await survey(content)) == Facts(
        locations={blob.digest: () for blob in content.blobs()}
    )
    assert eu.calls == []


async def test_what_we_put_ourselves_is_proven_a_moment_and_believed_an_hour(
    eu: ModelRegistry, fake_clock: FakeClock
) -> None:
    content = make_index([make_image("a")])
    closure, tools = await survey(content), tools_for(eu, fake_clock)
    for digest in closure_of(content):
        tools.presence.learn(HERE, digest)
    blobs = frozenset(blob.digest for blob in content.blobs())
    facts = await recall(tools, HERE, closure)
    assert (facts.present, facts.believed) == (closure_of(content) - {content.digest}, blobs)
    fake_clock.advance(PROVEN_FOR + 1)
    facts = await recall(tools, HERE, closure)
    assert not facts.present
    assert (facts.believed, facts.others) == (blobs, Others.NONE)
    fake_clock.advance(KNOWN_FOR)
    facts = await recall(tools, HERE, closure)
    assert not facts.present | facts.believed
    assert facts.others is Others.UNKNOWN


async def test_what_the_store_remembers_is_believed_here_and_a_holder_elsewhere(
    eu: ModelRegistry, fake_clock: FakeClock
) -> None:
    content = make_image("a", [10, 20])
    here, there = (layer.digest for layer in content.layers)
    locations = Locations({there: (THERE, OTHER), here: (THERE, HERE)})
    tools = tools_for(eu, fake_clock, locations)
    facts = await recall(tools, HERE, await survey(content))
    assert facts.present == frozenset()
    assert facts.believed == {here}
    assert facts.others is Others.NONE, "we have been in this repository before"
    assert facts.locations[there] == (THERE, OTHER)
    assert facts.locations[content.config.digest] == ()
    assert set(locations.asked) == {blob.digest for blob in content.blobs()}
    tools.presence.learn(OTHER, there)
    facts = await recall(tools, HERE, await survey(content))
    assert facts.locations[there] == (OTHER, THERE), "what the replica itself showed comes first"


async def test_a_repository_from_which_nothing_could_be_mounted_is_no_holder(
    eu: ModelRegistry, fake_clock: FakeClock
) -> None:
    content = make_image("a", [10])
    layer = content.layers[0].digest
    tools = tools_for(eu, fake_clock, Locations({layer: (THERE, OTHER)}))
    tools.mounts.refused(THERE, HERE)
    facts = await recall(tools, HERE, await survey(content))
    assert facts.locations[layer] == (OTHER,)
    eu.capabilities.learn(Capability.MOUNT, holds=False)
    facts = await recall(tools, HERE, await survey(content))
    assert facts.locations[layer] == ()


async def test_that_a_registry_checks_manifests_is_believed_only_when_proven(
    eu: ModelRegistry, fake_clock: FakeClock
) -> None:
    tools, closure = tools_for(eu, fake_clock), await survey(make_image("a"))
    assert not (await recall(tools, HERE, closure)).checks_manifests
    eu.capabilities.learn(Capability.CHECKS_MANIFESTS, holds=True)
    assert (await recall(tools, HERE, closure)).checks_manifests


async def test_two_lanes_read_a_child_once() -> None:
    content = make_index([make_image("a"), make_image("b")])
    source, cache = ModelRegistry("primary"), ManifestCache()
    source.hold(HERE, content)
    await together([partial(survey, content, source, cache) for _ in range(3)])
    assert source.count(Op.READ) == 2


async def test_when_the_one_who_reads_a_child_is_cancelled_another_does() -> None:
    image = make_image("a")
    content = make_index([image])
    source, cache = ModelRegistry("primary"), ManifestCache()
    source.hold(HERE, content)
    gate = Gate(Op.READ, image.digest)
    source.hook = faults(gate)
    first = asyncio.create_task(survey(content, source, cache))
    await gate.reached.wait()
    second = asyncio.create_task(survey(content, source, cache))
    source.hook = faults()
    first.cancel()
    found = await second
    assert [one.raw.digest for one in found.manifests] == [image.digest, content.digest]
