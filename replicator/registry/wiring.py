"""What the connections of one registry are made of."""

from dataclasses import dataclass

import aiohttp

from replicator.clock import Clock
from replicator.proxies import DIRECT, Proxies, Proxy
from replicator.registry.bandwidth import Bandwidth
from replicator.registry.gate import Gate
from replicator.registry.http import HttpObserver, Request, Timeouts
from replicator.registry.reach import Reach
from replicator.registry.tls import TlsContexts


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a transport is made of."""

    reach: Reach
    tls: TlsContexts
    clock: Clock
    timeouts: Timeouts
    max_connections: int
    gate: Gate
    bandwidth: Bandwidth | None = None
    observer: HttpObserver | None = None
    resolver: aiohttp.abc.AbstractResolver | None = None
    proxies: Proxies = DIRECT

    def way(self, request: Request) -> Proxy | None:
        """Return the proxy that a request goes through, None for none."""
        origin = request.target.origin
        return self.proxies.towards(origin.scheme, origin.host, origin.port)
