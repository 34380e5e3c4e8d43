"""Run several calls at once and come back with one plain result or one plain error."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def together(calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Return the results of all `calls`, in order; the first error cancels the others and is raised as it is."""
    pending = list(calls)
    if len(pending) == 1:
        return [await pending[0]()]
    results: dict[int, T] = {}

    async def run(index: int, call: Callable[[], Awaitable[T]]) -> None:
        results[index] = await call()

    try:
        async with anyio.create_task_group() as group:
            for index, call in enumerate(pending):
                group.start_soon(run, index, call)
    except BaseExceptionGroup as errors:
        raise first_error(errors) from errors
    return [results[index] for index in range(len(pending))]


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first leaf of a group: with cancellation on the first error, the one that started it."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
