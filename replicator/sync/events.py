"""Names of the log lines that a sync writes; each is explained in docs/logs.md."""

from enum import StrEnum


class SyncEvent(StrEnum):
    """One name for each kind of line."""

    SYNC_PROGRESS = "sync_progress"
    SYNC_GIVEN_UP = "sync_given_up"
    SYNC_CRASHED = "sync_crashed"
