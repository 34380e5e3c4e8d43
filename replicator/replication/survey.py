"""Look before copying: read the manifest tree at the source now, and recall what the replica has (DESIGN 3)."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import anyio

from replicator import manifest as manifests
from replicator.errors import ContentError, NotFound, Reason
from replicator.manifest import Closure, Manifest
from replicator.model import Descriptor, Digest, Platform, RawManifest, Repository
from replicator.plan import Facts
from replicator.platforms import check_chosen, choose
from replicator.registry.capabilities import Capability
from replicator.replication.ports import Source
from replicator.replication.tools import Tools
from replicator.together import together

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
        self._under_way: dict[tuple[str, Repository, Digest], anyio.Event] = {}

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

    def under_way(self, source: str, repository: Repository, digest: Digest) -> anyio.Event | None:
        """Return what is set when the read of a manifest by another copy ends; None when nobody reads it now."""
        return self._under_way.get((source, repository, digest))

    @contextmanager
    def reading(self, source: str, repository: Repository, digest: Digest) -> Iterator[None]:
        """Be the one who reads it."""
        key = (source, repository, digest)
        ended = self._under_way[key] = anyio.Event()
        try:
            yield
        finally:
            del self._under_way[key]
            ended.set()


async def read_closure(
    source: Source,
    repository: Repository,
    top: RawManifest,
    cache: ManifestCache,
    platforms: Sequence[Platform] | None = None,
) -> Closure:
    """Read everything under `top`, level by level: of an index what `platforms` asks for (None: all).

    Raises NotFound, ContentError, RegistryError.

    A child of an unknown media type is taken for a blob when the source has no such manifest (image-spec: unknown
    types must not fail a copy; build caches list layers in an index).
    """
    root = choose(manifests.parse(top, registry=source.name), platforms)
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
                below[child.digest] = chosen = choose(read, platforms)
                level += chosen.children
    else:
        raise ContentError(
            f"{source.name}: manifest {top.digest} nests indexes deeper than {manifests.MAX_DEPTH}",
            registry=source.name,
            reason=Reason.UNSUPPORTED,
        )
    closure = manifests.closure(root, below, loose)
    check_chosen(closure, platforms, registry=source.name)
    return closure


async def _read_child(
    source: Source, repository: Repository, child: Descriptor, cache: ManifestCache
) -> Manifest | None:
    known_type = manifests.is_manifest_type(child.media_type)
    while (other := cache.under_way(source.name, repository, child.digest)) is not None:
        await other.wait()
    cached = cache.get(child.digest)
    if cached is not None and _fits(cached.raw, child, known_type=known_type):
        return cached
    try:
        with cache.reading(source.name, repository, child.digest):
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


async def recall(tools: Tools, repository: Repository, closure: Closure, *, careful: bool = False) -> Facts:
    """Return what is known of `closure` in `repository` of the replica, without asking it (DESIGN 3, first rungs).

    What is only believed the copy has verified, by the registry where that checks manifests, else by asking;
    `careful` tells it to ask for everything.
    """
    replica, presence = tools.replica, tools.presence
    blobs = [blob.digest for blob in closure.blobs]
    manifests_below = [manifest.raw.digest for manifest in closure.manifests[:-1]]
    present = {digest for digest in (*blobs, *manifests_below) if presence.proven(repository, digest)}
    believed = {digest for digest in blobs if presence.knows(repository, digest)}
    unknown = [digest for digest in blobs if digest not in believed]
    held = await tools.locations.locations(replica.name, unknown) if unknown else {}
    remembered = {digest for digest in unknown if repository in held.get(digest, ())}
    return Facts(
        present=frozenset(present),
        believed=frozenset(believed | remembered),
        locations={digest: _worth_a_mount(tools, repository, digest, held.get(digest, ())) for digest in unknown},
        others=presence.others(repository, remembered=bool(believed or remembered)),
        checks_manifests=replica.capabilities.holds(Capability.CHECKS_MANIFESTS) is True,
        careful=careful,
    )


def _worth_a_mount(
    tools: Tools, repository: Repository, digest: Digest, held: tuple[Repository, ...]
) -> tuple[Repository, ...]:
    """Return where a blob may be mounted from, best first: what the replica showed us before what is remembered."""
    holder = tools.presence.holder(digest)
    candidates = held if holder is None else (holder, *(other for other in held if other != holder))
    return tuple(other for other in candidates if tools.mounts.may_work(other, repository))
