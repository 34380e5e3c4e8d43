"""One stream of bytes, taken in parts of a given length: the chunks of an upload (U6)."""

from collections.abc import AsyncGenerator, AsyncIterator


class Pieces:
    """Cuts `source` anew. Close it; a part that is not taken to its end loses its bytes."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._rest = b""

    async def take(self, length: int) -> AsyncIterator[bytes]:
        """Yield the next `length` bytes, fewer at the end of the source."""
        while length > 0:
            if not self._rest:
                try:
                    self._rest = await anext(self._source)
                except StopAsyncIteration:
                    return
            piece, self._rest = self._rest[:length], self._rest[length:]
            length -= len(piece)
            yield piece

    async def rest(self) -> AsyncIterator[bytes]:
        """Yield all that is left, to the source's own end: what it raises there comes out here."""
        if self._rest:
            piece, self._rest = self._rest, b""
            yield piece
        async for piece in self._source:
            yield piece

    async def close(self) -> None:
        """Give the source up."""
        if isinstance(self._source, AsyncGenerator):
            await self._source.aclose()
