"""Which upload a registry takes: one PUT, or a streamed PATCH and a PUT (U4, U5, U9). Learned, never guessed."""

from http import HTTPStatus

from replicator.clock import Clock
from replicator.errors import Reason, RegistryError

_REMEMBERED_FOR = 3600.0
_RESETS_THAT_PROVE = 2
_ANY_SIZE = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})


class Ladder:
    """The memory of one registry, for an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streamed_from: int | None = None
        self._until = 0.0
        self._resets = 0

    def is_streamed(self, size: int) -> bool:
        """Say whether a blob of `size` bytes must be streamed by PATCH."""
        if self._clock.monotonic() >= self._until:
            self._streamed_from = None
        return self._streamed_from is not None and size >= self._streamed_from

    def proves_refusal(self, error: RegistryError) -> bool:
        """Say whether `error` of a PUT shows that this registry does not take such a PUT.

        A broken connection may be a mishap; the second in a row counts as proof.
        """
        if error.status in _ANY_SIZE or error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return True
        if error.status == 0 and error.reason == Reason.NETWORK:
            self._resets += 1
            return self._resets >= _RESETS_THAT_PROVE
        return False

    def put_worked(self) -> None:
        """Take note of a PUT that went well."""
        self._resets = 0

    def stream_worked(self, size: int, refusal: RegistryError) -> None:
        """Take note that PATCH did what a PUT of `size` bytes was refused with `refusal`."""
        self._resets = 0
        smallest = 0 if refusal.status in _ANY_SIZE else size
        known = self._streamed_from
        self._streamed_from = smallest if known is None else min(known, smallest)
        self._until = self._clock.monotonic() + _REMEMBERED_FOR
