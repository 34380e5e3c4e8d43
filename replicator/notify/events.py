"""Names of the log lines about outgoing webhooks; each is explained in docs/logs.md."""

from enum import StrEnum


class NotifyEvent(StrEnum):
    """One name for each kind of line."""

    NOTIFICATION_DELIVERED = "notification_delivered"
    NOTIFICATION_FAILED = "notification_failed"
    NOTIFICATION_DROPPED = "notification_dropped"
    NOTIFICATION_CRASHED = "notification_crashed"
    NOTIFICATIONS_UNKEPT = "notifications_unkept"
