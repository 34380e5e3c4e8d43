"""Look before copying: read the manifest tree at the source now, and ask the replica what it has (DESIGN 3)."""

from collections import OrderedDict
from functools import partial

from replicator import manifest as manifests
from replicator.errors import ContentError, NotFound, Reason
from replicator.manifest import Closure, Manifest
from replicator.model import Descriptor, Digest, RawManifest, Repository
from replicator.plan import Facts
from replicator.replication.ports import BlobLocations, Replica, Source
from replicator.replication.presence import Presence
from replicator.replication.together import together

MAX_MANIFESTS = 10_000
"""Most manifests under one reference."""
MAX_LISTED = 64 * 1024 * 1024
"""Most bytes of manifests under one reference, as their descriptors say: all of them are held at once."""
_CACHE_BYTES = 16 * 1024 * 1024


class ManifestCache:
    """Parsed manifests by digest, at most 16 MiB of bodies: what one lane has read, no other reads again."""

    def __init__(self, limit: int = _CACHE_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._entries: OrderedDict[Digest, Manifest] = OrderedDict()

    def get(self, digest: Digest) -> Manifest | None:
        """Return the manifest with that digest."""
        found = self._entries.get(digest)
        if found is not None:
            self._entries.move_to_end(digest)
        return found

    def add(self, manifest: Manifest) -> None:
        """Keep a verified manifest; the least recently used go first."""
        if manifest.raw.digest in self._entries:
            return
        self._entries[manifest.raw.digest] = manifest
        self._held += len(manifest.raw.body)
        while self._held > self._limit:
            _, dropped = self._entries.popitem(last=False)
            self._held -= len(dropped.raw.body)


async def read_closure(source: Source, repository: Repository, top: RawManifest, cache: ManifestCache) -> Closure:
    """Read everything under `top`, level by level. Raises NotFound, ContentError, RegistryError.

    A child of an unknown media type is taken for a blob when the source has no such manifest (image-spec: unknown
    types must not fail a copy; build caches list layers in an index).
    """
    root = manifests.parse(top, registry=source.name)
    below: dict[Digest, Manifest] = {}
    loose: list[Descriptor] = []
    level = list(root.children)
    listed = 0
    # One turn more than levels below the top: the last finds nothing left.
    for _ in range(manifests.MAX_DEPTH + 1):
        wanted = {child.digest: child for child in level if child.digest not in below}
        if not wanted:
            break
        listed += sum(child.size for child in wanted.values())
        if len(below) + len(wanted) > MAX_MANIFESTS or listed > MAX_LISTED:
            raise ContentError(
                f"{source.name}: manifest {top.digest} lists over {MAX_MANIFESTS} manifests or {MAX_LISTED} bytes",
                registry=source.name,
                reason=Reason.UNSUPPORTED,
            )
        found = await together([partial(_read_child, source, repository, child, cache) for child in wanted.values()])
        level = []
        for child, read in zip(wanted.values(), found, strict=True):
            if read is None:
                loose.append(child)
            else:
                below[child.digest] = read
                level += read.children
    else:
        raise ContentError(
            f"{source.name}: manifest {top.digest} nests indexes deeper than {manifests.MAX_DEPTH}",
            registry=source.name,
            reason=Reason.UNSUPPORTED,
        )
    return manifests.closure(root, below, loose)


async def _read_child(
    source: Source, repository: Repository, child: Descriptor, cache: ManifestCache
) -> Manifest | None:
    known_type = manifests.is_manifest_type(child.media_type)
    cached = cache.get(child.digest)
    if cached is not None and _fits(cached.raw, child, known_type=known_type):
        return cached
    try:
        raw = await source.read_manifest(repository, child.digest)
    except NotFound:
        if known_type:
            raise
        return None
    if not _fits(raw, child, known_type=known_type):
        raise ContentError(
            f"{source.name}: manifest {child.digest} differs from its descriptor in size or media type",
            registry=source.name,
        )
    parsed = manifests.parse(raw, registry=source.name)
    cache.add(parsed)
    return parsed


def _fits(raw: RawManifest, child: Descriptor, *, known_type: bool) -> bool:
    return len(raw.body) == child.size and (not known_type or raw.media_type == child.media_type)


async def ask_replica(
    replica: Replica, repository: Repository, closure: Closure, presence: Presence, locations: BlobLocations
) -> Facts:
    """Return what `repository` of the replica holds of `closure`: known, else asked; and where else blobs are.

    Blobs that another worker is bringing now are not asked for: the copy waits for them.
    """
    known = {blob.digest for blob in closure.blobs if presence.knows(repository, blob.digest)}
    known |= {m.raw.digest for m in closure.manifests[:-1] if presence.knows(repository, m.raw.digest)}
    unknown = [blob for blob in closure.blobs if blob.digest not in known and not presence.under_way(blob.digest)]
    held = await together([partial(replica.has_blob, repository, blob) for blob in unknown])
    for blob, there in zip(unknown, held, strict=True):
        if there:
            presence.learn(repository, blob.digest)
            known.add(blob.digest)
    absent = [blob.digest for blob in closure.blobs if blob.digest not in known]
    elsewhere = await locations.locations(replica.name, absent) if absent else {}
    return Facts(
        present=frozenset(known),
        locations={
            digest: tuple(other for other in found if other != repository) for digest, found in elsewhere.items()
        },
    )
