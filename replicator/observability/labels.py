"""The fixed words that metric labels may hold; every other label is a name from the configuration (DESIGN 2.4)."""

from enum import StrEnum

from replicator.model import Operation


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
    LEFT_OUT = "left_out"


class DeleteResult(StrEnum):
    """What became, on a replica, of a tag or manifest that the primary lost."""

    DELETED = "deleted"
    ABSENT = "absent"
    CANCELLED = "cancelled"
    PROTECTED = "protected"
    NOT_OURS = "not_ours"
    UNSUPPORTED = "unsupported"
    NEEDED = "needed"
    NEED_UNKNOWN = "need_unknown"
    UNPROVEN = "unproven"
    FAILED = "failed"


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


class ResumptionResult(StrEnum):
    """What became of the upload of a large blob that was cut."""

    RESUMED = "resumed"
    RESTARTED = "restarted"


class LaneState(StrEnum):
    """What a replica's lane is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    OPEN = "open"
    SEEDING = "seeding"


class DifferenceKind(StrEnum):
    """What a sweep found to differ. All but `backfill` are changes that no webhook told of."""

    MISSING = "missing"
    STALE = "stale"
    EXTRA = "extra"
    BACKFILL = "backfill"


class SweepRequest(StrEnum):
    """What a sweep asks the primary for."""

    CATALOG = "catalog_list"
    TAGS = "tags_list"
    DIGEST = "manifest_stat"


class NotificationResult(StrEnum):
    """How a try to deliver a message, or the message itself, ended."""

    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    GONE = "gone"
    OVERFLOW = "overflow"


class VerifyResult(StrEnum):
    """What continuous verification found of one reference on a replica."""

    EQUAL = "equal"
    DIFFERENT = "different"
    MISSING = "missing"
    INCOMPLETE = "incomplete"
    FAILED = "failed"


OTHER_OPERATION = "other"
"""The label of a request that has no name of its own."""


def operation_label(operation: str) -> str:
    """Return `operation` when it is one of Operation, else `other`, so that the label stays bounded."""
    return operation if operation in _OPERATIONS else OTHER_OPERATION


def code_class(status: int) -> str:
    """Return the class of an HTTP status, `2xx` to `5xx`, and `none` when no answer came (status 0)."""
    return _CLASSES.get(status // 100, NO_ANSWER)


NO_ANSWER = "none"
_CLASSES = {hundred: f"{hundred}xx" for hundred in (2, 3, 4, 5)}
CODE_CLASSES = (*_CLASSES.values(), NO_ANSWER)
"""All that `code_class` returns; an answer of another class is none that a client is given."""
_OPERATIONS = frozenset(Operation)
OPERATION_LABELS = (*Operation, OTHER_OPERATION)
"""All that `operation_label` returns."""
