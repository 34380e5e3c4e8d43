"""Copy one closure to a replica under one reference, and mend what can be mended when its manifests are refused.

A refusal for missing content means one of three things: what was believed to be there is not (S20), the registry
wants layers that their publisher serves elsewhere (B8), or it takes no index of which children were left out.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from replicator.errors import ManifestBlobUnknown, Reason, RegistryError
from replicator.manifest import Closure
from replicator.model import Descriptor, Digest, RawManifest, Reference, Repository
from replicator.plan import ManifestStep, Plan, make_plan
from replicator.registry.capabilities import Capability
from replicator.replication.bring import Tally
from replicator.replication.copy import Copy
from replicator.replication.held import is_absent
from replicator.replication.mending import check_manifests
from replicator.replication.ports import Source
from replicator.replication.strictness import Strictness
from replicator.replication.survey import recall
from replicator.replication.tools import Tools
from replicator.together import together


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where copies of one job go: `repository` of the source to `target` on the replica, counted in `tally`."""

    repository: Repository
    target: Repository
    tally: Tally


async def never_mind() -> None:
    """Publish without asking: what goes by its digest can be put by anybody at any time."""


class ClosureCopy:
    """Copies closures from one source to one replica."""

    def __init__(self, tools: Tools, source: Source) -> None:
        self._tools = tools
        self._source = source
        self._strictness = Strictness(tools.replica, tools.clock)

    async def copy(
        self,
        closure: Closure,
        reference: Reference,
        where: Destination,
        *,
        may_publish: Callable[[], Awaitable[None]] = never_mind,
        on_copy: Callable[[Copy], None] = lambda _: None,
        damaged: frozenset[Digest] | None = None,
    ) -> None:
        """Bring all of `closure`, then put its top under `reference`, once `may_publish` returned.

        With `damaged` nothing is believed of the replica, and what has those digests is sent anew.

        `on_copy` is told of each try. Raises RegistryError: with UNSUPPORTED where the replica takes no index of
        which children are left out, which is remembered, so that the next time nothing is sent.
        """
        await self._check_sparse(closure, where)
        if damaged is not None:
            await self._forget(where.target)
        for last_try in (False, True):
            facts = await recall(self._tools, where.target, closure, careful=last_try or damaged is not None)
            facts = replace(facts, damaged=damaged or frozenset())
            copy = Copy(self._tools, self._source, where.repository, where.target, where.tally)
            on_copy(copy)
            try:
                steps = [partial(copy.run, make_plan(closure, reference, facts), may_publish)]
                if self._strictness.is_due(facts):
                    steps.append(partial(self._strictness.prove, where.target))
                await together(steps)
                break
            except ManifestBlobUnknown as error:
                # What was believed is no longer true, for example after the replica collected garbage.
                await self._forget(where.target)
                if last_try or _names(error, closure.omitted):
                    raise self._explained(closure, error) from error
                closure = await self._with_foreign_layers(closure, where)
        await check_manifests(self._tools.replica, where.target, closure, damaged or ())

    async def publish(
        self,
        top: RawManifest,
        reference: Reference,
        where: Destination,
        *,
        may_publish: Callable[[], Awaitable[None]],
        on_copy: Callable[[Copy], None],
    ) -> None:
        """Put `top`, of which the replica holds everything, under `reference`, once `may_publish` returned."""
        copy = Copy(self._tools, self._source, where.repository, where.target, where.tally)
        on_copy(copy)
        await copy.run(Plan(blobs=(), waves=((ManifestStep(top, reference),),), present=()), may_publish)

    async def _forget(self, target: Repository) -> None:
        self._tools.presence.forget(target)
        await self._tools.locations.forget_blobs(self._tools.replica.name, target)

    async def _check_sparse(self, closure: Closure, where: Destination) -> None:
        """Refuse before any byte is sent what the replica refuses; what it has already is not missing."""
        if not closure.omitted or await self._strictness.takes_sparse_index(where.target) is not False:
            return
        calls = [partial(is_absent, self._tools.replica, where.target, child.digest) for child in closure.omitted]
        if any(await together(calls)):
            raise self._no_sparse_index(closure)

    def _explained(self, closure: Closure, refusal: ManifestBlobUnknown) -> RegistryError:
        """Return what a refusal means that stays although all that is copied was just brought."""
        brought = {blob.digest for blob in closure.blobs}
        if closure.omitted and (not refusal.missing or _names(refusal, closure.omitted)):
            self._tools.replica.capabilities.learn(Capability.SPARSE_INDEX, holds=False)
            return self._no_sparse_index(closure)
        if any(layer.digest not in brought for layer in closure.foreign):
            return self._unsupported(
                f"refuses {closure.top.raw.digest} without its layers that are served elsewhere, and "
                f"{self._source.name} does not hold them"
            )
        return refusal

    def _no_sparse_index(self, closure: Closure) -> RegistryError:
        return self._unsupported(
            "takes no index of which children are missing, and the rule's platforms leave "
            f"{len(closure.omitted)} out of {closure.top.raw.digest}: write platforms: all for this replica"
        )

    def _unsupported(self, problem: str) -> RegistryError:
        name = self._tools.replica.name
        return RegistryError(f"{name} {problem}", registry=name, reason=Reason.UNSUPPORTED)

    async def _with_foreign_layers(self, closure: Closure, where: Destination) -> Closure:
        """Return the closure with those foreign layers that the source itself holds; elsewhere nobody is asked."""
        if not closure.foreign:
            return closure
        calls = [partial(self._source.has_blob, where.repository, layer) for layer in closure.foreign]
        held = await together(calls)
        found = (layer for layer, there in zip(closure.foreign, held, strict=True) if there)
        return replace(closure, blobs=(*closure.blobs, *found))


def _names(refusal: ManifestBlobUnknown, descriptors: Iterable[Descriptor]) -> bool:
    return any(str(one.digest) in refusal.missing for one in descriptors)
