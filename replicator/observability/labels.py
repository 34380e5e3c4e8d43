"""The fixed words that metric labels may hold; every other label is a name from the configuration (DESIGN 2.4)."""

from enum import StrEnum


class WebhookResult(StrEnum):
    """What became of one webhook event (of the whole delivery, where its events could not be read)."""

    ACCEPTED = "accepted"
    COALESCED = "coalesced"
    IGNORED = "ignored"
    UNPARSABLE = "unparsable"
    UNAUTHORIZED = "unauthorized"
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"


class UpdateKind(StrEnum):
    """What kind of reference an update is about."""

    TAG = "tag"
    DIGEST = "digest"
    DELETE = "delete"


class UpdateResult(StrEnum):
    """How an update ended."""

    COPIED = "copied"
    ALREADY_PRESENT = "already_present"
    SUPERSEDED = "superseded"
    DELETED = "deleted"
    GONE = "gone"


class AttemptResult(StrEnum):
    """How one try to bring an update to its replica ended."""

    OK = "ok"
    RETRY = "retry"
    FENCED = "fenced"
    PARKED = "parked"


class BlobResult(StrEnum):
    """How a replica came to hold a blob that an update needs."""

    COPIED = "copied"
    MOUNTED = "mounted"
    EXISTED = "existed"
    SHARED = "shared"


DEDUPLICATED = frozenset(BlobResult) - {BlobResult.COPIED}
"""The ways in which no byte of the blob had to be sent."""


class LaneState(StrEnum):
    """What a replica's lane is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    OPEN = "open"
    SEEDING = "seeding"


class Operation(StrEnum):
    """What a request asks of a registry."""

    PING = "ping"
    TOKEN = "token"  # noqa: S105 -- the name of an operation
    MANIFEST_STAT = "manifest_stat"
    MANIFEST_READ = "manifest_read"
    MANIFEST_WRITE = "manifest_write"
    BLOB_STAT = "blob_stat"
    BLOB_READ = "blob_read"
    BLOB_MOUNT = "blob_mount"
    UPLOAD_START = "upload_start"
    UPLOAD_SEND = "upload_send"
    UPLOAD_FINISH = "upload_finish"
    UPLOAD_CANCEL = "upload_cancel"
    TAGS_LIST = "tags_list"
    CATALOG_LIST = "catalog_list"
    OTHER = "other"


def operation_label(operation: str) -> str:
    """Return `operation` when it is one of Operation, else `other`, so that the label stays bounded."""
    return operation if operation in _OPERATIONS else Operation.OTHER


def code_class(status: int) -> str:
    """Return the class of an HTTP status, `2xx` to `5xx`, and `none` when no answer came (status 0)."""
    return f"{status // 100}xx" if 100 <= status < 600 else "none"  # noqa: PLR2004 -- the range of HTTP statuses


_OPERATIONS = frozenset(Operation)
