"""What the proxy knows: the line it pretends to be, the faults in force, and what went through."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.faults import FaultBook


@dataclass(slots=True, kw_only=True)
class Link:
    """The line between client and server; may be changed while it is in use.

    `latency` is what the line adds to a round trip, in seconds; rates are bytes per second of each connection and
    direction; `black_hole` takes connections and nothing more. The cuts end a connection in raw mode after so many
    bytes of it, towards the client (down) or the server (up).
    """

    latency: float = 0.0
    rate_down: float | None = None
    rate_up: float | None = None
    black_hole: bool = False
    cut_down_after: int | None = None
    cut_up_after: int | None = None


@dataclass(slots=True)
class ProxiedRequest:
    """A request through the proxy.

    `kind` as in endpoints.py; `status` is what the server (or the proxy in its place) answered, 0 for nothing yet;
    `sent` and `received` are bytes of body that went to the server and came from it; `begun_at` and `sent_at` tell
    how many bytes of all requests had gone there when it began and when its last byte of body had.
    """

    method: str
    target: str
    kind: str
    repository: str
    headers: Mapping[str, str]
    status: int = 0
    sent: int = 0
    received: int = 0
    done: bool = False
    begun_at: int = 0
    sent_at: int = 0


@dataclass(slots=True)
class Traffic:
    """Everything that the connections of one proxy share."""

    host: str
    port: int
    link: Link = field(default_factory=Link)
    faults: FaultBook = field(default_factory=FaultBook)
    requests: list[ProxiedRequest] = field(default_factory=list)
    bytes_from_server: int = 0
    bytes_to_server: int = 0
    connections: int = 0
    hanging: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def counts(self) -> Counter[tuple[str, str, int]]:
        """Count the requests by method, kind and status."""
        return Counter((one.method, one.kind, one.status) for one in self.requests)

    def received(self, kind: str) -> int:
        """Return the bytes of body that came from the server in answers to requests of one kind."""
        return sum(one.received for one in self.requests if one.kind == kind)

    def sent(self, kind: str) -> int:
        """Return the bytes of body that went to the server in requests of one kind."""
        return sum(one.sent for one in self.requests if one.kind == kind)
