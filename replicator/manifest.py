"""Raw manifest bytes -> what they need: blobs, child manifests and subject (image-spec "Image Manifest", "Index").

Pure. The bytes themselves are never changed or re-serialised; what is parsed here only decides what to copy.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from replicator import strict_json
from replicator.errors import ContentError, NameInvalid, Reason
from replicator.model import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    SCHEMA1_TYPES,
    Descriptor,
    Digest,
    MediaType,
    Platform,
    RawManifest,
    shown,
)

MAX_MANIFEST = 8 * 1024 * 1024
"""Largest manifest that is read, bytes."""
MAX_ENTRIES = 1000
"""Most layers, or children, that one manifest may list."""
MAX_DEPTH = 8
"""Deepest nesting of indexes."""
_MAX_SIZE = 2**63 - 1
_DESCRIBES = "vnd.docker.reference.digest"
_FOREIGN_MARKS = ("nondistributable", ".foreign.")
_KEYS = {
    key.casefold(): key
    for key in ("mediaType", "config", "layers", "manifests", "blobs", "fsLayers", "subject", "digest", "size")
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed manifest: `raw` is what is pushed; `blobs` (config first) and `children` are what it needs.

    `foreign` are layers that their publisher serves elsewhere (nondistributable): never fetched from there. `omitted`
    are children that a policy leaves out: named in the bytes, not needed.
    """

    raw: RawManifest
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    foreign: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    omitted: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class Closure:
    """All that a reference needs: `manifests` with children before parents and the top last, `blobs` once each."""

    manifests: tuple[Manifest, ...]
    blobs: tuple[Descriptor, ...]

    @property
    def top(self) -> Manifest:
        """The manifest that the reference names."""
        return self.manifests[-1]

    @property
    def omitted(self) -> tuple[Descriptor, ...]:
        """Children that are named and not copied, once each."""
        here = {manifest.raw.digest for manifest in self.manifests}
        left_out = {child.digest: child for manifest in self.manifests for child in manifest.omitted}
        return tuple(child for digest, child in left_out.items() if digest not in here)

    @property
    def foreign(self) -> tuple[Descriptor, ...]:
        """Layers that are served elsewhere, once each."""
        return tuple({layer.digest: layer for manifest in self.manifests for layer in manifest.foreign}.values())


def parse(raw: RawManifest, *, registry: str) -> Manifest:
    """Parse `raw`, served by `registry`. Raises ContentError when it is malformed, ambiguous or of a refused type.

    Refused: schema 1, a body whose `mediaType` differs from its Content-Type, a body that is both an index and an
    image (CVE-2021-41190), keys in another case, sizes that are not whole numbers, over MAX_ENTRIES entries.
    """
    reader = _Reader(registry, raw)
    if raw.media_type in SCHEMA1_TYPES:
        reader.refuse("schema 1 manifests cannot be copied; push the image again with a current client")
    body = reader.body()
    declared = body.get("mediaType")
    if declared is not None and declared != raw.media_type:
        reader.refuse(f"served as {shown(raw.media_type)} but says mediaType {shown(str(declared))}")
    kinds = [name for name, keys in _SHAPES.items() if any(key in body for key in keys)]
    if len(kinds) != 1:
        reader.refuse("is not exactly one of index, image, artifact")
    expected = _shape_of(raw.media_type)
    if expected is None:
        reader.refuse(f"has the unknown media type {shown(raw.media_type)}")
    if kinds[0] != expected:
        reader.refuse(f"is served as {shown(raw.media_type)} but has the fields of an {kinds[0]}")
    subject = reader.descriptor(body["subject"], "subject") if body.get("subject") is not None else None
    if expected == "index":
        return Manifest(raw, children=reader.descriptors(body, "manifests"), subject=subject)
    if expected == "artifact":
        return Manifest(raw, blobs=reader.descriptors(body, "blobs"), subject=subject)
    config = reader.descriptor(body.get("config"), "config")
    layers = reader.descriptors(body, "layers")
    return Manifest(
        raw,
        blobs=(config, *(layer for layer in layers if not is_foreign(layer))),
        foreign=tuple(layer for layer in layers if is_foreign(layer)),
        subject=subject,
    )


def is_foreign(descriptor: Descriptor) -> bool:
    """Say whether a layer is nondistributable (image-spec "Non-Distributable Layers", Docker foreign layers)."""
    return any(mark in descriptor.media_type for mark in _FOREIGN_MARKS)


def is_manifest_type(media_type: str) -> bool:
    """Say whether `media_type` names a manifest or an index that can be copied."""
    return media_type in INDEX_TYPES or media_type in MANIFEST_TYPES


def closure(top: Manifest, below: Mapping[Digest, Manifest], loose: Iterable[Descriptor] = ()) -> Closure:
    """Order what `top` needs: `below` holds every manifest under it, `loose` children that proved to be blobs.

    Raises ContentError when one digest is given two sizes, KeyError when a child is in neither.
    """
    proven_blobs = {blob.digest for blob in loose}
    ordered: dict[Digest, Manifest] = {}
    blobs: dict[Digest, Descriptor] = {}

    def need(blob: Descriptor, manifest: Manifest) -> None:
        if blobs.setdefault(blob.digest, blob).size != blob.size:
            raise ContentError(
                f"manifest {manifest.raw.digest} lists blob {blob.digest} with another size than before",
                registry="",
                reason=Reason.UNSUPPORTED,
            )

    def visit(manifest: Manifest) -> None:
        if manifest.raw.digest in ordered:
            return
        for child in manifest.children:
            if child.digest in proven_blobs:
                need(child, manifest)
            else:
                visit(below[child.digest])
        for blob in manifest.blobs:
            need(blob, manifest)
        ordered[manifest.raw.digest] = manifest

    visit(top)
    return Closure(tuple(ordered.values()), tuple(blobs.values()))


_SHAPES: Mapping[str, Sequence[str]] = {
    "index": ("manifests",),
    "image": ("layers", "config"),
    "artifact": ("blobs",),
    "schema 1 manifest": ("fsLayers",),
}


def _shape_of(media_type: str) -> str | None:
    if media_type in INDEX_TYPES:
        return "index"
    if media_type == MediaType.OCI_ARTIFACT:
        return "artifact"
    return "image" if media_type in MANIFEST_TYPES else None


class _Reader:
    """Reads untrusted fields and names the manifest and the registry in every refusal."""

    def __init__(self, registry: str, raw: RawManifest) -> None:
        self._registry = registry
        self._raw = raw

    def refuse(self, why: str) -> NoReturn:
        raise ContentError(
            f"{self._registry}: manifest {self._raw.digest} {why}",
            registry=self._registry,
            reason=Reason.UNSUPPORTED,
        )

    def body(self) -> dict[str, Any]:
        try:
            body = strict_json.loads(self._raw.body, limit=MAX_MANIFEST)
        except strict_json.Invalid as error:
            raise ContentError(
                f"{self._registry}: manifest {self._raw.digest}: {error}",
                registry=self._registry,
                reason=Reason.UNSUPPORTED,
            ) from error
        if not isinstance(body, dict):
            self.refuse("is not a JSON object")
        self._exact_keys(body)
        return body

    def _exact_keys(self, fields: dict[str, Any]) -> None:
        # Registries and clients written in Go match keys without regard to case: they would see other content.
        for key in fields:
            known = _KEYS.get(key.casefold(), key)
            if known != key:
                self.refuse(f"spells {known} as {shown(key)}")

    def descriptors(self, body: dict[str, Any], key: str) -> tuple[Descriptor, ...]:
        entries = body.get(key)
        if entries is None:
            return ()
        if not isinstance(entries, list):
            self.refuse(f"has {key} that are no list")
        if len(entries) > MAX_ENTRIES:
            self.refuse(f"lists {len(entries)} {key}, more than {MAX_ENTRIES}")
        return tuple(self.descriptor(entry, key) for entry in entries)

    def descriptor(self, entry: object, key: str) -> Descriptor:
        if not isinstance(entry, dict):
            self.refuse(f"has a descriptor in {key} that is no object")
        self._exact_keys(entry)
        size = entry.get("size")
        if type(size) is not int or not 0 <= size <= _MAX_SIZE:
            self.refuse(f"has a descriptor in {key} with size {shown(str(size), 40)}")
        media_type, digest = entry.get("mediaType"), entry.get("digest")
        if not isinstance(media_type, str) or not isinstance(digest, str):
            self.refuse(f"has a descriptor in {key} without mediaType or digest")
        try:
            parsed = Digest.parse(digest)
        except NameInvalid as error:
            raise ContentError(
                f"{self._registry}: manifest {self._raw.digest}: {key}: {error}",
                registry=self._registry,
                reason=Reason.UNSUPPORTED,
            ) from error
        return Descriptor(
            media_type,
            parsed,
            size,
            _platform(entry.get("platform")),
            _described(entry.get("annotations")),
            _embedded(entry.get("data"), parsed, size),
        )


def _described(annotations: object) -> Digest | None:
    """Return the image that BuildKit says an attestation in an index is about."""
    named = annotations.get(_DESCRIBES) if isinstance(annotations, dict) else None
    if not isinstance(named, str):
        return None
    try:
        return Digest.parse(named)
    except NameInvalid:
        return None


def _embedded(data: object, digest: Digest, size: int) -> bytes | None:
    """Return the `data` of a descriptor, if it is what the digest says; else it counts as absent (B7)."""
    if not isinstance(data, str):
        return None
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError:
        return None
    return content if len(content) == size and Digest.of(content, digest.algorithm) == digest else None


def _platform(entry: object) -> Platform | None:
    if not isinstance(entry, dict):
        return None
    system, architecture, variant = (entry.get(key) for key in ("os", "architecture", "variant"))
    if not isinstance(system, str) or not isinstance(architecture, str):
        return None
    return Platform(system, architecture, variant if isinstance(variant, str) else "")
