"""Name resolution that never leads inside (S3): the answers are vetted the connection goes to a vetted one."""

import socket
from collections.abc import Callable

import anyio
from aiohttp.abc import AbstractResolver, ResolveResult

from replicator.registry.addresses import is_public


class AddressRefused(OSError):
    """A host that the operator did not name has only addresses that are not public."""


class VettingResolver(AbstractResolver):
    """Passes on what `inner` finds; for hosts that `may_be_private` denies, only public addresses."""

    def __init__(
        self, inner: AbstractResolver, may_be_private: Callable[[str, int], bool], *, seconds: float
    ) -> None:
        self._inner = inner
        self._may_be_private = may_be_private
        self._seconds = seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises AddressRefused, and TimeoutError after the time for connecting."""
        with anyio.fail_after(self._seconds):
            found = await self._inner.resolve(host, port, family)
        if self._may_be_private(host, port):
            return found
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise AddressRefused("no public address")
        return public

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()
