"""What it takes to make one reference of a replica equal: the closure read at the primary, counted in the ledger."""

from functools import partial

from replicator.clock import Clock
from replicator.errors import NotFound
from replicator.forecast.amounts import RepositoryForecast
from replicator.forecast.ledger import Ledger
from replicator.forecast.ports import Memory, ReadPrimary
from replicator.forecast.replica_rows import Replica
from replicator.manifest import Closure
from replicator.model import Digest, RawManifest, Reference, Repository
from replicator.observability.labels import DifferenceKind
from replicator.policy import Policy
from replicator.referrers import is_fallback_tag
from replicator.replication.companions import Found, find_companions, find_listed
from replicator.replication.held import held_digest, is_absent
from replicator.replication.survey import ManifestCache, read_closure
from replicator.sweep.compare import Difference
from replicator.together import together


class Estimator:
    """Estimates for one replica; manifests of the primary are read through `cache`."""

    def __init__(
        self, primary: ReadPrimary, replica: Replica, cache: ManifestCache, memory: Memory, clock: Clock
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._cache = cache
        self._ledger = Ledger(replica.client, memory, clock)

    async def estimate(self, difference: Difference, policy: Policy, into: RepositoryForecast) -> bool:
        """Count what `difference` takes, and say whether it takes anything: the list may not have been all.

        Raises RegistryError, ContentError of either end.
        """
        repository, reference = difference.key.repository, difference.key.reference
        target = self._replica.target(repository)
        try:
            top: RawManifest | None = await self._primary.read_manifest(repository, reference)
        except NotFound:
            top = None  # gone meanwhile
        if is_fallback_tag(reference):
            found = await find_listed(self._primary, repository, reference, top, self._cache, patient=False)
            if not await self._attach(found, target, into):
                return False
        elif top is None:
            return False
        else:
            is_new = difference.kind is not DifferenceKind.STALE
            if is_new and await held_digest(self._replica.client, target, reference) == top.digest:
                return False  # only its list of tags did not name it
            closure = await read_closure(self._primary, repository, top, self._cache, policy.platforms)
            await self._ledger.count(closure, reference, target, into)
            if policy.referrers:
                await self._attach(await self._companions(repository, closure), target, into)
        if difference.kind is DifferenceKind.STALE:
            into.different += 1
        else:
            into.new += 1
        return True

    async def _companions(self, repository: Repository, closure: Closure) -> Found:
        digests = (manifest.raw.digest for manifest in closure.manifests)
        return await find_companions(self._primary, repository, digests, self._cache, patient=False)

    async def _attach(self, found: Found, target: Repository, into: RepositoryForecast) -> bool:
        """Count companions that the replica lacks; say whether it lacks any."""
        companions = [one for level in found.levels for one in level]
        lacking = await together([partial(self._lacks, target, one.reference, one.raw) for one in companions])
        missing = [one for one, lacks in zip(companions, lacking, strict=True) if lacks]
        for one in missing:
            await self._ledger.count(one.closure, one.reference, target, into)
        return bool(missing)

    async def _lacks(self, target: Repository, reference: Reference, raw: RawManifest) -> bool:
        if isinstance(reference, Digest):
            return await is_absent(self._replica.client, target, reference)
        return await held_digest(self._replica.client, target, reference) != raw.digest
