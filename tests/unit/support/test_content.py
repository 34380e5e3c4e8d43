"""Images made for the tests are what their descriptors say, the same each time, and never held as a whole."""

import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.model import Digest
from tests.support.content import CHUNK, Content, blob_of, closure_of, make_blob, make_image, make_index
from tests.support.images import write_layout

SIZES = st.one_of(st.integers(0, 200), st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7]))


@given(seed=st.integers(0, 50), size=SIZES, algorithm=st.sampled_from(["sha256", "sha512"]))
def test_a_blob_has_the_size_and_the_digest_that_it_tells(seed: int, size: int, algorithm: str) -> None:
    blob = make_blob(seed, size, algorithm=algorithm)
    data = blob.read()
    assert len(data) == size == blob.size
    assert hashlib.new(algorithm, data).hexdigest() == blob.digest.encoded
    assert all(len(chunk) <= CHUNK for chunk in blob.chunks())


def test_seeds_make_different_content_and_the_same_seed_the_same() -> None:
    assert len({make_blob(seed, 5_000).digest for seed in range(200)}) == 200
    assert make_image("a").digest == make_image("a").digest != make_image("b").digest


def test_a_big_blob_is_streamed() -> None:
    tracemalloc.start()
    try:
        blob = make_blob("big", 64 * CHUNK)
        assert sum(map(len, blob.chunks())) == 64 * CHUNK
        assert tracemalloc.get_traced_memory()[1] < 8 * CHUNK
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("docker", [False, True])
def test_a_manifest_describes_its_blobs(docker: bool) -> None:
    image = make_image(7, [10, 20], docker=docker, foreign=[30], extra={"annotations": {"key": "value"}})
    manifest = json.loads(image.body)
    assert Digest.of(image.body) == image.digest
    assert manifest["mediaType"] == image.media_type
    assert [one["size"] for one in manifest["layers"]] == [10, 20, 30]
    assert manifest["layers"][2]["urls"]
    assert manifest["config"]["digest"] == str(image.config.digest)
    assert json.loads(image.config.read())["os"] == "linux"
    assert manifest["annotations"] == {"key": "value"}


def test_a_closure_counts_each_digest_once_and_leaves_foreign_layers_out() -> None:
    shared = make_blob("shared", 100)
    image = make_image(1, [shared, shared, 0], foreign=[9])
    assert len(image.layers) == 3
    assert len(image.blobs()) == 3
    assert closure_of(image) == {image.digest, shared.digest, image.layers[2].digest, image.config.digest}


def test_an_index_names_children_with_platforms_and_pushes_them_first() -> None:
    arm = make_image(2, platform="linux/arm64/v8")
    inner = make_index([make_image(1), arm])
    outer = make_index([inner, arm])
    entries = json.loads(inner.body)["manifests"]
    assert entries[1]["platform"] == {"os": "linux", "architecture": "arm64", "variant": "v8"}
    assert [one.digest for one in outer.manifests()] == [
        make_image(1).digest,
        arm.digest,
        inner.digest,
        outer.digest,
    ]


def test_a_layout_holds_every_file_of_the_closure(tmp_path: Path) -> None:
    index: Content = make_index([make_image(1), make_image(2)])
    assert write_layout(index, tmp_path / "layout", "v1") == f"oci:{tmp_path / 'layout'}:v1"
    files = {path.name for path in (tmp_path / "layout/blobs/sha256").iterdir()}
    assert files == {one.encoded for one in closure_of(index)}


def test_given_bytes_become_a_blob() -> None:
    blob = blob_of(b"{}", "application/vnd.oci.empty.v1+json")
    assert str(blob.digest).startswith("sha256:44136fa3")
    assert blob.read() == b"{}"
