"""Facts about a replica + what a reference needs -> the ordered steps that make the replica equal. Pure.

The order is guarantee G2: every blob, then child manifests before the indexes that name them, then the top manifest
under its reference, last. Stopping after any step leaves no manifest whose content is incomplete.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from replicator.manifest import Closure
from replicator.model import Descriptor, Digest, RawManifest, Reference, Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the replica's repository.

    `present` are blobs and manifests that it holds; `locations` name, for absent blobs, other repositories of the
    same replica that are known to hold them, best first.
    """

    present: frozenset[Digest] = frozenset()
    locations: Mapping[Digest, tuple[Repository, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlobStep:
    """Bring one blob: mount it from the first of `mount_from` that works, else send it. Steps may run in parallel."""

    blob: Descriptor
    mount_from: tuple[Repository, ...] = ()


@dataclass(frozen=True, slots=True)
class ManifestStep:
    """Put one manifest under `reference`, after all blob steps and all manifest steps before this one."""

    manifest: RawManifest
    reference: Reference


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order: all of `blobs`, then the `waves` one after the other; inside each the order is free.

    The last wave is the top manifest alone. `present` are the blobs that need nothing.
    """

    blobs: tuple[BlobStep, ...]
    waves: tuple[tuple[ManifestStep, ...], ...]
    present: tuple[Descriptor, ...]

    @property
    def top(self) -> ManifestStep:
        """The step that publishes: the reference itself."""
        return self.waves[-1][0]

    @property
    def bytes_to_bring(self) -> int:
        """Bytes of blobs that are not present: what is sent if no mount works."""
        return sum(step.blob.size for step in self.blobs)


def make_plan(closure: Closure, reference: Reference, facts: Facts) -> Plan:
    """Return the steps that bring `closure` to a replica of which `facts` hold, ending with `reference`.

    With no referrers to go in between, the top manifest is put once, under its reference: a registry stores manifest
    and tag in one request. Large blobs come first, so that the longest transfer starts at once.
    """
    absent = [blob for blob in closure.blobs if blob.digest not in facts.present]
    absent.sort(key=lambda blob: (-blob.size, blob.digest))
    return Plan(
        blobs=tuple(BlobStep(blob, facts.locations.get(blob.digest, ())) for blob in absent),
        waves=(*_child_waves(closure, facts), (ManifestStep(closure.top.raw, reference),)),
        present=tuple(blob for blob in closure.blobs if blob.digest in facts.present),
    )


def _child_waves(closure: Closure, facts: Facts) -> tuple[tuple[ManifestStep, ...], ...]:
    heights: dict[Digest, int] = {}
    waves: dict[int, list[ManifestStep]] = {}
    for manifest in closure.manifests[:-1]:
        below = (heights[child.digest] for child in manifest.children if child.digest in heights)
        height = heights[manifest.raw.digest] = 1 + max(below, default=0)
        if manifest.raw.digest not in facts.present:
            waves.setdefault(height, []).append(ManifestStep(manifest.raw, manifest.raw.digest))
    return tuple(tuple(waves[height]) for height in sorted(waves))
