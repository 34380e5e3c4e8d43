"""What a decoder makes of one delivery; the same for every sender."""

from dataclasses import dataclass
from enum import StrEnum

from replicator.model import Change


class Irrelevance(StrEnum):
    """Why an event that was understood asks for nothing."""

    PULL = "pull"
    MOUNT = "mount"
    BLOB = "blob"
    REPOSITORY = "repository"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """An event that no replica has to hear of."""

    reason: Irrelevance


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event, or a whole delivery, that could not be understood; `reason` is safe to show."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The events of one delivery, each under what it turned out to be, in the order in which they stood."""

    changes: tuple[Change, ...] = ()
    irrelevant: tuple[Irrelevant, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
