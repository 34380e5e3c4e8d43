"""Small blobs of sources, read whole: once for all lanes that keep up (G7), and proven (G3).

What a large blob needs (laggards, windows, going on with Range elsewhere) costs more than these bytes themselves.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import anyio

from replicator.errors import AccessDenied, ContentError, NotFound, ReplicatorError
from replicator.model import Descriptor, Digest, Repository
from replicator.registry.urgency import Urgency, current
from replicator.replication.ports import Source
from replicator.replication.source_stream import Room, SourceStream

_KEPT_BYTES = 4 * 1024 * 1024


@dataclass(slots=True, eq=False)
class _Read:
    repository: Repository
    began: float
    urgency: Urgency = field(default_factory=current)
    done: anyio.Event = field(default_factory=anyio.Event)
    data: bytes | None = None
    error: ReplicatorError | None = None


_Key = tuple[str, Digest, int]


class SmallReads:
    """Reads of small blobs, shared by all lanes: the bytes are kept for `linger` seconds, of all `kept` at most."""

    def __init__(self, room: Room, *, linger: float, kept: int = _KEPT_BYTES) -> None:
        self._room = room
        self._linger = linger
        self._most = kept
        self._under_way: dict[_Key, _Read] = {}
        self._kept: OrderedDict[_Key, _Read] = OrderedDict()
        self._held = 0

    async def read(self, source: Source, repository: Repository, blob: Descriptor) -> bytes:
        """Return all bytes of `blob`, proven. Raises NotFound, AccessDenied, ContentError, RegistryError."""
        key = source.name, blob.digest, blob.size
        self._forget_old()
        kept = self._kept.get(key)
        if kept is not None and kept.data is not None:
            return kept.data
        while (other := self._under_way.get(key)) is not None:
            other.urgency.raise_to(current().priority)
            await other.done.wait()
            if other.data is not None:
                return other.data
            if other.error is not None and not self._may_be_well_in(repository, other):
                raise other.error
            # Whoever read was cancelled, or read in another image's repository: somebody else has to.
        return await self._read(key, source, repository, blob)

    def _may_be_well_in(self, repository: Repository, other: _Read) -> bool:
        return other.repository != repository and isinstance(other.error, NotFound | AccessDenied)

    async def _read(self, key: _Key, source: Source, repository: Repository, blob: Descriptor) -> bytes:
        read = self._under_way[key] = _Read(repository, self._room.clock.monotonic())
        try:
            read.data = data = await self._whole(source, repository, blob)
        except ReplicatorError as error:
            read.error = error
            raise
        finally:
            del self._under_way[key]
            read.done.set()
        self._keep(key, read)
        return data

    async def _whole(self, source: Source, repository: Repository, blob: Descriptor) -> bytes:
        data = bytearray()

        async def take_in(piece: bytes) -> None:
            data.extend(piece)
            if len(data) > blob.size:
                raise _wrong(source, blob, f"is longer than its {blob.size} bytes")

        await SourceStream(self._room, source, repository, blob, position=0).run(take_in)
        if Digest.of(bytes(data), blob.digest.algorithm) != blob.digest:
            raise _wrong(source, blob, "has bytes with another digest" if blob.size else "is listed as empty")
        return bytes(data)

    def _keep(self, key: _Key, read: _Read) -> None:
        self._kept[key] = read
        self._held += key[2]
        while self._held > self._most:
            self._drop_oldest()

    def _forget_old(self) -> None:
        now = self._room.clock.monotonic()
        while self._kept and now - next(iter(self._kept.values())).began > self._linger:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        (_, _, size), _ = self._kept.popitem(last=False)
        self._held -= size


def _wrong(source: Source, blob: Descriptor, problem: str) -> ContentError:
    return ContentError(f"{source.name}: blob {blob.digest} {problem}", registry=source.name)
