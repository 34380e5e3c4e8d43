"""The body of an upload on its way out: counted, paced, watched for stalls, and honest about its errors (H2)."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import NoReturn

import anyio

from replicator.clock import Clock
from replicator.errors import ContentError, Reason, RegistryError
from replicator.registry.bandwidth import Bandwidth
from replicator.registry.progress import Strides


class SmallBody:
    """A body in memory that goes out once: the HTTP library must not repeat a write by itself (H3)."""

    def __init__(self, data: bytes) -> None:
        self._pieces = iter((data,) if data else ())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


class BodyFailed(Exception):
    """The caller's own iterator raised `error`; the registry has nothing to do with it. Never leaves the package."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class OfBody:
    """A block in which nothing runs but the body of an upload: an error that leaves it becomes BodyFailed."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            raise BodyFailed(error) from error


def is_wrong(error: BaseException) -> bool:
    """Say whether the bytes of an upload themselves were wrong: then nothing may go on with them."""
    return isinstance(error.error if isinstance(error, BodyFailed) else error, ContentError)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """How bodies go out to one registry: each piece is taken within `seconds`, all keep to the `bandwidth`."""

    registry: str
    clock: Clock
    seconds: float
    bandwidth: Bandwidth | None = None
    strides: Strides = field(default_factory=Strides)


class OutgoingBody:
    """Hands the pieces of `chunks` to whoever iterates over it, one by one.

    `chunks` runs in the task of `feed`, never in a task of the HTTP library, so that its errors and its cancellation
    stay with the caller. Reading starts when the connection stands. The last piece goes out only when `chunks` has
    ended well and `size` bytes are together: a peer can never have the whole body of a read that failed.
    """

    def __init__(self, chunks: AsyncIterator[bytes], size: int, flow: Flow) -> None:
        self._chunks = chunks
        self._size = size
        self._flow = flow
        self._given = 0
        self._recorder = _Recorder()
        self._wanted = anyio.Event()
        self._left = anyio.Event()
        self._give, self._take = anyio.create_memory_object_stream[bytes](0)

    @property
    def error(self) -> Exception | None:
        """What `chunks` raised."""
        return self._recorder.error

    @property
    def whole(self) -> bool:
        """True once every byte was handed over."""
        return self._given == self._size

    async def gone(self) -> None:
        """Return once the last byte was handed over."""
        await self._left.wait()

    async def feed(self) -> None:
        """Run `chunks` to its end; raises what it raises.

        Raises ContentError for a wrong number of bytes, RegistryError when the peer stops taking them.
        """
        try:
            await self._wanted.wait()
            await self._feed()
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
        if self.whole:
            # Said without a pause, so that the library is done with the request before its answer can come:
            # else it gives up the connection.
            self._left.set()
            raise StopAsyncIteration
        try:
            chunk = await self._take.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None
        self._given += len(chunk)
        return chunk

    async def _feed(self) -> None:
        seen, last = 0, b""
        while True:
            with self._recorder:
                chunk = await anext(self._chunks, None)
            if chunk is None:
                break
            seen += len(chunk)
            if seen > self._size:
                self._wrong_length(f"more than {self._size}")
            if seen < self._size:
                await self._hand_over(chunk)
            else:
                last += chunk
        if seen != self._size:
            self._wrong_length(f"{seen} instead of {self._size}")
        await self._hand_over(last)
        with self._patience(0):
            await self._left.wait()

    async def _hand_over(self, chunk: bytes) -> None:
        start = 0
        while start < len(chunk):
            piece = chunk[start : start + self._stride()]
            start += len(piece)
            if self._flow.bandwidth is not None:
                await self._flow.bandwidth.take(len(piece))
            with self._patience(len(piece)):
                await self._give.send(piece)

    def _stride(self) -> int:
        size = self._flow.strides.size
        return size if self._flow.bandwidth is None else min(size, self._flow.bandwidth.piece)

    @contextlib.contextmanager
    def _patience(self, size: int) -> Iterator[None]:
        flow, began = self._flow, self._flow.clock.monotonic()
        try:
            with anyio.fail_after(flow.seconds):
                yield
        except TimeoutError as error:
            flow.strides.took(size, flow.seconds)
            raise RegistryError(
                f"{flow.registry}: takes hardly any bytes of an upload since {flow.seconds:g} s",
                registry=flow.registry,
                reason=Reason.TIMEOUT,
                temporary=True,
            ) from error
        flow.strides.took(size, flow.clock.monotonic() - began)

    def _wrong_length(self, what: str) -> NoReturn:
        problem = f"{self._flow.registry}: a blob to send has {what} bytes"
        raise ContentError(problem, registry=self._flow.registry)
