"""Carry out a plan on one replica: bring the blobs, then put the manifests, wave by wave, the reference last (G2)."""

from collections.abc import Awaitable, Callable
from functools import partial

from replicator.model import Digest, Repository
from replicator.observability.labels import BlobResult
from replicator.plan import ManifestStep, Plan
from replicator.replication.bring import Bringer, Tally
from replicator.replication.ports import Source
from replicator.replication.tools import Tools
from replicator.together import together


class Copy:
    """One run of one plan: `source`/`repository` there -> `target` on the replica."""

    def __init__(
        self, tools: Tools, source: Source, repository: Repository, target: Repository, tally: Tally
    ) -> None:
        self._tools = tools
        self._source = source
        self._repository = repository
        self._target = target
        self.tally = tally
        self.publishing = False

    async def run(self, plan: Plan, may_publish: Callable[[], Awaitable[None]]) -> None:
        """Take every step; `may_publish` is asked right before the reference is put and raises to stop that.

        `publishing` is true from then on: an error after that leaves the outcome of the put unknown.
        """
        self.tally.missing.update((step.blob.digest, step.blob.size) for step in plan.blobs)
        with self._tools.claims.enter(self._target, [step.blob.digest for step in plan.blobs]) as claim:
            bringer = Bringer(self._tools, self._source, self._repository, self._target, self.tally, claim)
            try:
                for blob in plan.present:
                    bringer.settled(blob, BlobResult.EXISTED)
                await self._bring(bringer, plan)
                for wave in plan.waves[:-1]:
                    await together([partial(self._put, step) for step in wave])
                await self._remember(plan, bringer.learned)
                await may_publish()
            except BaseException:
                await together([partial(self._tools.replica.cancel_upload, one) for one in bringer.surplus])
                raise
            self.publishing = True
            cancels = [partial(self._tools.replica.cancel_upload, session) for session in bringer.surplus]
            await together([partial(self._put, plan.top), *cancels])
            for digest in plan.assumed:
                self._tools.presence.learn(self._target, digest)

    async def _bring(self, bringer: Bringer, plan: Plan) -> None:
        wanted = ((step.blob.digest, bringer.subscribe(step.blob)) for step in plan.blobs)
        reads = {digest: read for digest, read in wanted if read is not None}
        try:
            await together([partial(bringer.bring, step, reads.get(step.blob.digest)) for step in plan.blobs])
        finally:
            for read in reads.values():
                read.close()

    async def _put(self, step: ManifestStep) -> None:
        await self._tools.replica.write_manifest(self._target, step.reference, step.manifest)
        self._tools.presence.learn(self._target, step.manifest.digest)

    async def _remember(self, plan: Plan, learned: list[Digest]) -> None:
        # Blobs that a mount may use later; the config and layers found present count as well.
        digests = [*learned, *(blob.digest for blob in plan.present if blob.digest not in plan.assumed)]
        if digests:
            await self._tools.locations.remember_blobs(self._tools.replica.name, self._target, digests)
