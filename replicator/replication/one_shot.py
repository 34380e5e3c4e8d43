"""Copy one reference to one replica now, in the foreground and without a store: the command `copy`."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.model import (
    Digest,
    IntentKey,
    Lease,
    RawManifest,
    Reference,
    Repository,
    Tag,
    parse_repository,
)
from replicator.observability.metrics import Metrics
from replicator.policy import Policy
from replicator.referrers import is_fallback_tag
from replicator.replication.asides import WhenPut
from replicator.replication.bring import Tally
from replicator.replication.closure_copy import Destination, never_mind
from replicator.replication.delivery import Delivery
from replicator.replication.delivery import Order as Wanted
from replicator.replication.held import held_digest
from replicator.replication.mounts import Mounts
from replicator.replication.ports import Replica, Source
from replicator.replication.presence import Presence
from replicator.replication.shared_reads import SharedReads
from replicator.replication.slots import Slots
from replicator.replication.survey import ManifestCache
from replicator.replication.tools import SMALL_AT_ONCE, Tools
from replicator.store.outcome import Result

_BLOBS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What one copy did; bytes are of blobs, `seconds` from start to the reference being put.

    `set_aside` tells what belongs to the image and could not be brought, and why.
    """

    replica: str
    repository: Repository
    reference: Reference
    digest: Digest
    result: Result
    bytes_sent: int
    bytes_mounted: int
    bytes_present: int
    seconds: float
    set_aside: tuple[str, ...] = ()


class NoLocations:
    """The memory of a run that has no store: nothing is known, nothing is kept."""

    async def locations(self, replica: str, digests: Sequence[Digest]) -> Mapping[Digest, tuple[Repository, ...]]:
        """Return nothing."""
        del replica, digests
        return {}

    async def remember_blobs(self, replica: str, repository: Repository, digests: Sequence[Digest]) -> None:
        """Keep nothing."""

    async def forget_blobs(self, replica: str, repository: Repository) -> None:
        """Forget nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to copy: `reference` of `repository` at the source, to `prefix` + `repository` under `published`.

    `policy` says what of it, and what belongs to it.
    """

    repository: Repository
    reference: Reference
    published: Reference
    prefix: str = ""
    policy: Policy = Policy()  # noqa: RUF009 -- frozen


class _Told:
    """Keeps what was set aside, to be told when the copy has ended; there is no row that could try it again."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    async def is_given_up(self, lease: Lease, reference: Reference) -> bool:
        """Return False: nothing was tried before."""
        del lease, reference
        return False

    async def set_aside(self, lease: Lease, reference: Reference, error: RegistryError | ContentError) -> None:
        """Keep it."""
        del lease
        self.problems.append(f"{reference}: {error}")

    async def about_to_put(self, lease: Lease, tag: Tag, digest: Digest) -> WhenPut:
        """Keep nothing: there is no row that could be looked at."""
        del lease, tag, digest

        async def nothing() -> None:
            pass

        return nothing

    async def weigh(self, lease: Lease, tag: Tag, held: Digest | None, wanted: Digest, *, keep: bool) -> None:
        """Keep nothing as it is: somebody asked for this very copy."""


async def copy_reference(
    order: Order, *, source: Source, replica: Replica, reads: SharedReads, metrics: Metrics, clock: Clock
) -> CopyReport:
    """Carry out `order`. Raises NotFound when the source has no such reference, else RegistryError, ContentError."""
    started = clock.monotonic()
    target = parse_repository(order.prefix + order.repository)
    tools = Tools(
        replica=replica,
        presence=Presence(clock),
        mounts=Mounts(replica.capabilities, clock),
        locations=NoLocations(),
        reads=reads,
        slots=Slots(_BLOBS_AT_ONCE, clock),
        small_slots=Slots(SMALL_AT_ONCE, clock),
        metrics=metrics,
        clock=clock,
    )
    told = _Told()
    rng = random.Random()  # noqa: S311 -- jitter, not a secret
    delivery = Delivery(tools, source, asides=told, cache=ManifestCache(), rng=rng)
    tally = Tally()
    top = await source.read_manifest(order.repository, order.reference)
    wanted = Wanted(
        lease=_lease(order, replica.name, top.digest),
        policy=order.policy,
        where=Destination(repository=order.repository, target=target, tally=tally),
        may_publish=never_mind,
        on_copy=lambda _: None,
    )
    result = await _carried_out(delivery, wanted, top, replica)
    return CopyReport(
        replica=replica.name,
        repository=target,
        reference=order.published,
        digest=top.digest,
        result=result,
        bytes_sent=tally.sent,
        bytes_mounted=tally.mounted,
        bytes_present=tally.present,
        seconds=clock.monotonic() - started,
        set_aside=tuple(told.problems),
    )


async def _carried_out(delivery: Delivery, wanted: Wanted, top: RawManifest, replica: Replica) -> Result:
    """Do as a worker of the daemon does."""
    reference = wanted.lease.key.reference
    if is_fallback_tag(reference) and not wanted.policy.referrers:
        return Result.LEFT_OUT
    if is_fallback_tag(reference):
        # The replica's list of referrers is its own: what the primary's names is added to it.
        delivered = await delivery.complete_list(wanted, top)
    elif await delivery.is_left_out(wanted, top):
        return Result.LEFT_OUT
    else:
        there = await held_digest(replica, wanted.where.target, reference) == top.digest
        delivered = await (delivery.complete if there else delivery.deliver)(wanted, top)
    return Result.COPIED if delivered.copied else Result.ALREADY_PRESENT


def _lease(order: Order, replica: str, digest: Digest) -> Lease:
    """Return what stands for the row that there is not."""
    return Lease(
        key=IntentKey(replica, order.repository, order.published),
        generation=0,
        epoch=0,
        digest=digest,
        have=None,
        since=None,
        attempts=0,
        failing_since=None,
        look=False,
        looks=0,
    )
