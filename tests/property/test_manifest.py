"""Whatever bytes a registry serves as a manifest, they are read exactly or refused; nothing else happens."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator import manifest
from replicator.errors import ContentError
from replicator.model import Digest, MediaType, RawManifest
from tests.support.content import OCI_CONFIG, OCI_LAYER

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
DIGESTS = st.binary(max_size=3).flatmap(lambda data: st.sampled_from([Digest.of(data), Digest.of(data, "sha512")]))
DESCRIPTORS = st.fixed_dictionaries(
    {
        "mediaType": st.sampled_from([OCI_LAYER, OCI_CONFIG, MediaType.OCI_MANIFEST, MediaType.OCI_INDEX]),
        "digest": DIGESTS.map(str),
        "size": st.integers(0, 2**63 - 1),
    }
)
NEARLY = DESCRIPTORS | JSON
KEYS = ["mediaType", "config", "layers", "manifests", "blobs", "fsLayers", "subject", "schemaVersion", "Layers"]
BODIES = st.dictionaries(
    st.sampled_from(KEYS), NEARLY | st.lists(NEARLY, max_size=3) | st.sampled_from(list(MediaType)), max_size=5
)


def read(body: bytes, media_type: str) -> manifest.Manifest | None:
    try:
        return manifest.parse(RawManifest(media_type, Digest.of(body), body), registry="primary")
    except ContentError as refused:
        said = str(refused)
    assert said.isprintable()
    assert len(said) < 1_000
    return None


@given(body=st.binary(max_size=200), media_type=st.sampled_from(list(MediaType)))
def test_any_bytes_are_read_or_refused(body: bytes, media_type: str) -> None:
    read(body, media_type)


@given(document=BODIES | JSON, media_type=st.sampled_from(list(MediaType)) | st.text(max_size=20))
def test_any_json_is_read_or_refused(document: object, media_type: str) -> None:
    found = read(json.dumps(document).encode(), media_type)
    if found is not None:
        assert isinstance(document, dict)
        assert document.get("mediaType", media_type) in {media_type, None}
        assert not (found.children and found.blobs)
        listed = [*found.blobs, *found.children, *found.foreign, *filter(None, [found.subject])]
        assert all(type(one.size) is int and 0 <= one.size < 2**63 for one in listed)


@given(
    config=DESCRIPTORS,
    layers=st.lists(DESCRIPTORS, max_size=5),
    where=st.integers(0, 200),
    what=st.binary(max_size=2),
)
def test_a_changed_byte_never_adds_what_nobody_listed(
    config: dict[str, object], layers: list[dict[str, object]], where: int, what: bytes
) -> None:
    body = json.dumps({"config": config, "layers": layers}).encode()
    found = read(body, MediaType.OCI_MANIFEST)
    assert found is not None
    assert [str(one.digest) for one in found.blobs] == [str(one["digest"]) for one in (config, *layers)]
    hurt = body[:where] + what + body[where + 1 :]
    again = read(hurt, MediaType.OCI_MANIFEST)
    if again is not None:
        assert all(str(one.digest).encode() in hurt for one in again.blobs)


@pytest.mark.parametrize("media_type", [MediaType.OCI_INDEX, MediaType.OCI_MANIFEST])
@given(entries=st.lists(DESCRIPTORS, min_size=1, max_size=3))
def test_bytes_that_are_two_things_are_neither(media_type: str, entries: list[dict[str, object]]) -> None:
    body = json.dumps({"config": entries[0], "layers": entries, "manifests": entries}).encode()
    assert read(body, media_type) is None
