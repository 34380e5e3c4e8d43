"""What is kept of each event that was taken in, for whoever asks later what told of a reference."""

from dataclasses import dataclass
from enum import StrEnum

from replicator.model import Change, ChangeKind, Digest, Reference, Repository


class Unheeded(StrEnum):
    """Why nothing came of an event."""

    NO_RULE = "no_rule"  # no rule sends the reference anywhere, or has it deleted anywhere
    OTHER_HOST = "other_host"  # it names a registry that is not among the endpoint's hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A `change` as `endpoint` took it in at `at` (Unix seconds); `made` intents, or deletions, came of it.

    `endpoint` is empty where an operator told of it, or a wait.
    """

    change: Change
    endpoint: str
    at: float
    made: int = 0
    unheeded: Unheeded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What is kept of it: on how many replicas it was then `owed` (or to be deleted), owed before, or known.

    `delivery` is the id of what brought it, `happened_at` the sender's own time; times in Unix seconds.
    """

    repository: Repository
    reference: Reference
    kind: ChangeKind
    digest: Digest | None
    endpoint: str
    delivery: str
    happened_at: float | None
    received_at: float
    owed: int = 0
    merged: int = 0
    known: int = 0
    unheeded: Unheeded | None = None
