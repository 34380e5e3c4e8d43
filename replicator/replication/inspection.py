"""What a replica lacks now of what the primary names: read from the one, asked of the other; writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import anyio

from replicator.errors import ContentError, NameInvalid, RegistryError
from replicator.lacks import Absent, Look, Part
from replicator.manifest import Closure, parse
from replicator.model import Descriptor, Digest, RawManifest, Reference, Repository, parse_repository
from replicator.policy import Policy
from replicator.replication.ports import Holder, Source
from replicator.replication.survey import ManifestCache, read_closure
from replicator.settings.schema import Settings
from replicator.together import together

PARTS_MAX = 500
"""Manifests and blobs asked for of one replica."""
AT_ONCE = 8
"""Requests to one replica at a time."""
WITHIN = 10.0
"""Seconds that one replica may take."""
_CACHE_BYTES = 2 * 1024 * 1024


@dataclass(slots=True)
class _Found:
    """What is known of one replica so far."""

    look: Look


class Inspector:
    """Looks at replicas; `primary` and `replicas` are the registries, `prefixes` go before names on each replica."""

    def __init__(self, primary: Source, replicas: Mapping[str, Holder], prefixes: Mapping[str, str]) -> None:
        self._primary = primary
        self._replicas = replicas
        self._prefixes = prefixes
        self._cache = ManifestCache(_CACHE_BYTES)

    async def look(
        self, replica: str, repository: Repository, reference: Reference, digest: Digest, policy: Policy
    ) -> Look:
        """Return what `replica` shows as `reference`, and lacks of `digest` under its policy. Never raises for these.

        What belongs to an image without being part of it (referrers) is not looked at.
        """
        if replica not in self._prefixes:
            return Look(problem=f"{replica} is not configured any more")
        found = _Found(Look())
        problem = f"{replica}: no answer in {WITHIN:g} s"
        with anyio.move_on_after(WITHIN):
            try:
                name = parse_repository(f"{self._prefixes[replica]}{repository}")
                await self._ask(found, self._replicas[replica], (name, reference), (repository, digest, policy))
                problem = ""
            except (RegistryError, ContentError, NameInvalid) as error:
                problem = str(error)
        return replace(found.look, problem=problem)

    async def _ask(
        self,
        found: _Found,
        replica: Holder,
        there: tuple[Repository, Reference],
        wanted: tuple[Repository, Digest, Policy],
    ) -> None:
        name, reference = there
        shown = await replica.stat_manifest(name, reference)
        found.look = Look(shown=None if shown is None else shown.digest)
        parts = _parts(await self._closure(*wanted))
        for start in range(0, min(len(parts), PARTS_MAX), AT_ONCE):
            page = parts[start : min(start + AT_ONCE, PARTS_MAX)]
            held = await together([partial(_holds, replica, name, part, blob) for part, blob in page])
            asked = zip(page, held, strict=True)
            lacking = [Absent(part, one.digest, one.size) for (part, one), is_held in asked if not is_held]
            found.look = replace(
                found.look, absent=(*found.look.absent, *lacking), asked=found.look.asked + len(page)
            )
        found.look = replace(found.look, unasked=max(0, len(parts) - PARTS_MAX))

    async def _closure(self, repository: Repository, digest: Digest, policy: Policy) -> Closure:
        top = await self._top(repository, digest)
        return await read_closure(self._primary, repository, top, self._cache, policy.platforms)

    async def _top(self, repository: Repository, digest: Digest) -> RawManifest:
        """Return the manifest, read once for all that look at the same time: the primary may tell of each read."""
        name = self._primary.name
        while (other := self._cache.under_way(name, repository, digest)) is not None:
            await other.wait()
        cached = self._cache.get(digest)
        if cached is not None:
            return cached.raw
        with self._cache.reading(name, repository, digest):
            raw = await self._primary.read_manifest(repository, digest)
            self._cache.add(parse(raw, registry=name))
        return raw


def _parts(closure: Closure) -> list[tuple[Part, Descriptor]]:
    """Return all that is needed, the top first: what lacks that may lack anything."""
    raws = [manifest.raw for manifest in reversed(closure.manifests)]
    manifests = [(Part.MANIFEST, Descriptor(raw.media_type, raw.digest, len(raw.body))) for raw in raws]
    return [*manifests, *((Part.BLOB, blob) for blob in closure.blobs)]


async def _holds(replica: Holder, name: Repository, part: Part, one: Descriptor) -> bool:
    if part is Part.BLOB:
        return await replica.has_blob(name, one)
    return await replica.stat_manifest(name, one.digest) is not None


def open_inspector(settings: Settings, registries: Mapping[str, Source]) -> Inspector:
    """Return what looks at replicas by clients that are open, by the names of the configuration."""
    prefixes = {one.name: one.repository_prefix for one in settings.replicas}
    return Inspector(registries[settings.primary.name], registries, prefixes)
