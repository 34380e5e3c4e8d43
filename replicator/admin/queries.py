"""What callers may write in a query or a body, read into types. All else is a BadRequest that says what is right."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from replicator.admin.answers import BadRequest
from replicator.admin.explaining import Question
from replicator.admin.reference import parse_ref
from replicator.admin.status import ROWS_MAX, Cursor, Listing, StatusQuery
from replicator.errors import NameInvalid
from replicator.model import Digest, Priority, Reference, Repository, shown
from replicator.settings.units import parse_duration

DAMAGED_MAX = 500
"""Most digests that one change says to be damaged."""
QUERY_MAX = 8192
"""Longest query string in characters."""
TIMEOUT_MAX = 3600.0
TIMEOUT_DEFAULT = 30.0
_REPLICAS_MAX = 256
_REPOSITORIES_MAX = 1000
_ROWS_DEFAULT = 100
_CHANGE_KEYS = {"ref", "replicas", "priority", "damaged", "digest"}
_TRUE = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of the configuration that requests are held against."""

    primary_url: str
    replicas: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitQuery:
    """A call of /api/v1/wait; `timeout` in seconds, clamped to an hour."""

    repository: Repository
    reference: Reference
    replicas: tuple[str, ...]
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBody:
    """A call of POST /api/v1/changes; `priority` None is the rule's own.

    Without `damaged` None the replicas were found to be wrong: nothing they are known to hold is believed, and what
    has those digests is sent anew; `digest` is what the primary names.
    """

    repository: Repository
    reference: Reference
    replicas: tuple[str, ...]
    priority: Priority | None
    damaged: frozenset[Digest] | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncBody:
    """A call of POST /api/v1/sync: of what `repositories` mean (none: of all), on these replicas (none: on all)."""

    repositories: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBody:
    """A call of POST /api/v1/retry: of one reference (None: of all) on these replicas (none: on all)."""

    ref: tuple[Repository, Reference] | None = None
    replicas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreBody:
    """A call of POST /api/v1/ignore: one reference on these replicas (none: on all); `undo` takes it back."""

    ref: tuple[Repository, Reference]
    replicas: tuple[str, ...] = ()
    undo: bool = False


def wait_query(request: web.Request, names: Names) -> WaitQuery:
    """Read `ref`, `replica` (may stand several times) and `timeout` (seconds, or as `5m`)."""
    query = _known(request, {"ref", "replica", "timeout"})
    repository, reference = _ref(query.get("ref"), names)
    return WaitQuery(
        repository=repository,
        reference=reference,
        replicas=_replicas(request.query.getall("replica", []), names),
        timeout=_timeout(query.get("timeout")),
    )


def explain_query(request: web.Request, names: Names) -> Question:
    """Read `ref` and `replica` (may stand several times; none: all replicas)."""
    query = _known(request, {"ref", "replica"})
    repository, reference = _ref(query.get("ref"), names)
    chosen = _replicas(request.query.getall("replica", []), names)
    return Question(
        repository=repository,
        reference=reference,
        replicas=tuple(dict.fromkeys(chosen or names.replicas)),
        named=bool(chosen),
    )


def status_query(request: web.Request, names: Names) -> StatusQuery:
    """Read `replica`, and `owed=1`, `parked=1` or `ignored=1` with `after` and `limit`."""
    query = _known(request, {*Listing, "replica", "after", "limit"})
    asked = [one for one in (Listing.IGNORED, Listing.PARKED, Listing.OWED) if _flag(query, one)]
    if not asked and {"after", "limit"} & query.keys():
        raise BadRequest("`after` and `limit` go with `owed=1`, `parked=1` or `ignored=1`")
    if Listing.IGNORED in asked and len(asked) > 1:
        raise BadRequest("`ignored=1` goes with neither `owed=1` nor `parked=1`: what is ignored is not owed")
    replica = query.get("replica")
    if replica is not None:
        _replicas([replica], names)
    try:
        after = Cursor.parse(query["after"]) if "after" in query else None
    except NameInvalid as error:
        raise BadRequest(f"`after`: {error}") from error
    return StatusQuery(
        listing=asked[0] if asked else None, replica=replica, after=after, limit=_limit(query.get("limit"))
    )


def change_body(document: Any, names: Names) -> ChangeBody:
    """Read `{"ref": ..., "replicas": [...], "priority": ..., "damaged": [...], "digest": ...}`."""
    if not isinstance(document, dict) or not document.keys() <= _CHANGE_KEYS:
        raise BadRequest(
            "the body is a JSON object with `ref` and, optional, `replicas`, `priority`, `damaged` and `digest`"
        )
    priority = document.get("priority")
    replicas = _replicas_of(document, names)
    repository, reference = _ref_of(document, names)
    words = {level.name.lower(): level for level in Priority}
    if priority is not None and (not isinstance(priority, str) or priority not in words):
        raise BadRequest(f"`priority` is one of {', '.join(words)}")
    return ChangeBody(
        repository=repository,
        reference=reference,
        replicas=replicas,
        priority=None if priority is None else words[priority],
        damaged=_damaged_of(document),
        digest=_digest_of(document),
    )


def _digest_of(document: dict[str, Any]) -> Digest | None:
    digest = document.get("digest")
    if digest is None:
        return None
    try:
        return Digest.parse(str(digest))
    except NameInvalid as error:
        raise BadRequest(f"`digest`: {error}") from error


def _damaged_of(document: dict[str, Any]) -> frozenset[Digest] | None:
    if "damaged" not in document:
        return None
    digests = document["damaged"]
    if not isinstance(digests, list) or len(digests) > DAMAGED_MAX:
        raise BadRequest(f"`damaged` is a list of at most {DAMAGED_MAX} digests")
    try:
        return frozenset(Digest.parse(str(digest)) for digest in digests)
    except NameInvalid as error:
        raise BadRequest(f"`damaged`: {error}") from error


def retry_body(document: Any, names: Names) -> RetryBody:
    """Read `{"ref": ..., "replicas": [...]}`, both optional."""
    if document is None:
        return RetryBody()
    if not isinstance(document, dict) or not document.keys() <= {"ref", "replicas"}:
        raise BadRequest("the body is a JSON object with, optional, `ref` and `replicas`")
    ref = _ref_of(document, names) if "ref" in document else None
    return RetryBody(ref=ref, replicas=_replicas_of(document, names))


def ignore_body(document: Any, names: Names) -> IgnoreBody:
    """Read `{"ref": ..., "replicas": [...], "undo": false}`, the last two optional."""
    if not isinstance(document, dict) or not document.keys() <= {"ref", "replicas", "undo"}:
        raise BadRequest("the body is a JSON object with `ref` and, optional, `replicas` and `undo`")
    undo = document.get("undo", False)
    if not isinstance(undo, bool):
        raise BadRequest("`undo` is true or false")
    return IgnoreBody(ref=_ref_of(document, names), replicas=_replicas_of(document, names), undo=undo)


def sync_body(document: Any, names: Names) -> SyncBody:
    """Read `{"repositories": [...], "replicas": [...]}`, both optional."""
    if document is None:
        return SyncBody()
    if not isinstance(document, dict) or not document.keys() <= {"repositories", "replicas"}:
        raise BadRequest("the body is a JSON object with, optional, `repositories` and `replicas`")
    repositories = document.get("repositories", [])
    if not isinstance(repositories, list) or not all(isinstance(name, str) for name in repositories):
        raise BadRequest("`repositories` is a list of names or patterns")
    if len(repositories) > _REPOSITORIES_MAX:
        raise BadRequest(f"more than {_REPOSITORIES_MAX} repositories")
    return SyncBody(repositories=tuple(repositories), replicas=_replicas_of(document, names))


def _ref_of(document: dict[str, Any], names: Names) -> tuple[Repository, Reference]:
    ref = document.get("ref")
    return _ref(ref if isinstance(ref, str) else None, names)


def _replicas_of(document: dict[str, Any], names: Names) -> tuple[str, ...]:
    replicas = document.get("replicas", [])
    if not isinstance(replicas, list) or not all(isinstance(name, str) for name in replicas):
        raise BadRequest("`replicas` is a list of names")
    return _replicas(replicas, names)


def _known(request: web.Request, allowed: set[str]) -> dict[str, str]:
    if len(request.query_string) > QUERY_MAX:
        raise BadRequest(f"the query is longer than {QUERY_MAX} characters")
    unknown = request.query.keys() - allowed
    if unknown:
        raise BadRequest(f"{shown(min(unknown))} is not one of {', '.join(sorted(allowed))}")
    twice = [key for key in set(request.query) - {"replica"} if len(request.query.getall(key)) > 1]
    if twice:
        raise BadRequest(f"`{min(twice)}` stands twice")
    return dict(request.query)


def _ref(text: str | None, names: Names) -> tuple[Repository, Reference]:
    if not text:
        raise BadRequest("`ref` is missing: write repository:tag or repository@digest")
    try:
        return parse_ref(text, names.primary_url)
    except NameInvalid as error:
        raise BadRequest(f"`ref`: {error}") from error


def _replicas(given: list[str], names: Names) -> tuple[str, ...]:
    if len(given) > _REPLICAS_MAX:
        raise BadRequest(f"more than {_REPLICAS_MAX} replicas")
    for name in given:
        if name not in names.replicas:
            raise BadRequest(
                f"{shown(name)} is not a replica; there are {', '.join(sorted(names.replicas)) or 'none'}"
            )
    return tuple(given)


def _timeout(text: str | None) -> float:
    if text is None:
        return TIMEOUT_DEFAULT
    try:
        seconds = parse_duration(text) if text[-1:].isalpha() else float(text)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise BadRequest("`timeout` is a number of seconds, or a duration such as 30s, 5m, 1h")
    return min(max(0.0, seconds), TIMEOUT_MAX)


def _limit(text: str | None) -> int:
    if text is None:
        return _ROWS_DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) < len(str(ROWS_MAX)) + 1 and 1 <= int(text) <= ROWS_MAX):
        raise BadRequest(f"`limit` is a number from 1 to {ROWS_MAX}")
    return int(text)


def _flag(query: dict[str, str], name: str) -> bool:
    text = query.get(name, "0")
    if text not in _TRUE:
        raise BadRequest(f"`{name}` is 1 or 0")
    return _TRUE[text]
