"""What a manifest needs is read strictly: what two readers could see differently is refused (F4, F5, S6, S9)."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from replicator import manifest
from replicator.errors import ContentError, Reason
from replicator.manifest import Manifest
from replicator.model import Descriptor, Digest, MediaType, Platform, RawManifest
from tests.support.content import (
    DOCKER_FOREIGN,
    DOCKER_LAYER,
    OCI_CONFIG,
    OCI_FOREIGN,
    OCI_LAYER,
    Content,
    make_blob,
    make_image,
    make_index,
)

ONE = Digest.of(b"one")
TWO = Digest.of(b"two", "sha512")


def entry(digest: Digest = ONE, size: object = 3, media_type: str = OCI_LAYER, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": size, **more}


def raw(document: object, media_type: str = MediaType.OCI_MANIFEST) -> RawManifest:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return RawManifest(media_type, Digest.of(body), body)


def parse(document: object, media_type: str = MediaType.OCI_MANIFEST) -> Manifest:
    return manifest.parse(raw(document, media_type), registry="primary")


def image(**more: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "config": entry(media_type=OCI_CONFIG), "layers": [entry(TWO)], **more}


def index(**more: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "manifests": [entry(media_type=MediaType.OCI_MANIFEST)], **more}


def refusal(document: object, media_type: str = MediaType.OCI_MANIFEST) -> ContentError:
    with pytest.raises(ContentError) as caught:
        parse(document, media_type)
    assert caught.value.registry == "primary"
    assert not caught.value.temporary
    assert caught.value.reason is Reason.UNSUPPORTED, "the bytes were proven: fetching them again does not help"
    assert str(raw(document, media_type).digest) in str(caught.value)
    return caught.value


@pytest.mark.parametrize("media_type", [MediaType.OCI_MANIFEST, MediaType.DOCKER_MANIFEST])
def test_an_image_needs_its_config_and_its_layers_in_order(media_type: MediaType) -> None:
    found = parse(image(mediaType=media_type, layers=[entry(TWO), entry(), entry(TWO)]), media_type)
    assert [blob.digest for blob in found.blobs] == [ONE, TWO, ONE, TWO]
    assert (found.children, found.foreign, found.subject) == ((), (), None)


def test_the_raw_bytes_stay_as_they_came() -> None:
    body = b'{ "layers":[],\n\t"config": %s }' % json.dumps(entry()).encode()
    assert parse(body).raw == raw(body)


def test_a_missing_media_type_is_legal() -> None:
    assert parse(image()).blobs[0] == Descriptor(OCI_CONFIG, ONE, 3)
    assert parse(index(), MediaType.OCI_INDEX).children[0].digest == ONE


@pytest.mark.parametrize("media_type", [MediaType.OCI_INDEX, MediaType.DOCKER_LIST])
def test_an_index_needs_its_children(media_type: MediaType) -> None:
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    children = [entry(ONE, media_type=MediaType.OCI_MANIFEST, platform=platform), entry(TWO)]
    found = parse({"manifests": children, "mediaType": media_type}, media_type)
    assert found.children == (
        Descriptor(MediaType.OCI_MANIFEST, ONE, 3, Platform("linux", "arm64", "v8")),
        Descriptor(OCI_LAYER, TWO, 3),
    )
    assert found.blobs == ()


def test_an_artifact_needs_its_blobs_and_may_have_none() -> None:
    assert [blob.digest for blob in parse({"blobs": [entry(TWO)]}, MediaType.OCI_ARTIFACT).blobs] == [TWO]
    assert parse({"blobs": []}, MediaType.OCI_ARTIFACT).blobs == ()


@pytest.mark.parametrize("missing", [None, []])
def test_an_image_without_layers_needs_its_config_alone(missing: object) -> None:
    assert [blob.digest for blob in parse(image(layers=missing)).blobs] == [ONE]


def test_a_subject_is_known_and_not_needed() -> None:
    found = parse(image(subject=entry(TWO, media_type=MediaType.OCI_MANIFEST)))
    assert found.subject is not None
    assert found.subject.digest == TWO
    assert found.children == ()
    assert parse(index(subject=entry(TWO)), MediaType.OCI_INDEX).subject is not None
    assert parse(image(subject=None)).subject is None
    refusal(image(subject="x"))


@pytest.mark.parametrize(
    "media_type",
    [OCI_FOREIGN, DOCKER_FOREIGN, "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"],
)
def test_foreign_layers_are_told_apart(media_type: str) -> None:
    found = parse(image(layers=[entry(TWO, media_type=media_type), entry(media_type=DOCKER_LAYER)]))
    assert [blob.digest for blob in found.foreign] == [TWO]
    assert [blob.digest for blob in found.blobs] == [ONE, ONE]


@pytest.mark.parametrize(
    "document",
    [
        {**image(), "manifests": [entry()]},
        {"manifests": [], "layers": []},
        {"manifests": [], "config": entry()},
        {**image(), "blobs": []},
        {**image(), "fsLayers": []},
        {"fsLayers": []},
        {"schemaVersion": 2},
        {},
    ],
)
@pytest.mark.parametrize("media_type", [MediaType.OCI_MANIFEST, MediaType.OCI_INDEX, MediaType.OCI_ARTIFACT])
def test_what_is_not_exactly_one_kind_is_refused(document: object, media_type: MediaType) -> None:
    """CVE-2021-41190: an index and an image in the same bytes."""
    refusal(document, media_type)


def test_the_fields_must_be_those_of_the_served_type() -> None:
    refusal(image(), MediaType.OCI_INDEX)
    refusal(image(), MediaType.OCI_ARTIFACT)
    refusal(index(), MediaType.OCI_MANIFEST)
    refusal(index(), MediaType.DOCKER_MANIFEST)
    refusal({"blobs": []}, MediaType.OCI_MANIFEST)


@pytest.mark.parametrize(
    "declared", [MediaType.DOCKER_MANIFEST, MediaType.OCI_INDEX, MediaType.OCI_MANIFEST + " ", "", 5, [], False]
)
def test_a_media_type_that_is_not_the_served_one_is_refused(declared: object) -> None:
    refusal(image(mediaType=declared))


@pytest.mark.parametrize(
    "key",
    [
        "MediaType",
        "mediatype",
        "Layers",
        "LAYERS",
        "Config",
        "Manifests",
        "layer\u017f",
        "bloBs",
        "SUBJECT",
        "fslayers",
    ],
)
def test_a_known_key_in_another_case_is_refused(key: str) -> None:
    """Readers written in Go match keys without regard to case, the long s included: they would see other content."""
    refusal(image(**{key: None}))


@pytest.mark.parametrize("key", ["Digest", "SIZE", "mediatype", "\u017fize"])
def test_a_known_key_of_a_descriptor_in_another_case_is_refused(key: str) -> None:
    refusal(image(layers=[entry() | {key: str(ONE)}]))


def test_unknown_keys_are_left_alone() -> None:
    assert parse(image(annotations={"Layers": "x", "digest": "y"}, Extra={}, artifactType="a/b")).blobs


@pytest.mark.parametrize(
    "body",
    [
        b'{"config":%s,"layers":[],"layers":[]}' % json.dumps(entry()).encode(),
        b'{"config":%s,"layers":[{"size":1,"size":2}]}' % json.dumps(entry()).encode(),
        b'{"mediaType":"a","mediaType":"a"}',
    ],
)
def test_duplicate_keys_are_refused(body: bytes) -> None:
    refusal(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"null", b'"x"', b"{", b"\xff{}", b'{"layers": NaN}', b"[" * 99])
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    refusal(body)


@pytest.mark.parametrize(
    "size", [True, False, 1.0, 1e30, -1, 2**63, 10**300, None, "3", [], {}, float("1e300"), -(2**63)]
)
def test_sizes_are_whole_numbers_of_63_bits(size: object) -> None:
    refusal(image(config=entry(size=size)))
    refusal(image(layers=[entry(size=size)]))
    refusal(index(manifests=[entry(size=size)]), MediaType.OCI_INDEX)


def test_the_smallest_and_the_largest_size_are_taken() -> None:
    assert [blob.size for blob in parse(image(layers=[entry(size=0), entry(size=2**63 - 1)])).blobs] == [
        3,
        0,
        2**63 - 1,
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"size": 3, "digest": str(ONE)},
        {"size": 3, "mediaType": OCI_LAYER},
        {"digest": str(ONE), "mediaType": OCI_LAYER},
        entry(media_type=5),  # type: ignore[arg-type] # a wrong type is the point
        entry() | {"digest": 5},
        entry() | {"digest": "sha256:abc"},
        entry() | {"digest": "md5:" + "a" * 32},
        entry() | {"digest": str(ONE).upper()},
        entry() | {"digest": str(ONE) + "\n"},
        "x",
        None,
        [],
        7,
    ],
)
def test_broken_descriptors_are_refused(broken: object) -> None:
    refusal(image(config=broken))
    refusal(image(layers=[broken]))
    refusal({"blobs": [broken]}, MediaType.OCI_ARTIFACT)
    refusal(index(manifests=[broken]), MediaType.OCI_INDEX)


def test_an_image_needs_a_config() -> None:
    refusal({"layers": []})


@pytest.mark.parametrize("entries", [{}, "x", 1, True, {"0": entry()}])
def test_lists_are_lists(entries: object) -> None:
    refusal(image(layers=entries))
    refusal(index(manifests=entries), MediaType.OCI_INDEX)


def test_a_thousand_entries_are_taken_and_one_more_is_not() -> None:
    many = [entry()] * 1000
    assert len(parse(image(layers=many)).blobs) == 1001
    assert len(parse(index(manifests=many), MediaType.OCI_INDEX).children) == 1000
    assert "1001" in str(refusal(image(layers=[*many, entry()])))
    refusal(index(manifests=[*many, entry()]), MediaType.OCI_INDEX)
    refusal({"blobs": [*many, entry()]}, MediaType.OCI_ARTIFACT)


def test_eight_mebibytes_are_read_and_one_byte_more_is_not() -> None:
    largest = json.dumps(image()).encode().ljust(manifest.MAX_MANIFEST)
    assert parse(largest).blobs
    refusal(largest + b" ")


@pytest.mark.parametrize("media_type", [MediaType.DOCKER_SCHEMA1, MediaType.DOCKER_SCHEMA1_SIGNED])
def test_schema_1_is_refused_and_the_way_out_is_named(media_type: MediaType) -> None:
    assert "schema 1" in str(refusal({"fsLayers": []}, media_type))


@pytest.mark.parametrize("media_type", ["application/json", "", "text/plain", "application/vnd.example.manifest"])
def test_unknown_types_are_refused_by_name(media_type: str) -> None:
    assert repr(media_type) in str(refusal(image(), media_type))


def test_refusals_quote_what_came_from_outside() -> None:
    said = str(refusal(image(mediaType="\x1b[2Jx\nlevel=error " + "y" * 500)))
    assert said.isprintable()
    assert len(said) < 500


@pytest.mark.parametrize("platform", ["linux", 5, {"os": "linux"}, {"os": 1, "architecture": 2}, None, []])
def test_a_malformed_platform_is_no_platform(platform: object) -> None:
    assert parse(index(manifests=[entry(platform=platform)]), MediaType.OCI_INDEX).children[0].platform is None


# Closure


def parsed(content: Content) -> Manifest:
    return manifest.parse(RawManifest(content.media_type, content.digest, content.body), registry="primary")


def closure_of(content: Content) -> manifest.Closure:
    below = {one.digest: parsed(one) for one in content.manifests()}
    top = below.pop(content.digest)
    return manifest.closure(top, below)


def ordered(content: Content) -> list[Digest]:
    return [one.raw.digest for one in closure_of(content).manifests]


def test_children_come_first_and_the_top_last() -> None:
    a, b, c = (make_image(seed) for seed in "abc")
    inner = make_index([a, b])
    outer = make_index([c, inner, make_index([inner, c])])
    order = ordered(outer)
    place: Mapping[Digest, int] = {digest: at for at, digest in enumerate(order)}
    assert closure_of(outer).top.raw.digest == outer.digest == order[-1]
    assert len(order) == len(set(order)) == 6
    for one in outer.manifests():
        for child in parsed(one).children:
            assert place[child.digest] < place[one.digest]


def test_what_is_shared_or_listed_twice_comes_once() -> None:
    shared = make_blob("shared", 100)
    a = make_image("a", [shared, 50, shared])
    b = make_image("b", [shared])
    content = make_index([a, b, a, b])
    found = closure_of(content)
    assert [one.raw.digest for one in found.manifests] == [a.digest, b.digest, content.digest]
    assert sorted(blob.digest for blob in found.blobs) == sorted(blob.digest for blob in content.blobs())


def test_an_image_is_its_own_closure() -> None:
    content = make_image("a", [10, 0], foreign=[20])
    assert ordered(content) == [content.digest]
    assert {blob.digest for blob in closure_of(content).blobs} == {blob.digest for blob in content.blobs()}


def test_an_index_of_nothing_is_complete() -> None:
    content = make_index([])
    assert (ordered(content), closure_of(content).blobs) == ([content.digest], ())


def test_two_sizes_for_one_blob_are_refused() -> None:
    """A replica would be asked for one size and then the other: one of them is a lie."""
    below = {}
    for size in (3, 4):
        one = parse(image(config=entry(size=size)))
        below[one.raw.digest] = one
    top = parse(
        index(manifests=[entry(digest, len(one.raw.body)) for digest, one in below.items()]), MediaType.OCI_INDEX
    )
    with pytest.raises(ContentError, match="another size") as caught:
        manifest.closure(top, below)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_a_child_that_proved_to_be_a_blob_is_needed_as_one() -> None:
    top = parse(index(manifests=[entry(TWO, 7, "application/vnd.buildkit.cacheconfig.v0")]), MediaType.OCI_INDEX)
    loose = Descriptor("application/vnd.buildkit.cacheconfig.v0", TWO, 7)
    found = manifest.closure(top, {}, [loose])
    assert (found.manifests, found.blobs) == ((top,), (loose,))


def test_a_child_that_nobody_read_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        manifest.closure(parse(index(), MediaType.OCI_INDEX), {})


def test_manifest_types_are_told_from_others() -> None:
    assert all(
        manifest.is_manifest_type(one)
        for one in (MediaType.OCI_INDEX, MediaType.OCI_MANIFEST, MediaType.DOCKER_LIST, MediaType.DOCKER_MANIFEST)
    )
    assert not manifest.is_manifest_type(OCI_LAYER)
    assert not manifest.is_manifest_type(MediaType.DOCKER_SCHEMA1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [("e30=", b"{}"), ("e30", None), ("e10=", None), ("e30gIA==", None), ("e3 0=", None), (7, None), (None, None)],
)
def test_b7_embedded_data_counts_when_it_is_what_the_digest_says(data: object, expected: bytes | None) -> None:
    entry = {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": str(Digest.of(b"{}")),
        "size": 2,
        "data": data,
    }
    found = parse({"schemaVersion": 2, "config": entry, "layers": []})
    assert [blob.data for blob in found.blobs] == [expected]
