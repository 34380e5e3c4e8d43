"""Status, headers and body of a registry's answer -> one of our error families (E1-E3, F9). Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

from replicator import strict_json
from replicator.errors import (
    AccessDenied,
    ManifestBlobUnknown,
    NameInvalid,
    NotFound,
    Reason,
    RegistryError,
    Withheld,
)
from replicator.model import Digest, Operation, shown
from replicator.registry.origin import Target

ERROR_BODY = 64 * 1024
"""Most bytes of an error's body that are read."""
API_VERSION = "Docker-Distribution-Api-Version"
_LENGTH = re.compile(r"[0-9]{1,19}")
_RETRY_AFTER = (1.0, 900.0)
_SERVER_TROUBLE = frozenset({500, 502, 503, 504, 507, *range(520, 525)})
_BLOB_UNKNOWN = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})
_DAMAGED = frozenset({"DIGEST_INVALID", "SIZE_INVALID"})
_MANIFEST_READS = frozenset({Operation.MANIFEST_STAT, Operation.MANIFEST_READ})
_SESSION_LOST = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID"})


class Fields:
    """Header fields of an answer; names in any case."""

    __slots__ = ("_values",)

    def __init__(self, values: MultiMapping[str] | Iterable[tuple[str, str]] = ()) -> None:
        self._values = values if isinstance(values, CIMultiDictProxy) else CIMultiDict(values)

    def get(self, name: str) -> str | None:
        """Return the first value, None when the field is absent."""
        return self._values.get(name)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of the field."""
        return tuple(self._values.getall(name, ()))

    def length(self) -> int | None:
        """Return `Content-Length` in bytes, None when it is absent or no number."""
        text = self.get("Content-Length")
        return int(text) if text is not None and _LENGTH.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer to a request for `target`; `body` is cut at the reader's cap."""

    target: Target
    status: int
    fields: Fields = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a registry says is wrong: its error codes, the first message, and digests it names; all untrusted."""

    codes: tuple[str, ...] = ()
    message: str = ""
    digests: frozenset[str] = frozenset()
    understood: bool = False


def refusal_of(body: bytes) -> Refusal:
    """Read `{"errors": [{code, message}]}`; anything else is an empty refusal."""
    try:
        document = strict_json.loads(body, limit=ERROR_BODY)
    except strict_json.Invalid:
        return Refusal()
    errors = document.get("errors") if isinstance(document, dict) else None
    entries = [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
    codes = tuple(str(entry.get("code") or entry.get("status") or "") for entry in entries)
    messages = (entry["message"] for entry in entries if isinstance(entry.get("message"), str))
    digests = frozenset(digest for entry in entries if (digest := _named(entry.get("detail"))) is not None)
    return Refusal(codes, next(messages, ""), digests, understood=isinstance(errors, list))


def _named(detail: object) -> str | None:
    """Return the digest that an error is about: Distribution writes it plainly, others into an object."""
    text = detail.get("digest") if isinstance(detail, dict) else detail
    try:
        return str(Digest.parse(text)) if isinstance(text, str) else None
    except NameInvalid:
        return None


def is_from_registry(reply: Reply) -> bool:
    """Say whether an error, as 404, is a registry's own word, not that of a proxy or of a wrong address (F9)."""
    if reply.fields.get(API_VERSION) is not None:
        return True
    return not reply.body or refusal_of(reply.body).understood


def is_own_word(reply: Reply) -> bool:
    """Say whether a server error is a registry's own answer to what was asked, not that it is down or busy."""
    return any(refusal_of(reply.body).codes) and reply.fields.get("Retry-After") is None


def failure(registry: str, operation: str, reply: Reply, *, now: float) -> RegistryError:
    """Return the error that `reply` to `operation` means; `now` in Unix seconds is for dates in Retry-After."""
    refusal = refusal_of(reply.body)
    kind, reason, temporary = _classify(operation, reply, refusal)
    code = refusal.codes[0] if refusal.codes else ""
    details = " ".join(filter(None, (shown(code, 60) if code else "", shown(refusal.message, 300))))
    explained = details if refusal.message or code else _hint(reply)
    error = kind(
        f"{registry}: {operation} {reply.target} was answered {reply.status}"
        + (f": {explained}" if explained else ""),
        registry=registry,
        reason=reason,
        temporary=temporary,
        retry_after=retry_after(reply.fields, now=now),
        status=reply.status,
        code=code,
    )
    if isinstance(error, ManifestBlobUnknown):
        error.missing = refusal.digests
    if isinstance(error, NotFound):
        error.said = refusal.message
    return error


def unexpected(registry: str, operation: str, reply: Reply, problem: str) -> RegistryError:
    """Return the error for an answer that is not in the protocol; trying again may help."""
    return RegistryError(
        f"{registry}: {operation} {reply.target} was answered {reply.status}, {problem}",
        registry=registry,
        temporary=True,
        status=reply.status,
    )


def wants_pause(status: int, fields: Fields) -> bool:
    """Say whether an answer means that the registry did nothing, for want of time (E3)."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return fields.get("Retry-After") is not None
    return status == HTTPStatus.TOO_MANY_REQUESTS


def retry_after(fields: Fields, *, now: float) -> float | None:
    """Return the seconds that the server wants us to wait, 1 s to 15 min; None when it does not say."""
    text = fields.get("Retry-After")
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, IndexError, OverflowError):
            return None
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now
    low, high = _RETRY_AFTER
    return min(high, max(low, seconds))


_Verdict = tuple[type[RegistryError], Reason, bool]

_BY_STATUS: Mapping[int, _Verdict] = {
    401: (AccessDenied, Reason.AUTH, False),
    403: (AccessDenied, Reason.AUTH, False),
    404: (NotFound, Reason.NOT_FOUND, False),
    405: (RegistryError, Reason.UNSUPPORTED, False),
    406: (RegistryError, Reason.UNSUPPORTED, False),
    408: (RegistryError, Reason.TIMEOUT, True),
    409: (RegistryError, Reason.CONFLICT, False),
    410: (NotFound, Reason.NOT_FOUND, False),
    412: (RegistryError, Reason.CONFLICT, False),
    413: (RegistryError, Reason.UNSUPPORTED, False),
    415: (RegistryError, Reason.UNSUPPORTED, False),
    416: (RegistryError, Reason.OTHER, True),
    425: (RegistryError, Reason.OTHER, True),
    429: (RegistryError, Reason.RATE_LIMITED, True),
    501: (RegistryError, Reason.UNSUPPORTED, False),
    507: (RegistryError, Reason.QUOTA, True),
}
_BY_CODE: Mapping[str, _Verdict] = {
    "TOOMANYREQUESTS": (RegistryError, Reason.RATE_LIMITED, True),
    "UNSUPPORTED": (RegistryError, Reason.UNSUPPORTED, False),
    "MANIFEST_INVALID": (RegistryError, Reason.UNSUPPORTED, False),
    "NAME_INVALID": (RegistryError, Reason.UNSUPPORTED, False),
    "TAG_INVALID": (RegistryError, Reason.CONFLICT, False),
    "NAME_UNKNOWN": (NotFound, Reason.NOT_FOUND, False),
}


def _classify(operation: str, reply: Reply, refusal: Refusal) -> _Verdict:
    status, codes = reply.status, frozenset(refusal.codes)
    client_side = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if client_side and status != HTTPStatus.TOO_MANY_REQUESTS:
        special = _by_meaning(operation, codes, refusal.message)
        if special is not None:
            return special
    if status == HTTPStatus.PRECONDITION_FAILED and operation in _MANIFEST_READS:
        return Withheld, Reason.CONFLICT, False
    if status == HTTPStatus.NOT_FOUND and not is_from_registry(reply):
        return RegistryError, Reason.OTHER, True
    if status == HTTPStatus.BAD_REQUEST:
        return next((_BY_CODE[code] for code in refusal.codes if code in _BY_CODE), _DEFAULT)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return (RegistryError, Reason.SERVER_ERROR, True) if status in _SERVER_TROUBLE else _DEFAULT


_DEFAULT: _Verdict = (RegistryError, Reason.OTHER, False)


def _by_meaning(operation: str, codes: frozenset[str], message: str) -> _Verdict | None:
    if operation == "manifest_write" and codes & _BLOB_UNKNOWN:
        return ManifestBlobUnknown, Reason.NOT_FOUND, True
    if operation == "manifest_delete" and "DIGEST_INVALID" in codes:
        return RegistryError, Reason.UNSUPPORTED, False  # it takes no tags there
    if codes & _DAMAGED:
        # What we send was verified before: it was damaged on the way, and the next try may be whole.
        return RegistryError, Reason.DIGEST_MISMATCH, True
    if operation.startswith("upload") and codes & _SESSION_LOST:
        return NotFound, Reason.NOT_FOUND, True
    if "quota" in message.lower():
        return RegistryError, Reason.QUOTA, False
    return None


def _hint(reply: Reply) -> str:
    if reply.status == HTTPStatus.NOT_FOUND and reply.body:
        return "the answer is not from a registry; is the URL right?"
    return ""
