"""A row remembers what told of its newest change for as long as anything is to be done about it."""

from replicator.correlation import delivery_id
from replicator.store.outcome import Done, Result
from replicator.store.store import Store
from tests.contract.store.life import A, B, Life, failed, leased

ONE, TWO = delivery_id(), delivery_id()


async def test_a_lease_names_what_told_of_the_newest_change(store: Store, life: Life) -> None:
    await store.record([life.intent(delivery=ONE)])
    await store.record([life.intent(digest=B, delivery=TWO)])
    assert (await leased(store)).delivery == TWO


async def test_a_change_that_nobody_named_leaves_the_last_name(store: Store, life: Life) -> None:
    await store.record([life.intent(delivery=ONE)])
    await store.record([life.intent(digest=B)])
    assert (await leased(store)).delivery == ONE


async def test_failures_and_a_restart_keep_it(life: Life) -> None:
    store = await life.start()
    await store.record([life.intent(delivery=ONE)])
    assert await store.settle(await leased(store), failed(life))
    store = await life.start()
    life.clock.advance(10)
    assert (await leased(store)).delivery == ONE


async def test_a_look_is_part_of_the_way_and_what_comes_after_it_is_not(store: Store, life: Life) -> None:
    await store.record([life.intent(delivery=ONE)])
    await store.settle(
        await leased(store), Done(result=Result.COPIED, digest=A, look_at=life.clock.now() + 1, looks=1)
    )
    life.clock.advance(1)
    look = await leased(store)
    assert (look.look, look.delivery) == (True, ONE)
    assert await store.settle(look, Done(result=Result.ALREADY_PRESENT, digest=A))
    await store.record([life.intent(digest=B)])
    assert (await leased(store)).delivery == ""


async def test_a_change_that_came_during_the_work_keeps_its_own(store: Store, life: Life) -> None:
    await store.record([life.intent(delivery=ONE)])
    lease = await leased(store)
    await store.record([life.intent(digest=B, delivery=TWO)])
    assert await store.settle(lease, Done(result=Result.COPIED, digest=A))
    assert (await leased(store)).delivery == TWO
