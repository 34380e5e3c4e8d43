"""What a reference names at its source now, read once for all lanes that are due for it at the same moment."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from replicator.clock import Clock
from replicator.errors import ReplicatorError
from replicator.model import Digest, IntentKey, RawManifest, Reference, Repository
from replicator.replication.ports import Source

LINGER = 1.0
"""Seconds for which a read answers lanes that come a little later."""
_KEPT = 256
_KEPT_BYTES = 4 * 1024 * 1024


@dataclass(slots=True, eq=False)
class _Read:
    began: float
    done: anyio.Event = field(default_factory=anyio.Event)
    found: RawManifest | None = None
    error: ReplicatorError | None = None
    stale_for: set[str] = field(default_factory=set)

    @property
    def size(self) -> int:
        return 0 if self.found is None else len(self.found.body)


_Key = tuple[str, Repository, Reference]


class TagReads:
    """Reads of references, shared by all lanes.

    A read answers a lane only if it began after the last change that the lane knows of: `changed` has to be told of
    every change that the store has committed, before the lane can lease it.
    """

    def __init__(self, clock: Clock, *, linger: float = LINGER) -> None:
        self._clock = clock
        self._linger = linger
        self._reads: OrderedDict[_Key, _Read] = OrderedDict()
        self._sources: set[str] = set()
        self._held = 0

    def changed(self, keys: Sequence[IntentKey]) -> None:
        """Take note that rows changed: what was read before does not answer to them."""
        for key in keys:
            for source in self._sources:
                read = self._reads.get((source, key.repository, key.reference))
                if read is not None:
                    read.stale_for.add(key.replica)

    async def read(
        self, source: Source, key: IntentKey, expected: Digest | None, *, anew: bool = False
    ) -> RawManifest:
        """Return what `key`'s reference names at `source`. Raises NotFound, ContentError, RegistryError.

        A read that has ended answers only if it found what was `expected`, or nothing is: a tag may be written a
        moment after its event. `anew` lets only this call answer.
        """
        name = (source.name, key.repository, key.reference)
        while True:
            read = self._reads.get(name)
            if anew or read is None or not self._answers(read, key, expected):
                return await self._read(name, source)
            await read.done.wait()
            if read.error is not None:
                raise read.error
            if read.found is not None:
                return read.found
            # Whoever read was cancelled: somebody else has to.

    def _answers(self, read: _Read, key: IntentKey, expected: Digest | None) -> bool:
        if key.replica in read.stale_for:
            return False
        if not read.done.is_set():
            return True
        if read.found is None or self._clock.monotonic() - read.began > self._linger:
            return False
        return expected in {None, read.found.digest}

    async def _read(self, name: _Key, source: Source) -> RawManifest:
        self._drop(name)
        self._sources.add(source.name)
        read = self._reads[name] = _Read(self._clock.monotonic())
        try:
            read.found = await source.read_manifest(name[1], name[2])
        except ReplicatorError as error:
            read.error = error
            raise
        finally:
            read.done.set()
            if read.found is None and self._reads.get(name) is read:
                del self._reads[name]
        self._keep(name, read)
        return read.found

    def _keep(self, name: _Key, read: _Read) -> None:
        if self._reads.get(name) is not read:
            return
        self._held += read.size
        while self._held > _KEPT_BYTES or len(self._reads) > _KEPT:
            oldest = next((one for one, kept in self._reads.items() if kept.done.is_set()), None)
            if oldest is None:
                return
            self._drop(oldest)

    def _drop(self, name: _Key) -> None:
        former = self._reads.pop(name, None)
        if former is not None and former.done.is_set():
            self._held -= former.size
