"""The moments at which a test may step in at the registry in memory."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from replicator.model import Reference, Repository


class Op(StrEnum):
    """What happens. `GOT` is a piece of a blob; `WROTE`, `SENT`, `DELETED` come when it is done but not answered."""

    STAT = "stat"
    READ = "read"
    REFERRERS = "referrers"
    TAGS = "tags"
    OPEN = "open"
    CHUNK = "chunk"
    END = "end"
    WRITE = "write"
    WROTE = "wrote"
    HAS = "has"
    MOUNT = "mount"
    START = "start"
    CANCEL = "cancel"
    STATUS = "status"
    SEND = "send"
    GOT = "got"
    SENT = "sent"
    DELETE = "delete"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Call:
    """One such moment; `offset` counts the bytes of a blob that passed before it."""

    registry: str
    op: Op
    repository: Repository
    reference: Reference
    offset: int = 0


Hook = Callable[[Call], Awaitable[None]]
