"""A lane that an operator paused is given nothing, over restarts too, and loses nothing."""

from replicator.model import IntentKey, Tag
from replicator.store.outcome import Done, Result
from replicator.store.store import Store
from tests.contract.store.life import REPOSITORY, TAG, A, Life, leased

US = IntentKey("us", REPOSITORY, Tag("v1"))


async def test_a_paused_lane_is_given_no_lease_and_nothing_is_due_there(store: Store, life: Life) -> None:
    await store.record([life.intent(), life.intent(US)])
    paused_at = life.clock.now()
    assert await store.pause("eu")
    life.clock.advance(5)
    assert not await store.pause("eu"), "it was paused already"
    assert await store.paused_since("eu") == paused_at
    assert (await store.lease("eu", 5, 60), await store.next_due("eu")) == ((), None)
    await leased(store, US)
    summary = (await store.summary()).replica("eu")
    assert (summary.owed, summary.since, summary.paused_since) == (1, paused_at, paused_at)
    assert (await store.summary()).replica("us").paused_since is None


async def test_changes_are_taken_meanwhile_and_what_was_leased_may_end(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    lease = await leased(store)
    await store.pause("eu")
    await store.record([life.intent(IntentKey("eu", REPOSITORY, Tag("v2")))])
    assert await store.renew([lease], 60) == {TAG}
    assert await store.settle(lease, Done(result=Result.COPIED, digest=A))
    assert (await store.summary()).replica("eu").owed == 1


async def test_a_pause_outlives_the_daemon_until_it_is_resumed(life: Life) -> None:
    store = await life.start()
    await store.record([life.intent()])
    await store.pause("eu")
    paused_at = life.clock.now()
    life.clock.advance(100)
    store = await life.start()
    assert await store.paused_since("eu") == paused_at
    assert await store.lease("eu", 1, 60) == ()
    assert await store.resume("eu")
    assert not await store.resume("eu"), "it is resumed already"
    assert await store.paused_since("eu") is None
    await leased(store)


async def test_a_replica_that_was_never_paused_is_not(store: Store) -> None:
    assert await store.paused_since("eu") is None
    assert not await store.resume("eu")
