"""What is known of the line to one source: how much comes over it, who waits for it, how wide blobs are read."""

from typing import Protocol

from replicator.clock import Clock
from replicator.replication.parallel_ranges import (
    HOLDS_BACK,
    LATENCIES,
    SAMPLE,
    SETTLES,
    Sample,
    Width,
    most_streams,
    next_width,
    undecided,
)


class Limited(Protocol):
    """A source, as far as a line needs it."""

    @property
    def max_connections(self) -> int:
        """Most connections that we may open."""
        ...


class SourceLine:
    """Measures all reads of one source that are worth splitting, and decides how wide they are; shared by them."""

    def __init__(self, source: Limited, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._width = Width()
        self._latency = 0.0
        self._reads: set[object] = set()
        self._since = 0.0
        self._bytes = 0
        self._waited = 0.0

    @property
    def streams(self) -> int:
        """Over how many connections each blob may be read now."""
        return min(self._width.streams, most_streams(len(self._reads), self._source.max_connections))

    @property
    def reads(self) -> int:
        """How many blobs are read so."""
        return len(self._reads)

    def join(self, read: object) -> None:
        """Count a read, from its first byte on."""
        if read not in self._reads:
            self._reads.add(read)
            self._reads_changed()

    def leave(self, read: object) -> None:
        """Count a read no longer."""
        if read in self._reads:
            self._reads.discard(read)
            self._reads_changed()

    def opened(self, seconds: float) -> None:
        """Take note of how long it took until an answer began."""
        self._latency += (seconds - self._latency) / 4 if self._latency else seconds

    def came(self, size: int) -> None:
        """Take note of bytes that came."""
        if self._clock.monotonic() >= self._since:
            self._bytes += size

    def waited(self, seconds: float) -> None:
        """Take note that a read waited for its next bytes; decides anew when enough was seen."""
        now = self._clock.monotonic()
        elapsed, reads = now - self._since, len(self._reads)
        self._waited += max(0.0, min(seconds, elapsed))
        if elapsed < SAMPLE or not reads:
            return
        sample = Sample(self._bytes / elapsed / reads, self._waited / elapsed / reads, reads)
        before = self.streams
        self._width = next_width(self._width, sample, connections=self._source.max_connections, now=now)
        self._begin_again(0.0 if self.streams == before else self._settling)

    def give_up(self) -> None:
        """Read over one connection for a while: pieces did not come as they should."""
        now = self._clock.monotonic()
        self._width = Width(not_before=now + HOLDS_BACK)
        self._begin_again(self._settling)

    def _reads_changed(self) -> None:
        self._width = undecided(self._width)
        self._begin_again(SETTLES)

    @property
    def _settling(self) -> float:
        return SETTLES + LATENCIES * self._latency

    def _begin_again(self, settling: float) -> None:
        self._since = self._clock.monotonic() + settling
        self._bytes = 0
        self._waited = 0.0
