"""A proof that takes time to get: got once however many ask, and again shortly before it ends."""

import anyio

from replicator.clock import Clock
from replicator.errors import RegistryError
from replicator.registry.logins.source import Fetch, NoProof
from replicator.settings.proof import NOBODY, Proof

_REST = 0.1
"""This part of a life is left when it is renewed, but 10 minutes at most."""
_MOST_REST = 600.0
_LAST_SECONDS = 30.0
"""What has less than that to live is not used where it cannot be renewed either."""
_PAUSE = 5.0
"""Seconds between two tries after a refusal or a failure; 1 s where trying again may help."""
_SHORT_PAUSE = 1.0


class Kept:
    """A source with one proof. One `fetch` runs at a time; who waited for one that failed is told the same."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = anyio.Lock()
        self._proof = NOBODY
        self._got_at = self._renew_at = self._ends_at = float("-inf")
        self._error: NoProof | RegistryError | None = None
        self._try_again_at = float("-inf")
        self._era = 0

    async def proof(self, repository: str = "") -> Proof:  # noqa: ARG002 -- part of the protocol
        """Return the proof, with life left. Raises what `fetch` raises, unless the last one still lives.

        Whoever asks while it is renewed is given the last one: who gives proofs may hang, and it is good for a while.
        """
        now = self._clock.monotonic()
        if now < self._renew_at or (self._lock.locked() and now < self._ends_at):
            return self._proof
        async with self._lock:
            while True:
                now, era = self._clock.monotonic(), self._era
                if now < self._renew_at:
                    return self._proof
                if now < self._try_again_at and self._error is not None:
                    return self._last(self._error)
                try:
                    proof, life = await self._fetch()
                except (NoProof, RegistryError) as error:
                    if era != self._era:
                        continue  # what was asked for was to be forgotten meanwhile, and so is what came of it
                    self._error = error
                    self._try_again_at = self._clock.monotonic() + (_SHORT_PAUSE if error.temporary else _PAUSE)
                    return self._last(error)
                if era == self._era:
                    break
            # From before it was asked for: no life is counted twice.
            self._proof, self._got_at, self._error = proof, now, None
            self._renew_at = now + life - min(_MOST_REST, life * _REST)
            self._ends_at = now + life - min(_LAST_SECONDS, life * _REST)
            return proof

    def absence(self, repository: str) -> str:  # noqa: ARG002 -- part of the protocol
        """Say nothing: whoever is asked gives a proof or an error."""
        return ""

    def refused(self) -> None:
        """Let the proof be got anew, unless that was done a moment ago."""
        if self._clock.monotonic() >= self._got_at + _PAUSE:
            self._renew_at = self._ends_at = float("-inf")

    def forget(self) -> None:
        """Let the proof be got anew at once, also where one is being got now."""
        self._era += 1
        self._renew_at = self._ends_at = self._try_again_at = float("-inf")

    def _last(self, error: NoProof | RegistryError) -> Proof:
        if error.temporary and self._clock.monotonic() < self._ends_at:
            return self._proof
        raise error.with_traceback(None)
