"""The body of an upload on its way out: counted, watched for stalls, and honest about its errors (H2)."""

from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType

import anyio

from replicator.errors import ContentError, Reason, RegistryError


class BodyFailed(Exception):
    """The caller's own iterator raised `error`; the registry has nothing to do with it. Never leaves the package."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Recorder:
    """Keeps the error that leaves its block, and lets it go on."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.error = error


class OutgoingBody:
    """Hands the pieces of `chunks` to whoever iterates over it, one by one.

    `chunks` runs in the task of `feed`, never in a task of the HTTP library, so that its errors and its cancellation
    stay with the caller. Reading starts when the connection stands. Exactly `size` bytes go out, or `feed` raises.
    """

    def __init__(self, chunks: AsyncIterator[bytes], size: int, *, registry: str, seconds: float) -> None:
        self.fed = anyio.Event()
        self._chunks = chunks
        self._size = size
        self._registry = registry
        self._seconds = seconds
        self._sent = 0
        self._recorder = _Recorder()
        self._wanted = anyio.Event()
        self._give, self._take = anyio.create_memory_object_stream[bytes](0)

    @property
    def error(self) -> Exception | None:
        """What `chunks` raised."""
        return self._recorder.error

    @property
    def whole(self) -> bool:
        """True once every byte was handed over."""
        return self._sent == self._size

    async def feed(self) -> None:
        """Run `chunks` to its end; raises what it raises.

        Raises ContentError for a wrong number of bytes, RegistryError when the peer stops taking them.
        """
        try:
            await self._wanted.wait()
            await self._feed()
            self.fed.set()
        finally:
            self._give.close()
            if isinstance(self._chunks, AsyncGenerator):
                with anyio.CancelScope(shield=True):
                    await self._chunks.aclose()

    def close(self) -> None:
        """Let go of both ends."""
        self._give.close()
        self._take.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._wanted.set()
        try:
            return await self._take.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def _feed(self) -> None:
        seen = 0
        while True:
            with self._recorder:
                chunk = await anext(self._chunks, None)
            if chunk is None:
                break
            seen += len(chunk)
            if seen > self._size:
                self._wrong_length(f"more than {self._size}")
            if chunk:
                await self._hand_over(chunk)
                self._sent = seen
        if seen != self._size:
            self._wrong_length(f"{seen} instead of {self._size}")
        # It is taken only when the last piece has left: so a peer that stops reading at the very end is noticed too.
        await self._hand_over(b"")

    async def _hand_over(self, chunk: bytes) -> None:
        try:
            with anyio.fail_after(self._seconds):
                await self._give.send(chunk)
        except TimeoutError as error:
            raise RegistryError(
                f"{self._registry}: takes no more bytes of an upload since {self._seconds:g} s",
                registry=self._registry,
                reason=Reason.TIMEOUT,
                temporary=True,
            ) from error

    def _wrong_length(self, what: str) -> None:
        raise ContentError(f"a blob to send has {what} bytes", registry=self._registry)
