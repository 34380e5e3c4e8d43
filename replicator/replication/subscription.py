"""One lane's right to the bytes of one blob, whichever read they come from."""

from collections.abc import AsyncGenerator, Callable

import anyio

from replicator.errors import AccessDenied, ContentError, NotFound
from replicator.model import Hasher, Repository
from replicator.registry.urgency import current
from replicator.replication.blob_read import BlobRead
from replicator.replication.pacing import Standing


class Subscription:
    """One lane's right to the bytes of one blob, from the first on, in order, each verified by the shared read.

    `begun` is true once bytes were asked for: from then on the subscriber holds what it needs to take them. `borne`
    is for how many seconds others have waited for it.
    """

    def __init__(
        self, read: BlobRead, repository: Repository, standing: Standing, *, hasher: Hasher | None = None
    ) -> None:
        """Begin at the first byte of the blob, or with a `hasher` of what went before where `read` begins."""
        self._read = read
        self.repository = repository
        self.standing = standing
        self.position = 0 if hasher is None else read.end
        self.hasher = hasher or read.blob.digest.hasher()
        self.begun = False
        self.borne = 0.0
        self._told_of_bytes: Callable[[], None] | None = None
        self.urgency = current()
        read.subscribers.add(self)
        self._hurry()
        self.urgency.watch(self, self._hurry)

    @property
    def lag(self) -> int:
        """Bytes read and not taken by this subscriber."""
        return self._read.end - self.position

    @property
    def is_far_off(self) -> bool:
        """Whether it took less than a quarter of what was read: a slow line, or not begun, and no hiccup."""
        return 4 * self.position < self._read.end

    @property
    def changed(self) -> anyio.Event:
        """Set when the read that feeds it changed."""
        return self._read.changed

    def when_passing(self, told: Callable[[], None]) -> None:
        """Call `told` once the bytes are on their way to others, at once if they are."""
        self._told_of_bytes = told
        self.passing()

    def passing(self) -> None:
        """Take note that the read is under way."""
        if self._read.is_under_way and self._told_of_bytes is not None:
            told, self._told_of_bytes = self._told_of_bytes, None
            told()

    def leave(self) -> None:
        """Go on without the others, from here. Buffered bytes are given up and read again."""
        self._move_to(self._read.successor(self))

    def close(self) -> None:
        """Give up the rest; the read ends when nobody is left."""
        self.urgency.unwatch(self)
        if self in self._read.subscribers:
            self._read.subscribers.discard(self)
            self._read.let_waiting_go()
            self._read.notify()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the blob's bytes; the last chunk comes only when size and digest of all of them are proven.

        Raises ContentError when they are not, RegistryError when the source failed for good.
        """
        blob, self.begun = self._read.blob, True
        if blob.size == 0 and self.hasher.hexdigest() != blob.digest.encoded:
            raise ContentError(
                f"{self._read.source.name}: blob {blob.digest} is listed as empty", registry=self._read.source.name
            )
        while self.position < blob.size:
            self._rejoin()
            changed = self._read.changed
            try:
                chunk = self._read.take(self.position)
            except (NotFound, AccessDenied):
                # The read was in another image's repository: what is missing or forbidden there may be well here.
                if self._read.repository == self.repository:
                    raise
                self._move_to(self._read.alone(self))
                continue
            if chunk is None:
                self._read.want()
                await changed.wait()
                continue
            self.position += len(chunk.data)
            self.hasher = chunk.after
            self._read.notify()
            yield chunk.data

    def _rejoin(self) -> None:
        """Share again with whom one was let go from, or with others who were, once both are at the same place."""
        if self.position and len(self._read.subscribers) == 1:
            other = self._read.owner.met(self._read, self.position)
            if other is not None:
                self._move_to(other)

    def _move_to(self, read: BlobRead) -> None:
        former, self._read = self._read, read
        read.subscribers.add(self)
        self._hurry()
        former.subscribers.discard(self)
        former.notify()
        self.passing()

    def _hurry(self) -> None:
        self._read.urgency.raise_to(self.urgency.priority)
