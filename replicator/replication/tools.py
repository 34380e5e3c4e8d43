"""What the workers of one lane share."""

from dataclasses import dataclass, field

from replicator.clock import Clock
from replicator.observability.metrics import Metrics
from replicator.replication.claims import Claims
from replicator.replication.kept_uploads import KeptUploads
from replicator.replication.mending import Unmended
from replicator.replication.mounts import Mounts
from replicator.replication.pacing import Standing
from replicator.replication.ports import BlobLocations, Replica
from replicator.replication.presence import Presence
from replicator.replication.shared_reads import SharedReads
from replicator.replication.slots import Slots
from replicator.replication.standstill import Standstill

SMALL_AT_ONCE = 32
"""Small blobs that a lane sends at once: what a long link needs, and little memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The replica and what is known of it; `slots` are for large blobs, `small_slots` for small ones."""

    replica: Replica
    presence: Presence
    mounts: Mounts
    locations: BlobLocations
    reads: SharedReads
    slots: Slots
    small_slots: Slots
    metrics: Metrics
    clock: Clock
    claims: Claims = field(default_factory=Claims)
    standing: Standing = field(default_factory=Standing)
    uploads: KeptUploads = field(default_factory=KeptUploads)
    unmended: Unmended = field(default_factory=Unmended)
    standstill: Standstill = field(default_factory=Standstill)

    def __post_init__(self) -> None:
        """Have whoever deletes on the replica, under whatever configuration, tell our presence."""
        self.standstill.believes(self.presence)
