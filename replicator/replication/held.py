"""What the replica's reference names already: asked while the copy begins, so that the answer costs no time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from replicator.model import Digest, Reference, Repository
from replicator.replication.ports import Replica


class Held:
    """One question to the replica, and the end of a copy that its answer makes needless."""

    def __init__(self, replica: Replica, target: Repository, reference: Reference) -> None:
        self._replica = replica
        self._target = target
        self._reference = reference
        self._digest: Digest | None = None
        self._check: Callable[[], None] = lambda: None
        self.answered = anyio.Event()

    async def ask(self) -> None:
        """Ask the replica. Raises RegistryError."""
        found = await self._replica.stat_manifest(self._target, self._reference)
        self._digest = None if found is None else found.digest
        self.answered.set()
        self._check()

    @contextmanager
    def unless_it_is(self, digest: Digest, wrote: Callable[[], bool]) -> Iterator[anyio.CancelScope]:
        """Run the block, but cut it short once the answer is `digest`, unless `wrote` says that it is our own put."""
        with anyio.CancelScope() as scope:

            def check() -> None:
                if self._digest == digest and not wrote():
                    scope.cancel()

            self._check = check
            check()
            yield scope
