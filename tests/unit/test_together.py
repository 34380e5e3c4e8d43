"""Several calls come back as one: all results in order, or the first error as it is."""

import asyncio
from functools import partial

import anyio
import pytest

from replicator.errors import RegistryError
from replicator.replication.waiting import wait_within
from replicator.together import together
from tests.support.fake_clock import FakeClock


async def test_results_come_in_order_whoever_ends_first() -> None:
    last = asyncio.Event()

    async def call(number: int) -> int:
        if number == 0:
            await last.wait()
        if number == 4:
            last.set()
        return number

    assert await together([partial(call, number) for number in range(5)]) == [0, 1, 2, 3, 4]


async def test_nothing_to_do_is_done() -> None:
    assert await together([]) == []


async def test_the_error_that_started_it_comes_out_plain_and_the_others_are_cancelled() -> None:
    started, cancelled = asyncio.Event(), []
    error = RegistryError("no", registry="eu")

    async def waits() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise ZeroDivisionError from None  # a clean-up that fails does not hide what happened

    async def fails() -> None:
        await started.wait()
        raise error

    with pytest.raises(RegistryError) as caught:
        await together([waits, fails])
    assert caught.value is error
    assert cancelled == [True]


async def test_errors_of_calls_inside_calls_come_out_plain() -> None:
    error = RegistryError("no", registry="eu")

    async def fails() -> None:
        raise error

    async def inner() -> None:
        await together([fails])

    with pytest.raises(RegistryError) as caught:
        await together([inner])
    assert caught.value is error


async def test_cancellation_reaches_all_and_is_no_error() -> None:
    running = asyncio.Event()
    ended = []

    async def waits() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = asyncio.create_task(together([waits, waits]))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True, True]


async def test_an_event_is_waited_for_and_no_longer_than_said(fake_clock: FakeClock) -> None:
    event = anyio.Event()
    waiting = asyncio.create_task(wait_within(fake_clock, 5.0, event))
    await fake_clock.someone_sleeps()
    fake_clock.advance(5.0)
    assert await waiting is False
    waiting = asyncio.create_task(wait_within(fake_clock, 5.0, event))
    await fake_clock.someone_sleeps()
    event.set()
    assert await waiting is True
    assert fake_clock.sleepers == (), "nothing is left behind"
    assert await wait_within(fake_clock, 5.0, event) is True
