"""Names of the log lines that verification writes; each is explained in docs/logs.md."""

from enum import StrEnum


class AuditEvent(StrEnum):
    """One name for each kind of line."""

    VERIFY_FOUND = "verify_found"
    VERIFY_FAILED = "verify_failed"
    VERIFY_WHOLE_BEGUN = "verify_whole_begun"
    VERIFY_WHOLE_DONE = "verify_whole_done"
    VERIFY_CRASHED = "verify_crashed"
