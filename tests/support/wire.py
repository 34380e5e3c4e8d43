"""HTTP/1.1 as bytes on a connection: heads, bodies, and sending at a given rate. Only what the proxy needs."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

PIECE = 64 * 1024
"""The most that is read or written at once, in bytes."""

_SLICES_PER_SECOND = 20
_SMALLEST_SLICE = 256


@dataclass(slots=True)
class Head:
    """The first line and the headers of a message, in order and as written."""

    first: str
    headers: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """Return the first value of a header, in any case of letters."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def replace(self, name: str, value: str | None) -> None:
        """Set a header to one value, or take it away."""
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))

    def encode(self) -> bytes:
        """Return the bytes, the empty line included."""
        lines = [self.first, *(f"{key}: {value}" for key, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.first.split(" ", 2)[1])

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.first.split(" ", 2)[0]

    @property
    def target(self) -> str:
        """Path and query of a request."""
        return self.first.split(" ", 2)[1]

    @property
    def closes(self) -> bool:
        """True when the sender wants the connection closed after this message."""
        return (self.get("Connection") or "").lower() == "close" or "HTTP/1.0" in self.first


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read one head; None when the peer closed before it began."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Head(first, [(key, value.strip()) for key, _, value in pairs])


class Body:
    """The payload that follows a head, read in pieces; chunks are taken apart."""

    def __init__(self, reader: asyncio.StreamReader, head: Head, *, empty: bool, until_close: bool) -> None:
        self._reader = reader
        self.chunked = not empty and "chunked" in (head.get("Transfer-Encoding") or "").lower()
        length = head.get("Content-Length")
        self.until_close = until_close and not empty and not self.chunked and length is None
        self._left = 0 if empty or self.chunked else int(length or 0)
        self._ended = False

    async def read(self) -> bytes:
        """Return the next piece, empty at the end. Raises IncompleteReadError when the peer closes too early."""
        if self.until_close:
            return await self._reader.read(PIECE)
        if self.chunked and not self._left and not self._ended:
            await self._next_chunk()
        if not self._left:
            return b""
        piece = await self._reader.read(min(PIECE, self._left))
        if not piece:
            raise asyncio.IncompleteReadError(b"", self._left)
        self._left -= len(piece)
        if self.chunked and not self._left:
            await self._reader.readexactly(2)
        return piece

    async def _next_chunk(self) -> None:
        line = await self._reader.readuntil(b"\r\n")
        self._left = int(line.split(b";")[0], 16)
        if self._left == 0:
            self._ended = True
            while await self._reader.readuntil(b"\r\n") != b"\r\n":
                pass


def request_body(reader: asyncio.StreamReader, head: Head) -> Body:
    """Return the body of a request."""
    return Body(reader, head, empty=False, until_close=False)


def response_body(reader: asyncio.StreamReader, head: Head, method: str) -> Body:
    """Return the body of an answer to a request by `method`."""
    empty = method == "HEAD" or head.status in {204, 304} or head.status < 200
    return Body(reader, head, empty=empty, until_close=True)


class Pace:
    """Keeps a stream of bytes at a rate: sleeps as long as the bytes would take on a slow line."""

    def __init__(self) -> None:
        self._due = 0.0

    def slices(self, data: bytes, rate: float | None) -> Iterator[bytes]:
        """Cut data so that a slow line gives a steady trickle, not a burst every few seconds."""
        size = PIECE if rate is None else min(PIECE, max(_SMALLEST_SLICE, int(rate / _SLICES_PER_SECOND)))
        for start in range(0, len(data), size):
            yield data[start : start + size]

    async def wait(self, size: int, rate: float | None) -> None:
        """Return when `size` more bytes may have gone through at `rate` bytes per second."""
        if rate is None:
            return
        now = asyncio.get_running_loop().time()
        # Time lost to scheduling is caught up with; time in which nothing was sent is not.
        begin = self._due if now - self._due < 1 / _SLICES_PER_SECOND else now
        self._due = begin + size / rate
        if self._due > now:
            await asyncio.sleep(self._due - now)


class Sender:
    """Writes a body to a connection, in chunks if asked."""

    def __init__(self, writer: asyncio.StreamWriter, pace: Pace, *, chunked: bool) -> None:
        self._writer = writer
        self._pace = pace
        self._chunked = chunked

    async def send(self, data: bytes, rate: float | None) -> None:
        """Send payload at `rate` bytes per second (None = as fast as it goes)."""
        for piece in self._pace.slices(data, rate):
            await self._pace.wait(len(piece), rate)
            self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
            await self._writer.drain()

    async def finish(self) -> None:
        """Say that the body is complete."""
        if self._chunked:
            self._writer.write(b"0\r\n\r\n")
            await self._writer.drain()
