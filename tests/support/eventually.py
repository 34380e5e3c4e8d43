"""Waiting for something to become true without sleeping for a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.02


@overload
async def eventually(check: Callable[[], Awaitable[T]], *, within: float = 10.0, what: str) -> T: ...
@overload
async def eventually(check: Callable[[], T], *, within: float = 10.0, what: str) -> T: ...
async def eventually(check: Callable[[], Awaitable[T] | T], *, within: float = 10.0, what: str) -> T:
    """Return the first truthy value of `check`, polled every 5 to 20 ms.

    Fails with `what` and the last value when `within` seconds have passed. An exception of `check` is a failure
    at once: it is not polled away.
    """
    deadline = time.monotonic() + within
    pause = _FIRST_PAUSE
    while True:
        found = check()
        value = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within:g} s: {what}; last value: {value!r}")
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
