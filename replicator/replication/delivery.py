"""One reference, whole: its closure, what belongs to it, and the reference itself last (DESIGN 3, G2)."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from replicator import manifest as manifests
from replicator.manifest import Closure
from replicator.model import Digest, Lease, RawManifest, Reference
from replicator.policy import Policy
from replicator.replication.asides import Asides
from replicator.replication.attach import PATIENCE, Attacher, Errand
from replicator.replication.closure_copy import ClosureCopy, Destination
from replicator.replication.companions import Found, find_companions, find_listed
from replicator.replication.copy import Copy
from replicator.replication.image_platform import is_of_other_platform
from replicator.replication.ports import Source
from replicator.replication.referrer_lists import ReferrerLists
from replicator.replication.survey import ManifestCache, read_closure
from replicator.replication.tag_put import Origin
from replicator.replication.tools import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be made whole: the leased reference, as far as `policy` says.

    `may_publish` is asked right before the reference is put, `on_copy` is told of the copy that will put it.
    """

    lease: Lease
    policy: Policy
    where: Destination
    may_publish: Callable[[], Awaitable[None]]
    on_copy: Callable[[Copy], None]

    def owns(self, *, put: bool) -> bool:
        """Say whether it is kept that we `put` it: of a manifest without a tag only where it may be deleted again."""
        return put and (self.policy.deletes or not isinstance(self.lease.key.reference, Digest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Manifests that need no row of their own any more, and whether anything of them was copied."""

    covered: tuple[Digest, ...] = ()
    copied: bool = False


class Delivery:
    """Delivers from one source to one replica."""

    def __init__(
        self, tools: Tools, source: Source, *, asides: Asides, cache: ManifestCache, rng: random.Random
    ) -> None:
        self._source = source
        self._cache = cache
        self._copier = ClosureCopy(tools, source)
        self.lists = ReferrerLists(tools.replica, tools.clock, rng)
        """The lists of referrers on the replica: whoever else writes them has to take turns with this."""
        self._attacher = Attacher(tools, asides, self.lists)

    async def is_left_out(self, order: Order, top: RawManifest) -> bool:
        """Say whether the policy leaves `top` out: an untagged image of another platform, a child of some index.

        What has a tag is copied whatever its platform: there is no other image that the tag could stand for.
        """
        wanted = order.policy.platforms
        if wanted is None or not isinstance(order.lease.key.reference, Digest):
            return False
        parsed = manifests.parse(top, registry=self._source.name)
        return await is_of_other_platform(self._source, order.where.repository, parsed, wanted)

    async def deliver(self, order: Order, top: RawManifest, damaged: frozenset[Digest] | None = None) -> Delivered:
        """Copy `top` with all that it needs and all that belongs to it. Raises RegistryError, ContentError.

        With `damaged` nothing is believed of the replica, and what has those digests is sent anew.
        """
        reference, copier = order.lease.key.reference, self._copier
        closure = await self._closure(order, top)
        found = await self._companions(order, closure)
        needed = (*(one.raw.digest for one in closure.manifests), *(one.digest for one in closure.omitted))
        needed = tuple(digest for digest in needed if digest not in found.unusable)
        if not found or isinstance(reference, Digest):
            may_publish, on_copy = order.may_publish, order.on_copy
            await copier.copy(
                closure, reference, order.where, may_publish=may_publish, on_copy=on_copy, damaged=damaged
            )
            attached = await self._attach(order, found)
        else:
            # First by digest: some registries refuse a referrer of what they do not hold.
            await copier.copy(closure, top.digest, order.where, damaged=damaged)
            attached = await self._attach(order, found)
            await copier.publish(top, reference, order.where, may_publish=order.may_publish, on_copy=order.on_copy)
        await self._list_itself(order, closure)
        return Delivered(covered=(*needed, *attached.covered), copied=True)

    async def complete(self, order: Order, top: RawManifest) -> Delivered:
        """Bring what belongs to `top`, which the replica holds under the reference already."""
        if not order.policy.referrers:
            return Delivered()
        closure = await self._closure(order, top)
        attached = await self._attach(order, await self._companions(order, closure))
        await self._list_itself(order, closure)
        return attached

    async def complete_list(self, order: Order, top: RawManifest | None) -> Delivered:
        """Bring what refers to the subject of a fallback tag, at the source the list `top`, which may be none.

        The replica's list is its own.
        """
        if not order.policy.referrers:
            return Delivered()
        where, tag = order.where.repository, order.lease.key.reference
        found = await find_listed(self._source, where, tag, top, self._cache, patient=_is_patient(order))
        return await self._attach(order, found)

    async def _closure(self, order: Order, top: RawManifest) -> Closure:
        return await read_closure(self._source, order.where.repository, top, self._cache, order.policy.platforms)

    async def _companions(self, order: Order, closure: Closure) -> Found:
        if not order.policy.referrers:
            return Found()
        digests = (manifest.raw.digest for manifest in closure.manifests)
        where = order.where.repository
        return await find_companions(self._source, where, digests, self._cache, patient=_is_patient(order))

    async def _attach(self, order: Order, found: Found) -> Delivered:
        copied = False

        async def copy(closure: Closure, reference: Reference, check: Callable[[], Awaitable[None]]) -> None:
            nonlocal copied
            await self._copier.copy(closure, reference, order.where, may_publish=check)
            copied = True

        if not found:
            return Delivered()
        errand = Errand(
            lease=order.lease,
            origin=Origin(source=self._source, repository=order.where.repository, cache=self._cache),
            target=order.where.target,
            copy=copy,
            may_publish=order.may_publish,
            keeps_conflicts=order.policy.keeps_conflicts,
        )
        covered = await self._attacher.attach(errand, found)
        return Delivered(covered=covered, copied=copied)

    async def _list_itself(self, order: Order, closure: Closure) -> None:
        """Have a referrer, which came by itself, listed on the replica."""
        subject = closure.top.subject
        if order.policy.referrers and subject is not None:
            await self._attacher.list_referrer(order.where.target, subject.digest, closure.top.raw)


def _is_patient(order: Order) -> bool:
    return order.lease.attempts < PATIENCE
