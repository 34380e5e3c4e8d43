"""The fixed names of the admin listener's log lines."""

from enum import StrEnum


class AdminEvent(StrEnum):
    """The `event` field of each line that the admin listener writes."""

    ADMIN_TOKEN_UNREADABLE = "admin_token_unreadable"  # noqa: S105 -- the name of a log line
    ADMIN_STORE_UNREADABLE = "admin_store_unreadable"
    ADMIN_LISTENING = "admin_listening"
    ADMIN_CHANGE = "admin_change"
    ADMIN_IGNORE = "admin_ignore"
    ADMIN_RETRY = "admin_retry"
    ADMIN_PAUSE = "admin_pause"
    ADMIN_RESUME = "admin_resume"
    ADMIN_SYNC = "admin_sync"
