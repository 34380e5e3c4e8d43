"""What a decoder makes of one delivery; the same for every sender."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from replicator.model import Change


class Irrelevance(StrEnum):
    """Why an event that was understood asks for nothing."""

    PULL = "pull"
    MOUNT = "mount"
    BLOB = "blob"
    REPOSITORY = "repository"
    ACTION = "action"
    PING = "ping"
    HANDSHAKE = "handshake"
    CHART = "chart"
    QUARANTINE = "quarantine"
    PACKAGE = "package"
    FAILED = "failed"
    OTHER_REGISTRY = "other_registry"


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """An event that no replica has to hear of."""

    reason: Irrelevance


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event, or a whole delivery, that could not be understood; `reason` is safe to show."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a sender wants to be answered when it asks whether we want its events; pure data.

    `body` is sent as JSON, None as nothing. Nothing in a body is ever contacted for it.
    """

    body: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


Outcome = Change | Irrelevant | Unreadable | Reply
"""What one event turned out to be; a reply stands beside the outcome of the event that asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The events of one delivery, each under what it turned out to be, in the order in which they stood.

    `reply` is the answer that the sender needs in place of the usual one.
    """

    changes: tuple[Change, ...] = ()
    irrelevant: tuple[Irrelevant, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    reply: Reply | None = None
