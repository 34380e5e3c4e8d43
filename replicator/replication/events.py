"""Names of the log lines that replication writes; each is explained in docs/logs.md."""

from enum import StrEnum


class ReplicationEvent(StrEnum):
    """One name for each kind of line."""

    REFERENCE_REPLICATED = "reference_replicated"
    REFERENCE_GONE = "reference_gone"
    REFERENCE_FAILED = "reference_failed"
    REFERENCE_PARKED = "reference_parked"
    REFERENCE_SUPERSEDED = "reference_superseded"
    ATTEMPT_CRASHED = "attempt_crashed"
    LEASE_LOST = "lease_lost"
    LEASE_FAILED = "lease_failed"
    LEASE_RENEWAL_FAILED = "lease_renewal_failed"
    SETTLE_FAILED = "settle_failed"
    MANIFEST_WITHHELD = "manifest_withheld"
    TAG_DELETED = "tag_deleted"
    TAG_NOT_DELETED = "tag_not_deleted"
    MANIFEST_DELETED = "manifest_deleted"
    MANIFEST_NOT_DELETED = "manifest_not_deleted"
    DELETES_STOPPED = "deletes_stopped"
    TAG_CONFLICT = "tag_conflict"
    REFERRER_SET_ASIDE = "referrer_set_aside"
    LANE_OPENED = "lane_opened"
    LANE_HEALED = "lane_healed"
    LANE_PAUSED = "lane_paused"
    LANE_RESUMED = "lane_resumed"
    STORE_SUMMARY_FAILED = "store_summary_failed"
