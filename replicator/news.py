"""What is told of a replica, and the body of the message that tells it (docs/notifications.md). Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

from replicator.model import Digest, Reference, Repository


class Happening(StrEnum):
    """What messages tell: their `type`, and a label of metrics."""

    REPLICATED = "replicated"
    PARKED = "parked"
    RECOVERED = "recovered"
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a message says of a replica: the prefix of its repositories, and the operator's labels."""

    prefix: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who wants to know what: names of receivers, by what they are told of, and the replicas there are."""

    receivers: Mapping[Happening, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    replicas: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, happening: Happening, replica: str) -> tuple[str, ...]:
        """Return who is told of it; nobody where the replica is not configured any more."""
        return self.receivers.get(happening, ()) if replica in self.replicas else ()

    @property
    def names(self) -> frozenset[str]:
        """All receivers."""
        return frozenset(name for names in self.receivers.values() for name in names)


NOBODY = Audience()


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing that happened to a reference of a replica, `at` that time; `since` is when it began to be owed.

    `digest` is what the replica holds now, or what it lacks. `result` says how it arrived, `reason` why it did not.
    """

    happening: Happening
    at: float
    replica: str
    repository: Repository
    reference: Reference
    digest: Digest | None
    since: float | None
    attempts: int
    result: str | None = None
    reason: str | None = None
    delivery: str = ""


def body_of(news: News, place: Place) -> bytes:
    """Return the message as it is signed and sent: every key is always there, null where there is nothing to say."""
    message = {
        "type": str(news.happening),
        "timestamp": _time(news.at),
        "data": {
            "replica": news.replica,
            "labels": dict(place.labels),
            "repository": news.repository,
            "replica_repository": place.prefix + news.repository,
            "reference": str(news.reference),
            "digest": None if news.digest is None else str(news.digest),
            "since": None if news.since is None else _time(news.since),
            "lag_seconds": None if news.since is None else round(max(0.0, news.at - news.since), 3),
            "attempts": news.attempts,
            "result": news.result,
            "reason": news.reason,
            "delivery": news.delivery or None,
        },
    }
    return _packed(message)


def ping_at(now: float) -> bytes:
    """Return the message that only shows whether a receiver takes messages; `now` in Unix seconds."""
    return _packed({"type": "ping", "timestamp": _time(now), "data": {}})


def _packed(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode("ascii")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
