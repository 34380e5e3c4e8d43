"""What an audit found is owed, kept over restarts, and dropped once the work that answers to it is done."""

import asyncio
import threading

import anyio
import anyio.to_thread
import pytest

from replicator.model import IntentKey, Recorded, Tag
from replicator.store.outcome import Done, Result
from replicator.store.session import Session
from replicator.store.store import Store
from tests.contract.store.life import REPOSITORY, TAG, A, B, Life, leased

OTHER = IntentKey("eu", REPOSITORY, Tag("v2"))
DONE = Done(result=Result.COPIED, digest=A)


async def clean(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    assert await store.settle(await leased(store), DONE)


async def test_a_clean_row_becomes_owed_and_its_damage_is_kept_over_a_restart(life: Life) -> None:
    store = await life.start()
    await clean(store, life)
    assert await store.wanted_repair(TAG) is None
    assert await store.repair([life.intent(digest=None)], [A, B]) == (Recorded.ACCEPTED,)
    store = await life.start()
    assert (await store.summary()).replica("eu").owed == 1
    assert await store.wanted_repair(TAG) == frozenset({A, B})
    assert await store.wanted_repair(OTHER) is None


async def test_what_is_done_is_dropped(store: Store, life: Life) -> None:
    await store.repair([life.intent(digest=None)])
    lease = await leased(store)
    assert await store.wanted_repair(TAG) == frozenset()
    await store.repaired(lease)
    assert await store.wanted_repair(TAG) is None
    assert await store.wanted_repair(TAG) is None, "asked without a question, now that there is none"
    await store.repair([life.intent(OTHER, digest=None)], [B])
    assert await store.wanted_repair(OTHER) == frozenset({B})


async def test_what_was_found_after_the_lease_outlives_it(store: Store, life: Life) -> None:
    await store.repair([life.intent(digest=None)], [A])
    lease = await leased(store)
    assert await store.repair([life.intent(digest=None)], [B]) == (Recorded.COALESCED,)
    await store.repaired(lease)
    assert await store.settle(lease, DONE)
    assert await store.wanted_repair(TAG) == frozenset({B})
    assert (await store.summary()).replica("eu").owed == 1


async def test_a_change_that_is_no_repair_leaves_it(store: Store, life: Life) -> None:
    await store.repair([life.intent(digest=None)], [A])
    await store.record([life.intent(digest=B)])
    assert await store.wanted_repair(TAG) == frozenset({A})


async def test_what_is_ignored_stays_so_unless_the_primary_names_something_else(store: Store, life: Life) -> None:
    await store.record([life.intent(digest=A)])
    assert await store.ignore([TAG], A) != ()
    assert await store.repair([life.intent(digest=A)]) == (Recorded.KNOWN,)
    assert await store.wanted_repair(TAG) is None
    assert (await store.summary()).replica("eu").owed == 0
    assert await store.repair([life.intent(digest=B)]) == (Recorded.ACCEPTED,)


async def test_what_an_audit_found_is_wanted_though_whoever_told_it_left_before_it_was_kept(
    store: Store, life: Life
) -> None:
    """A reload stops verification, a client hangs up: the commit goes on, and a lane may have asked before it."""
    begun, blocked = threading.Event(), threading.Event()

    def block(_session: Session) -> None:
        begun.set()
        blocked.wait(60)

    async with anyio.create_task_group() as group:
        group.start_soon(store.submit, block)
        await anyio.to_thread.run_sync(begun.wait)
        told = asyncio.ensure_future(store.repair([life.intent(digest=None)], [A]))
        await anyio.wait_all_tasks_blocked()
        told.cancel()
        with pytest.raises(asyncio.CancelledError):
            await told
        assert await store.wanted_repair(TAG) is None, "not kept yet"
        blocked.set()
    await store.tick()
    assert await store.wanted_repair(TAG) == frozenset({A})
