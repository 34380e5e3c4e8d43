"""Facts about a replica + what a reference needs -> the ordered steps that make the replica equal. Pure.

The order is guarantee G2: every blob, then child manifests before the indexes that name them, then the top manifest
under its reference, last. Stopping after any step leaves no manifest whose content is incomplete.

For each blob the plan takes the way with the fewest round trips, and of those the one with the fewest requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from replicator.manifest import Closure, Manifest
from replicator.model import Descriptor, Digest, RawManifest, Reference, Repository

SMALL = 64 * 1024
"""Bytes up to which a blob that is probably absent is sent without asking: as cheap as the question."""


class Others(StrEnum):
    """What a repository of the replica may hold that we do not know of."""

    NONE = "none"  # as far as was seen there is only what we brought
    SOME = "some"  # it was seen to hold blobs of which we knew nothing
    UNKNOWN = "unknown"


class Way(StrEnum):
    """How a blob that is not proven to be there is brought."""

    ASK = "ask"  # HEAD, and bring it only if it is missing
    BOTH = "both"  # HEAD and an upload opened at the same time: one round trip less if it is missing
    BRING = "bring"  # mount or send without asking
    ANEW = "anew"  # send it, whatever the registry says that it holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the replica's repository.

    `present` are blobs and manifests that it was just proven to hold, `believed` blobs that it held when last heard
    of; `locations` name, for blobs not present, other repositories of the same replica that are known to hold them
    and to be worth a mount, best first. `checks_manifests`: the registry is proven to refuse a manifest whose blobs
    or children are missing. `careful`: it has just refused one, so that each blob is asked for. `damaged` are blobs
    that it holds with wrong bytes.
    """

    present: frozenset[Digest] = frozenset()
    believed: frozenset[Digest] = frozenset()
    locations: Mapping[Digest, tuple[Repository, ...]] = field(default_factory=dict)
    others: Others = Others.UNKNOWN
    checks_manifests: bool = False
    careful: bool = False
    damaged: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class BlobStep:
    """Bring one blob by `way`: mount it from the first of `mount_from`, else send it. Steps may run in parallel."""

    blob: Descriptor
    mount_from: tuple[Repository, ...] = ()
    way: Way = Way.BRING
    believed: bool = False


@dataclass(frozen=True, slots=True)
class ManifestStep:
    """Put one manifest under `reference`, after all blob steps and all manifest steps before this one."""

    manifest: RawManifest
    reference: Reference


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order: all of `blobs`, then the `waves` one after the other; inside each the order is free.

    The last wave is the top manifest alone. `present` are the blobs that need nothing; `assumed`, some of them, are
    only believed to be there: the registry itself checks that when it is given the manifests of the waves.
    """

    blobs: tuple[BlobStep, ...]
    waves: tuple[tuple[ManifestStep, ...], ...]
    present: tuple[Descriptor, ...]
    assumed: frozenset[Digest] = frozenset()

    @property
    def top(self) -> ManifestStep:
        """The step that publishes: the reference itself."""
        return self.waves[-1][0]

    @property
    def bytes_to_bring(self) -> int:
        """Bytes of blobs that are not present: what is sent if none is found there and no mount works."""
        return sum(step.blob.size for step in self.blobs)


def make_plan(closure: Closure, reference: Reference, facts: Facts) -> Plan:
    """Return the steps that bring `closure` to a replica of which `facts` hold, ending with `reference`.

    With no referrers to go in between, the top manifest is put once, under its reference: a registry stores manifest
    and tag in one request. Large blobs come first, so that the longest transfer starts at once.
    """
    waves = _child_waves(closure, facts)
    assumed = _assumed(closure, facts)
    there = (facts.present | assumed) - facts.damaged
    absent = [blob for blob in closure.blobs if blob.digest not in there]
    absent.sort(key=lambda blob: (-blob.size, blob.digest))
    return Plan(
        blobs=tuple(_step(blob, facts) for blob in absent),
        waves=(*waves, (ManifestStep(closure.top.raw, reference),)),
        present=tuple(blob for blob in closure.blobs if blob.digest in there),
        assumed=assumed,
    )


def _assumed(closure: Closure, facts: Facts) -> frozenset[Digest]:
    """Return the blobs whose presence the registry itself checks: each manifest that is put vouches for its own."""
    if not facts.checks_manifests or facts.careful:
        return frozenset()
    put = (one for one in closure.manifests if one is closure.top or not _skipped(one, facts))
    return frozenset(blob.digest for one in put for blob in one.blobs) & facts.believed - facts.present


def _step(blob: Descriptor, facts: Facts) -> BlobStep:
    if blob.digest in facts.damaged:
        return BlobStep(blob, way=Way.ANEW)
    mount_from = facts.locations.get(blob.digest, ())
    believed = blob.digest in facts.believed
    return BlobStep(blob, mount_from, _way(blob, facts, believed=believed, mountable=bool(mount_from)), believed)


def _way(blob: Descriptor, facts: Facts, *, believed: bool, mountable: bool) -> Way:
    if facts.careful or believed:
        return Way.ASK
    if mountable:
        # Done in one round trip, whether or not it is there already.
        return Way.BRING
    if facts.others is Others.SOME:
        return Way.ASK
    if facts.others is Others.NONE and blob.size <= SMALL:
        return Way.BRING
    return Way.BOTH


def _child_waves(closure: Closure, facts: Facts) -> tuple[tuple[ManifestStep, ...], ...]:
    heights: dict[Digest, int] = {}
    waves: dict[int, list[ManifestStep]] = {}
    for manifest in closure.manifests[:-1]:
        below = (heights[child.digest] for child in manifest.children if child.digest in heights)
        height = heights[manifest.raw.digest] = 1 + max(below, default=0)
        if not _skipped(manifest, facts):
            waves.setdefault(height, []).append(ManifestStep(manifest.raw, manifest.raw.digest))
    return tuple(tuple(waves[height]) for height in sorted(waves))


def _skipped(manifest: Manifest, facts: Facts) -> bool:
    return manifest.raw.digest in facts.present and not facts.careful
