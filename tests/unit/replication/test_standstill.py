"""Copies to a repository, and deletes of its manifests, exclude each other (G2)."""

import asyncio

from replicator.model import Repository
from replicator.replication.standstill import Standstill, Standstills

HERE, THERE = Repository("here"), Repository("there")


async def test_a_copy_that_begins_or_is_under_way_is_seen() -> None:
    still = Standstill()
    with still.watching(HERE) as calm, still.watching(THERE) as elsewhere:
        seen = [calm.disturbed]
        async with still.copying(HERE) as waited:
            assert not waited
            with still.watching(HERE) as late:
                assert late.disturbed
        seen.append(calm.disturbed)  # also when it has ended
        with still.watching(HERE) as again:
            seen.append(again.disturbed)
        assert seen == [False, True, False]
        assert not elsewhere.disturbed


async def test_a_copy_waits_until_nothing_is_held_any_more() -> None:
    still = Standstill()
    begun: list[bool] = []

    async def copy() -> None:
        async with still.copying(HERE) as waited:
            begun.append(waited)

    async with still.holding(HERE):
        async with still.copying(THERE):
            pass
        copying = asyncio.create_task(copy())
        await asyncio.sleep(0)
        assert begun == []
    await copying
    assert begun == [True]


async def test_one_holds_at_a_time() -> None:
    still = Standstill()
    order: list[int] = []

    async def hold(number: int) -> None:
        async with still.holding(HERE):
            order.append(number)
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*(hold(number) for number in range(3)))
    assert order == [0, 0, 1, 1, 2, 2]


def test_lanes_to_the_same_registry_share_it() -> None:
    standstills = Standstills()
    assert standstills.of("http://eu.example.com") is standstills.of("http://eu.example.com")
    assert standstills.of("http://eu.example.com") is not standstills.of("http://us.example.com")
