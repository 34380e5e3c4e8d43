"""Several calls at once, with one plain result or one plain error."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

T = TypeVar("T")


async def together(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Return the results of all calls, in order; the first error cancels the others and is raised as it is."""
    results: dict[int, T] = {}

    async def run(index: int, call: Callable[[], Awaitable[T]]) -> None:
        results[index] = await call()

    try:
        async with anyio.create_task_group() as group:
            for index, call in enumerate(calls):
                group.start_soon(run, index, call)
    except BaseExceptionGroup as errors:
        raise _first_of(errors) from errors
    return [results[index] for index in range(len(calls))]


def _first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that a group of tasks failed of."""
    first = errors.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
