"""Waiting for something to become true without sleeping for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.02
_LONGEST_REST = 0.15


@overload
async def eventually(check: Callable[[], Awaitable[T]], *, within: float = 20.0, what: str) -> T: ...
@overload
async def eventually(check: Callable[[], T], *, within: float = 20.0, what: str) -> T: ...
async def eventually(check: Callable[[], Awaitable[T] | T], *, within: float = 20.0, what: str) -> T:
    """Return the first truthy value of `check`, polled every 5 to 20 ms; one that takes long itself less often.

    Fails with `what` and the last value when a check that began `within` seconds from now or later finds nothing. The
    default leaves a busy machine its time, and is less than what mends itself in the end: a lane looks each 30 s, a
    lease runs out within a minute. An exception of `check` is a failure at once: it is not polled away.
    """
    deadline = time.monotonic() + within
    pause = _FIRST_PAUSE
    while True:
        asked = time.monotonic()
        found = check()
        value = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if asked >= deadline:
            raise AssertionError(f"not within {within:g} s: {what}; last value: {value!r}")
        # What takes long, as to read all metrics, would else keep a core from what is waited for.
        await asyncio.sleep(max(pause, min(2 * (time.monotonic() - asked), _LONGEST_REST)))
        pause = min(pause * 2, _LONGEST_PAUSE)
