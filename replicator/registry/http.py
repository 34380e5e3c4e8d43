"""What a request to a registry is, for those who ask and for the transport that sends it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from types import MappingProxyType
from typing import Protocol

from replicator.errors import Reason, RegistryError
from replicator.model import Operation
from replicator.registry.origin import Target
from replicator.registry.scope import Scope

UNKNOWN_OUTCOME_SECONDS = 10.0
"""How long we ask whether a write arrived whose answer did not."""


class LogIn(Enum):
    """How a request proves who asks.

    AS_ASKED: as the registry's challenges want it. The others are for APIs beside the registry's, which take no token
    of its token server: PASSWORD sends user name and password, OAUTH the password as a token where it is one.
    """

    AS_ASKED = auto()
    PASSWORD = auto()
    OAUTH = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `body` is small and can be sent again; `scopes` are the rights it needs at a token server."""

    operation: Operation
    method: str
    target: Target
    scopes: tuple[Scope, ...] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    body: bytes | None = field(default=None, repr=False)
    log_in: LogIn = LogIn.AS_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Longest waits, in seconds.

    `connect` for a connection, `read` for the next byte of an answer, `write` for a peer to take the next piece of an
    upload, `commit` for the answer once it has the whole upload: it may have to store it first. `idle` is for how
    long a connection without a request is kept for the next one, shorter than load balancers do.
    """

    connect: float = 10.0
    read: float = 60.0
    write: float = 60.0
    commit: float = 300.0
    idle: float = 55.0


def is_outcome_unknown(error: RegistryError) -> bool:
    """Say whether `error` means that a request may have arrived although no answer came (U8)."""
    return error.status == 0 and error.reason in {Reason.NETWORK, Reason.TIMEOUT, Reason.OTHER} and error.temporary


def is_trouble(error: RegistryError) -> bool:
    """Say whether the line or the registry failed, or it is busy: what was asked for is neither done nor refused."""
    busy = error.status == HTTPStatus.TOO_MANY_REQUESTS
    return busy or is_outcome_unknown(error) or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class HttpObserver(Protocol):
    """Counts requests, and is told what limits them; `registry` by its configured name, `kind` a RequestKind."""

    def request_finished(self, registry: str, operation: str, status: int, seconds: float) -> None:
        """Take note of an answer to `operation`; `status` 0 means that none came."""
        ...

    def clock_read(self, registry: str, skew: float) -> None:
        """Take note of how many seconds the registry's clock is ahead of ours, roughly."""
        ...

    def window_set(self, registry: str, kind: str, size: int) -> None:
        """Take note of how many requests of a kind may be under way."""
        ...

    def request_refused(self, registry: str, kind: str) -> None:
        """Take note that the registry had no time for a request and wants a pause."""
        ...

    def request_waited(self, registry: str, kind: str, seconds: float) -> None:
        """Take note of how long a request waited for its turn."""
        ...
