"""The fixed names of log lines; what varies stands in fields, so that a line can be found and counted by its name."""

from enum import StrEnum


class LogEvent(StrEnum):
    """The `event` field of each line that intake and the logging itself write."""

    WEBHOOK_ACCEPTED = "webhook_accepted"
    WEBHOOK_NOTHING_NEW = "webhook_nothing_new"
    WEBHOOK_UNREADABLE = "webhook_unreadable"
    WEBHOOK_HANDSHAKE = "webhook_handshake"
    WEBHOOK_UNAUTHORIZED = "webhook_unauthorized"
    WEBHOOK_REFUSED = "webhook_refused"
    WEBHOOK_UNAVAILABLE = "webhook_unavailable"
    WEBHOOK_SECRET_UNREADABLE = "webhook_secret_unreadable"  # noqa: S105 -- the name of a log line
    WEBHOOK_LISTENING = "webhook_listening"
    WEBHOOK_CLOSED = "webhook_closed"
    SUBSCRIPTION_OPENED = "subscription_opened"
    SUBSCRIPTION_LOST = "subscription_lost"
    SUBSCRIPTION_OVERRUN = "subscription_overrun"
    SUBSCRIPTION_CRASHED = "subscription_crashed"
    LINES_HELD_BACK = "lines_held_back"
    LIBRARY_MESSAGE = "library_message"
