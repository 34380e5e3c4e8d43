"""Waiting for an event no longer than some seconds, on the injected clock."""

import anyio

from replicator.clock import Clock


async def wait_within(clock: Clock, seconds: float, event: anyio.Event) -> bool:
    """Return True when `event` was set within `seconds`, False when the time passed first."""
    if event.is_set():
        return True

    async def time_out(scope: anyio.CancelScope) -> None:
        await clock.sleep(seconds)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(time_out, group.cancel_scope)
        await event.wait()
        group.cancel_scope.cancel()
    return event.is_set()
