"""What one replica really holds: its tags, and for each image whether all that it needs is there.

Manifests are read from the replica itself, since their digest tells what they must be; the primary is only asked for
those that the replica does not serve, so that what they need is looked at all the same.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial

import anyio

from replicator import manifest as manifests
from replicator.audit.findings import Fault, Lack, Part
from replicator.audit.once import Once
from replicator.audit.ports import Holder
from replicator.errors import ContentError, NotFound, Reason
from replicator.manifest import Manifest
from replicator.model import Descriptor, Digest, RawManifest, Reference, Repository, parse_repository
from replicator.platforms import choose
from replicator.policy import Policy
from replicator.registry.read_back import is_blob_intact
from replicator.together import together

MOST_MANIFESTS = 10_000
"""Most manifests under one reference, as for a copy."""
HELD_BYTES = 8 * 1024 * 1024
"""Bodies of manifests kept; parsed they take some four times as much."""
HELD = 2000
"""Manifests kept: a small one takes 2 KiB however small its body."""
PARTS = 20_000
"""Manifests and blobs of one replica that are remembered to be there: some 8 MB."""


class Manifests:
    """Parsed manifests by digest, so many and so large at most; the least recently used go first."""

    def __init__(self) -> None:
        self._held = 0
        self._entries: OrderedDict[Digest, Manifest] = OrderedDict()

    def get(self, digest: Digest) -> Manifest | None:
        """Return the manifest with that digest."""
        found = self._entries.get(digest)
        if found is not None:
            self._entries.move_to_end(digest)
        return found

    def add(self, raw: RawManifest, registry: str) -> Manifest:
        """Parse and keep verified bytes. Raises ContentError."""
        parsed = manifests.parse(raw, registry=registry)
        if raw.digest not in self._entries:
            self._entries[raw.digest] = parsed
            self._held += len(raw.body)
            while self._held > HELD_BYTES or len(self._entries) > HELD:
                self._held -= len(self._entries.popitem(last=False)[1].raw.body)
        return parsed


class Holdings:
    """One replica during one audit. Raises RegistryError and ContentError for what it does not tell."""

    def __init__(
        self,
        replica: Holder,
        primary: Holder,
        *,
        prefix: str,
        at_once: int,
        manifests: Manifests,
        on_read: Callable[[int], None] | None = None,
    ) -> None:
        """Look at content with at most `at_once` requests at a time; hash all of it where `on_read` is given."""
        self._replica = replica
        self._primary = primary
        self._prefix = prefix
        self._on_read = on_read
        self._manifests = manifests
        self._asking = anyio.CapacityLimiter(at_once)
        self._parts: Once[tuple[Repository, Digest]] = Once(most=PARTS)
        self._bytes: Once[Digest] = Once(faults_stay=True)

    async def named(self, repository: Repository, reference: Reference) -> Digest | None:
        """Return what `reference` of the primary's `repository` names here, None for nothing."""
        async with self._asking:
            found = await self._replica.stat_manifest(self.target(repository), reference)
        return None if found is None else found.digest

    async def lacks(self, repository: Repository, top: Digest, policy: Policy) -> tuple[Lack, ...]:
        """Return what of the closure of `top`, which a tag names here, is not served as it should be.

        Where the policy has referrers travel along, what the primary's API lists for each manifest is looked for too.
        """
        target, blobs, found = self.target(repository), dict[Digest, Descriptor](), list[Lack]()
        seen: set[Digest] = {top}
        level: dict[Digest, Descriptor | None] = {top: None}
        while level:
            _check_size(self._replica.name, top, seen)
            calls = [partial(self._manifest, repository, digest, child) for digest, child in level.items()]
            read = await together(calls)
            below: dict[Digest, Descriptor | None] = {}
            for (digest, child), (manifest, fault) in zip(level.items(), read, strict=True):
                if fault is not None:
                    found.append(Lack(digest, Part.MANIFEST, fault))
                if manifest is None:
                    blobs |= {} if child is None else {digest: child}
                    continue
                chosen = choose(manifest, policy.platforms)
                blobs |= {blob.digest: blob for blob in chosen.blobs}
                below |= {one.digest: one for one in chosen.children if one.digest not in seen}
            seen |= below.keys()
            level = below
        faults = await together([partial(self._blob, target, blob) for blob in blobs.values()])
        found += [Lack(digest, Part.BLOB, fault) for digest, fault in zip(blobs, faults, strict=True) if fault]
        if policy.referrers:
            found += await self._lacking_referrers(repository, seen - blobs.keys())
        return tuple(found)

    async def _lacking_referrers(self, repository: Repository, subjects: Iterable[Digest]) -> list[Lack]:
        """Return the referrers that are not here; those of a primary without the API go by tags, as others do."""
        target, listed = self.target(repository), set[Digest]()

        async def add(subject: Digest) -> None:
            async with self._asking:
                listed.update(one.digest for one in await self._primary.referrers(repository, subject) or ())

        async def ask(referrer: Digest) -> Fault | None:
            return await self._parts.ask((target, referrer), partial(self._ask_manifest, target, referrer))

        await together([partial(add, subject) for subject in subjects])
        wanted = sorted(listed, key=str)
        faults = await together([partial(ask, referrer) for referrer in wanted])
        return [Lack(one, Part.REFERRER, fault) for one, fault in zip(wanted, faults, strict=True) if fault]

    async def _manifest(
        self, repository: Repository, digest: Digest, child: Descriptor | None
    ) -> tuple[Manifest | None, Fault | None]:
        """Return a manifest and what is wrong with it here; no manifest where a child turns out to be a blob."""
        target, typed = self.target(repository), child is None or manifests.is_manifest_type(child.media_type)
        known = self._manifests.get(digest)
        fault = await self._parts.ask((target, digest), partial(self._ask_manifest, target, digest))
        if fault is Fault.ABSENT and not typed and known is None:
            # Unknown types must not fail a copy: build caches list layers in an index.
            with_primary = await self._read(self._primary, repository, digest, absent_is_none=True)
            return (None, None) if with_primary is None else (with_primary, fault)
        known = self._manifests.get(digest) or known
        if known is None:
            where, place = (self._replica, target) if fault is None else (self._primary, repository)
            known = await self._read(where, place, digest)
        return known, fault

    async def _ask_manifest(self, target: Repository, digest: Digest) -> Fault | None:
        if self._manifests.get(digest) is not None and self._on_read is None:
            async with self._asking:
                return None if await self._replica.stat_manifest(target, digest) is not None else Fault.ABSENT
        try:
            await self._read(self._replica, target, digest)
        except NotFound:
            return Fault.ABSENT
        except ContentError as error:
            if error.reason is not Reason.DIGEST_MISMATCH:
                raise
            return Fault.BYTES
        return None

    async def _read(
        self, registry: Holder, repository: Repository, digest: Digest, *, absent_is_none: bool = False
    ) -> Manifest | None:
        try:
            async with self._asking:
                raw = await registry.read_manifest(repository, digest)
        except NotFound:
            if absent_is_none:
                return None
            raise
        return self._manifests.add(raw, registry.name)

    async def _blob(self, target: Repository, blob: Descriptor) -> Fault | None:
        return await self._parts.ask((target, blob.digest), partial(self._ask_blob, target, blob))

    async def _ask_blob(self, target: Repository, blob: Descriptor) -> Fault | None:
        try:
            async with self._asking:
                if not await self._replica.has_blob(target, blob):
                    return Fault.ABSENT
        except ContentError:
            return Fault.SIZE
        if self._on_read is None:
            return None
        return await self._bytes.ask(blob.digest, partial(self._hash, target, blob, self._on_read))

    async def _hash(self, target: Repository, blob: Descriptor, on_read: Callable[[int], None]) -> Fault | None:
        async with self._asking:
            try:
                intact = await is_blob_intact(self._replica, target, blob, on_read)
            except NotFound:
                intact = False  # the registry has just said that it has it: it is wrong about that
        return None if intact else Fault.BYTES

    def target(self, repository: Repository) -> Repository:
        """Return the name that the primary's `repository` has here."""
        return parse_repository(self._prefix + repository)


def _check_size(registry: str, top: Digest, seen: set[Digest]) -> None:
    if len(seen) > MOST_MANIFESTS:
        raise ContentError(
            f"{registry}: manifest {top} lists over {MOST_MANIFESTS} manifests",
            registry=registry,
            reason=Reason.UNSUPPORTED,
        )
