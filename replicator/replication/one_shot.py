"""Copy one reference to one replica now, in the foreground and without a store: the command `copy`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replicator.clock import Clock
from replicator.model import Digest, Reference, Repository, parse_repository
from replicator.observability.metrics import Metrics
from replicator.plan import make_plan
from replicator.replication.bring import Tally
from replicator.replication.copy import Copy
from replicator.replication.mounts import Mounts
from replicator.replication.ports import Replica, Source
from replicator.replication.presence import Presence
from replicator.replication.shared_reads import SharedReads
from replicator.replication.slots import Slots
from replicator.replication.survey import ManifestCache, read_closure, recall
from replicator.replication.tools import SMALL_AT_ONCE, Tools
from replicator.store.outcome import Result

_BLOBS_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What one copy did; bytes are of blobs, `seconds` from start to the reference being put."""

    replica: str
    repository: Repository
    reference: Reference
    digest: Digest
    result: Result
    bytes_sent: int
    bytes_mounted: int
    bytes_present: int
    seconds: float


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
    """What to copy: `reference` of `repository` at the source, to `prefix` + `repository` under `published`."""

    repository: Repository
    reference: Reference
    published: Reference
    prefix: str = ""


async def copy_reference(
    order: Order, *, source: Source, replica: Replica, reads: SharedReads, metrics: Metrics, clock: Clock
) -> CopyReport:
    """Carry out `order`. Raises NotFound when the source has no such reference, else RegistryError, ContentError."""
    started = clock.monotonic()
    target = parse_repository(order.prefix + order.repository)
    top = await source.read_manifest(order.repository, order.reference)
    held = await replica.stat_manifest(target, order.published)
    tally = Tally()
    result = Result.ALREADY_PRESENT
    if held is None or held.digest != top.digest:
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
        closure = await read_closure(source, order.repository, top, ManifestCache())
        facts = await recall(tools, target, closure)
        copy = Copy(tools, source, order.repository, target, tally)
        await copy.run(make_plan(closure, order.published, facts), _always)
        result = Result.COPIED
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
    )


async def _always() -> None:
    """Publish without asking: there is no lease to lose."""
