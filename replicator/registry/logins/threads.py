"""SDKs that block, asked in a thread and within a limit of time."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from replicator.registry.logins.source import NoProof

PATIENCE = 60.0
"""Seconds; the limits of the SDKs themselves are below it, so that no thread is left behind for long."""
_V = TypeVar("_V")
_A = TypeVar("_A")


async def in_thread(who: str, call: Callable[[_A], _V], argument: _A) -> _V:
    """Return what `call` does. Raises NoProof when it takes too long; the thread then ends by itself."""
    try:
        with anyio.fail_after(PATIENCE):
            return await anyio.to_thread.run_sync(call, argument, abandon_on_cancel=True)
    except TimeoutError:
        raise NoProof(f"{who} gave no answer within {PATIENCE:.0f} s", temporary=True) from None
