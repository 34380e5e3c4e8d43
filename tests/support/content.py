"""Images and indexes made from a seed: valid manifests over content that is never held as a whole.

The same seed gives the same bytes on every machine. Layers begin with the gzip magic so that skopeo takes them as
they are; they are not meant to be unpacked.
"""

import functools
import hashlib
import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replicator.model import Digest, MediaType

CHUNK = 1024 * 1024
"""Bytes of one chunk of a blob."""

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

_GZIP_MAGIC = b"\x1f\x8b\x08\x00"


@dataclass(frozen=True, slots=True)
class Blob:
    """Content with its descriptor. `data` is kept for small ones only; `chunks` makes the rest anew each time."""

    media_type: str
    digest: Digest
    size: int
    seed: str = ""
    data: bytes | None = field(default=None, repr=False)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, at most 1 MiB at a time."""
        return iter((self.data,)) if self.data is not None else _stream(self.seed, self.size)

    def read(self) -> bytes:
        """Return all bytes; for small blobs."""
        return b"".join(self.chunks())


@dataclass(frozen=True, slots=True)
class Image:
    """One image manifest with what it needs. `foreign` layers are named in it and never pushed."""

    media_type: str
    digest: Digest
    body: bytes = field(repr=False)
    config: Blob
    layers: tuple[Blob, ...]
    foreign: tuple[Blob, ...] = ()
    platform: Mapping[str, str] = field(default_factory=dict)

    def blobs(self) -> tuple[Blob, ...]:
        """Return every blob to push, each digest once."""
        return tuple({blob.digest: blob for blob in (*self.layers, self.config)}.values())

    def manifests(self) -> "tuple[Image, ...]":
        """Return itself: the manifests to push, in order."""
        return (self,)


@dataclass(frozen=True, slots=True)
class Index:
    """An index over images and other indexes."""

    media_type: str
    digest: Digest
    body: bytes = field(repr=False)
    children: "tuple[Image | Index, ...]"

    def blobs(self) -> tuple[Blob, ...]:
        """Return every blob of every child, each digest once."""
        found = itertools.chain.from_iterable(child.blobs() for child in self.children)
        return tuple({blob.digest: blob for blob in found}.values())

    def manifests(self) -> "tuple[Image | Index, ...]":
        """Return all manifests below it and itself, children first, each digest once."""
        found = itertools.chain.from_iterable(child.manifests() for child in self.children)
        return tuple({one.digest: one for one in (*found, self)}.values())


Content = Image | Index
"""What a tag can name."""


def closure_of(content: Content) -> frozenset[Digest]:
    """Return the digests of all manifests and all blobs that must be present where `content` is complete."""
    manifests = frozenset(one.digest for one in content.manifests())
    return manifests | frozenset(blob.digest for blob in content.blobs())


@functools.lru_cache(maxsize=4096)
def make_blob(seed: int | str, size: int, *, media_type: str = OCI_LAYER, algorithm: str = "sha256") -> Blob:
    """Make a blob of `size` bytes (zero is allowed); big ones are hashed as a stream."""
    hasher = hashlib.new(algorithm)
    for chunk in _stream(str(seed), size):
        hasher.update(chunk)
    return Blob(media_type, Digest(algorithm, hasher.hexdigest()), size, str(seed))


def blob_of(data: bytes, media_type: str, algorithm: str = "sha256") -> Blob:
    """Make a blob of given bytes."""
    return Blob(media_type, Digest.of(data, algorithm), len(data), data=data)


def make_image(
    seed: int | str,
    layers: Sequence[int | Blob] = (2_000, 3_000),
    *,
    docker: bool = False,
    algorithm: str = "sha256",
    foreign: Sequence[int] = (),
    platform: str = "linux/amd64",
    extra: Mapping[str, Any] | None = None,
) -> Image:
    """Make an image whose layers have the given sizes; a Blob among them is taken as it is (shared, duplicate).

    `docker` chooses Docker's media types, `algorithm` that of blob digests, `foreign` are sizes of layers that stay
    elsewhere, `platform` is os/architecture[/variant], `extra` keys go into the manifest (annotations, subject).
    """
    layer_type, foreign_type, config_type = (
        (DOCKER_LAYER, DOCKER_FOREIGN, DOCKER_CONFIG) if docker else (OCI_LAYER, OCI_FOREIGN, OCI_CONFIG)
    )
    own = tuple(
        one if isinstance(one, Blob) else make_blob(f"{seed}/{n}", one, media_type=layer_type, algorithm=algorithm)
        for n, one in enumerate(layers)
    )
    away = tuple(
        make_blob(f"{seed}/foreign/{n}", size, media_type=foreign_type, algorithm=algorithm)
        for n, size in enumerate(foreign)
    )
    fields = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    config = blob_of(_config(str(seed), fields, own + away), config_type, algorithm)
    media_type = MediaType.DOCKER_MANIFEST if docker else MediaType.OCI_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type.value,
        "config": _descriptor(config),
        "layers": [_descriptor(one) for one in own]
        + [_descriptor(one) | {"urls": [f"https://layers.example.com/{one.digest}"]} for one in away],
        **(extra or {}),
    }
    body = _encode(manifest)
    return Image(media_type.value, Digest.of(body), body, config, own, away, fields)


def make_index(children: Sequence[Content], *, docker: bool = False, extra: Mapping[str, Any] | None = None) -> Index:
    """Make an index (Docker: manifest list) over `children`, which may be indexes themselves."""
    media_type = MediaType.DOCKER_LIST if docker else MediaType.OCI_INDEX
    entries: list[dict[str, Any]] = []
    for child in children:
        entry: dict[str, Any] = {
            "mediaType": child.media_type,
            "digest": str(child.digest),
            "size": len(child.body),
        }
        if isinstance(child, Image):
            entry["platform"] = dict(child.platform)
        entries.append(entry)
    body = _encode({"schemaVersion": 2, "mediaType": media_type.value, "manifests": entries, **(extra or {})})
    return Index(media_type.value, Digest.of(body), body, tuple(children))


def _config(seed: str, platform: Mapping[str, str], layers: Sequence[Blob]) -> bytes:
    return _encode(
        {
            "created": "2024-01-01T00:00:00Z",
            **platform,
            "config": {"Labels": {"seed": seed}},
            "rootfs": {"type": "layers", "diff_ids": [str(one.digest) for one in layers]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": f"seed {seed}"} for _ in layers],
        }
    )


def _descriptor(blob: Blob) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": str(blob.digest), "size": blob.size}


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=3).encode()


@functools.lru_cache(maxsize=1)
def _ballast() -> bytes:
    return random.Random("ballast").randbytes(CHUNK)


def _stream(seed: str, size: int) -> Iterator[bytes]:
    """Yield chunks that differ from each other by their first bytes only: made at the speed of a copy."""
    key = hashlib.blake2b(seed.encode(), digest_size=32)
    for number, start in enumerate(range(0, size, CHUNK)):
        turn = key.copy()
        turn.update(number.to_bytes(8, "big"))
        head = (_GZIP_MAGIC if number == 0 else b"") + turn.digest()
        # Small blobs are random as a whole: a window into the ballast that depends on the seed.
        offset, wanted = int.from_bytes(turn.digest()[:2], "big"), min(CHUNK, size - start)
        window = _ballast()[offset : offset + wanted]
        yield (head + window + _ballast()[: wanted - len(window)])[:wanted]
