"""What the replica's reference names already: asked while the copy begins, so that the answer costs no time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import structlog

from replicator.errors import Withheld
from replicator.model import Digest, Reference, Repository
from replicator.replication.events import ReplicationEvent
from replicator.replication.ports import Holder, Replica

_log = structlog.get_logger(__name__)


async def held_digest(
    replica: Holder, repository: Repository, reference: Reference, *, withheld: Digest | None = None
) -> Digest | None:
    """Return what `reference` names on the replica, None for nothing. Raises RegistryError.

    `withheld` is returned, and the operator told, where a policy of the replica lets nobody read it.
    """
    try:
        found = await replica.stat_manifest(repository, reference)
    except Withheld as error:
        _log.warning(
            ReplicationEvent.MANIFEST_WITHHELD,
            replica=replica.name,
            repository=repository,
            reference=str(reference),
            error=str(error),
        )
        return withheld
    return None if found is None else found.digest


async def is_absent(replica: Holder, repository: Repository, digest: Digest) -> bool:
    """Say whether the replica surely holds no such manifest; one that it lets nobody read may be there.

    Raises RegistryError.
    """
    try:
        return await replica.stat_manifest(repository, digest) is None
    except Withheld:
        return False


class Held:
    """One question to the replica, and the end of a copy that its answer makes needless.

    `digest` is the answer once it is `answered`, None for nothing.
    """

    def __init__(self, replica: Replica, target: Repository, reference: Reference) -> None:
        self._replica = replica
        self._target = target
        self._reference = reference
        self.digest: Digest | None = None
        self._check: Callable[[], None] = lambda: None
        self.answered = anyio.Event()

    async def ask(self) -> None:
        """Ask the replica. Raises RegistryError."""
        self.digest = await held_digest(self._replica, self._target, self._reference)
        self.answered.set()
        self._check()

    @contextmanager
    def unless_it_is(self, digest: Digest, wrote: Callable[[], bool]) -> Iterator[anyio.CancelScope]:
        """Run the block, but cut it short once the answer is `digest`, unless `wrote` says that it is our own put."""
        with anyio.CancelScope() as scope:

            def check() -> None:
                if self.digest == digest and not wrote():
                    scope.cancel()

            self._check = check
            check()
            yield scope
