"""Decisions about reading one blob over several connections: how many, which bytes next, in which order. Pure.

A line that slows each connection down, or is long, gives more to several. Whether it does is measured: more
connections are tried, and kept only when clearly more bytes come.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

MIB: Final = 1024 * 1024
WORTH_SPLITTING: Final = 32 * MIB
"""Blobs up to this size are read over one connection."""
MOST_STREAMS: Final = 8
"""Most connections that read one blob."""
RESERVED: Final = 36 * MIB
"""Most bytes asked for ahead of their turn and not yet handed on, of all blobs that are read in pieces."""
SETTLES: Final = 0.2
"""Seconds after a change of width in which nothing is measured, beside LATENCIES times that of the source."""
LATENCIES: Final = 3
"""Connecting and asking takes so many times as long as asking on a connection that stands."""
SAMPLE: Final = 0.3
"""Shortest measurement, seconds."""
HOLDS_BACK: Final = 60.0
"""Seconds without another try after one that gained nothing."""
_FAST: Final = 50e6  # bytes/s: a connection that gives that much is not the limit
_STARVED: Final = 0.6
_GAIN: Final = 0.3
_STEP: Final = 4
_SMALLEST, _LARGEST = MIB, 8 * MIB
_SHARE_OF_CONNECTIONS: Final = 0.75


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen of one source for a moment.

    `rate`: bytes per second of each of its `reads` that are worth splitting; `starved`: the share of time in which
    they waited for the source, and not the source for them.
    """

    rate: float
    starved: float
    reads: int


@dataclass(frozen=True, slots=True)
class Width:
    """Over how many connections each blob is read from one source.

    While a wider way is tried, `before` is the width and the rate to compare with. No try before `not_before`.
    """

    streams: int = 1
    before: tuple[int, float] | None = None
    not_before: float = 0.0


def next_width(width: Width, sample: Sample, *, connections: int, now: float) -> Width:
    """Return how to go on after `sample`; `connections` is the most that the source takes of us.

    A try goes to four times as many; where that brings too little, to twice as many; then back.
    """
    if width.before is not None:
        streams, rate = width.before
        # Where the readers are the limit by now, any gain is the whole gain.
        share = _GAIN if sample.starved >= _STARVED else _GAIN / (_STEP - 1)
        if sample.rate < rate * (1 + share * (width.streams / streams - 1)):
            if width.streams > 2 * streams:
                return replace(width, streams=2 * streams)
            return Width(streams, not_before=now + HOLDS_BACK)
        width = replace(width, before=None)
    if sample.starved < _STARVED or sample.rate > width.streams * _FAST or now < width.not_before:
        return width
    wider = min(_STEP * width.streams, most_streams(sample.reads, connections))
    return width if wider <= width.streams else Width(wider, (width.streams, sample.rate), width.not_before)


def undecided(width: Width) -> Width:
    """Return the width when a try cannot be judged, because reads came or went meanwhile."""
    return width if width.before is None else Width(width.before[0], not_before=width.not_before)


def most_streams(reads: int, connections: int) -> int:
    """Return over how many connections each of `reads` blobs may be read, so that others find some free as well."""
    return max(1, min(MOST_STREAMS, int(connections * _SHARE_OF_CONNECTIONS) // max(1, reads)))


def piece_size(left: int, streams: int, reads: int) -> int:
    """Return how many bytes to ask for next.

    `left` are those that nobody has asked for yet, `streams` the connections of each of `reads` blobs: together they
    stay within what may be reserved. The piece whose turn it is needs no room, it is handed on as it comes. Towards
    the end pieces get smaller, so that all connections end at about the same time.
    """
    fair = RESERVED // max(1, (streams - 1) * reads)
    return min(left, max(_SMALLEST, min(_LARGEST, fair, left // (2 * streams))))


class Piece:
    """Bytes `start` to `end` of a blob (`end` not included), as far as they have come: up to `reached`."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.reached = start
        self.chunks: deque[bytes] = deque()

    @property
    def missing(self) -> int:
        """Bytes still to come."""
        return self.end - self.reached

    def add(self, data: bytes) -> None:
        """Take the bytes that come next."""
        self.reached += len(data)
        self.chunks.append(data)


class Reorder:
    """Pieces of a blob that come in any order and are handed on in the one they have in it.

    `position` is the next byte to hand on, `frontier` the first that nobody was asked for.
    """

    def __init__(self, position: int, end: int) -> None:
        self.position = position
        self.frontier = position
        self._end = end
        self._pieces: deque[Piece] = deque()

    @property
    def left(self) -> int:
        """Bytes that nobody was asked for."""
        return self._end - self.frontier

    @property
    def reserved(self) -> int:
        """Bytes asked for ahead of their turn, and those of a piece that had to wait for it."""
        head = self._pieces[0] if self._pieces else None
        return 0 if head is None else self.frontier - self.position - head.missing

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for that was not handed on."""
        return self.frontier == self.position

    @property
    def held(self) -> int:
        """Bytes that came and were not handed on."""
        return sum(piece.reached - max(piece.start, self.position) for piece in self._pieces)

    def assign(self, size: int) -> Piece:
        """Return the next piece to ask for, of `size` bytes."""
        piece = Piece(self.frontier, self.frontier + size)
        self.frontier = piece.end
        self._pieces.append(piece)
        return piece

    def take(self) -> bytes | None:
        """Return the bytes at `position`, None while they have not come."""
        while self._pieces:
            head = self._pieces[0]
            if head.chunks:
                data = head.chunks.popleft()
                self.position += len(data)
                return data
            if head.missing:
                return None
            self._pieces.popleft()
        return None
