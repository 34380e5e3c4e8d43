"""The blobs of one replica, each counted once: what is there, what is mounted, what is sent."""

from functools import partial

from replicator.clock import Clock
from replicator.forecast.amounts import RepositoryForecast
from replicator.forecast.ports import Memory, ReadReplica
from replicator.manifest import Closure
from replicator.model import Descriptor, Digest, Reference, Repository
from replicator.plan import Facts, make_plan
from replicator.replication.mounts import Mounts
from replicator.together import together


class Ledger:
    """Counts what images need on one replica, in the order in which they are given.

    A blob that several images of a repository need is counted with the first; one that another repository holds, or
    will hold by then, is mounted, unless the registry is known to mount nothing.
    """

    def __init__(self, replica: ReadReplica, memory: Memory, clock: Clock) -> None:
        self._replica = replica
        self._memory = memory
        self._mounts = Mounts(replica.capabilities, clock)
        self._counted: set[tuple[Repository, Digest]] = set()
        self._holders: dict[Digest, Repository] = {}

    async def count(
        self, closure: Closure, reference: Reference, target: Repository, into: RepositoryForecast
    ) -> None:
        """Count the blobs of `closure`, as it would be copied to `target`. Raises RegistryError, ContentError."""
        new = [blob for blob in closure.blobs if (target, blob.digest) not in self._counted]
        # Before anything is awaited: another image of the repository is counted at the same time.
        self._counted.update((target, blob.digest) for blob in new)
        present = await self._there(new, target)
        absent = [blob.digest for blob in new if blob.digest not in present]
        known = await self._memory.locations(self._replica.name, absent) if absent else {}
        locations = {digest: self._worth_a_mount(digest, known.get(digest, ()), target) for digest in absent}
        others = {blob.digest for blob in closure.blobs} - {blob.digest for blob in new}
        plan = make_plan(closure, reference, Facts(present=frozenset(present | others), locations=locations))
        for step in plan.blobs:
            (into.mount if step.mount_from else into.send).add(step.blob.size)
        for blob in plan.present:
            if blob.digest not in others:
                into.present.add(blob.size)
        for blob in new:
            self._holders.setdefault(blob.digest, target)

    async def _there(self, blobs: list[Descriptor], target: Repository) -> set[Digest]:
        answers = await together([partial(self._replica.has_blob, target, blob) for blob in blobs])
        return {blob.digest for blob, there in zip(blobs, answers, strict=True) if there}

    def _worth_a_mount(
        self, digest: Digest, remembered: tuple[Repository, ...], target: Repository
    ) -> tuple[Repository, ...]:
        holder = self._holders.get(digest)
        candidates = remembered if holder is None else (holder, *remembered)
        return tuple(one for one in candidates if self._mounts.may_work(one, target))
