"""What a store answers, tells its listeners, and keeps beside intents."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from replicator.errors import Reason
from replicator.model import Digest, IntentKey, Priority, Repository, Tag
from replicator.store.hints import FORGOTTEN_AFTER
from replicator.store.outcome import Done, Result
from replicator.store.rows import KeptUpload, ReplicaSummary
from replicator.store.store import Store
from tests.contract.store.life import CHILD, REPOSITORY, TAG, A, B, C, Life, copied, failed, leased, parked


async def test_the_summary_counts_each_replica_by_itself(store: Store, life: Life) -> None:
    first = life.clock.now()
    us = [IntentKey("us", REPOSITORY, Tag(f"t{tag}")) for tag in range(3)]
    await store.record([life.intent(us[0], wait=100)])
    life.clock.advance(5)
    await store.record([life.intent(us[1]), life.intent(us[2]), life.intent(TAG)])
    for lease in await store.lease("us", 5, 60):
        await store.settle(lease, parked(life) if lease.key == us[1] else failed(life))
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A))
    summary = await store.summary()
    assert summary.read_at == life.clock.now()
    assert summary.replica("us") == ReplicaSummary(
        owed=3, parked=1, failing={Reason.AUTH: 1, Reason.NETWORK: 1}, since=first
    )
    assert summary.replica("eu") == ReplicaSummary()
    assert summary.replica("never seen") == ReplicaSummary()


async def test_the_next_due_time_is_that_of_the_earliest_free_row(store: Store, life: Life) -> None:
    now = life.clock.now()
    assert await store.next_due("eu") is None
    await store.record([life.intent(wait=30), life.intent(CHILD, wait=10, priority=Priority.LOW)])
    assert await store.next_due("eu") == now + 10
    assert await store.next_due("us") is None
    life.clock.advance(10)
    await leased(store, CHILD, seconds=60)
    assert await store.next_due("eu") == now + 30
    life.clock.advance(60)
    assert await store.next_due("eu") == now + 10, "its holder's time is over"


async def test_pages_of_rows_show_each_row_once(store: Store, life: Life) -> None:
    keys = {
        IntentKey(replica, Repository(name), reference)
        for replica in ("eu", "us")
        for name in ("b/b", "a/a", "c")
        for reference in (Tag("v1"), Tag("V1"), Tag("_"), A, Digest.of(b"long", "sha512"))
    }
    await store.record([life.intent(key) for key in keys])
    seen: list[IntentKey] = []
    while page := await store.rows(after=seen[-1] if seen else None, limit=4):
        assert len(page) <= 4
        seen.extend(row.key for row in page)
    assert len(seen) == len(keys)
    assert set(seen) == keys
    european = await store.rows(replica="eu", limit=100)
    assert {row.key for row in european} == {key for key in keys if key.replica == "eu"}
    assert await store.rows(replica="nowhere") == ()


async def test_rows_can_be_asked_for_by_whether_they_are_parked(store: Store, life: Life) -> None:
    stuck, owed = (IntentKey("eu", REPOSITORY, Tag(name)) for name in ("stuck", "owed"))
    await copied(store, life, A, TAG)
    await store.record([life.intent(stuck)])
    await store.settle(await leased(store, stuck), parked(life))
    await store.record([life.intent(owed)])
    assert [row.key for row in await store.rows(parked=True)] == [stuck]
    assert [row.key for row in await store.rows(parked=False)] == [owed]
    assert {row.key for row in await store.rows()} == {TAG, stuck, owed}


async def test_an_unknown_row_is_none(store: Store) -> None:
    assert await store.row(TAG) is None


async def test_listeners_hear_of_changes_once_they_can_be_leased(store: Store, life: Life) -> None:
    heard: list[Sequence[IntentKey]] = []
    store.listen(heard.append)
    await store.record([life.intent(TAG), life.intent(CHILD, C)])
    assert heard.pop() == (TAG, CHILD)
    await store.record([life.intent(TAG)])
    assert heard.pop() == (TAG,)
    first, second = await store.lease("eu", 2, 60)
    assert heard == []
    await store.settle(first, Done(result=Result.COPIED, digest=A))
    assert heard.pop() == (first.key,)
    await store.settle(second, failed(life))
    assert heard.pop() == (second.key,)
    assert not await store.settle(second, failed(life))
    assert heard == []


async def test_listeners_hear_nothing_of_what_is_known(store: Store, life: Life) -> None:
    await copied(store, life)
    heard: list[Sequence[IntentKey]] = []
    store.listen(heard.append)
    await store.record([life.intent()])
    assert heard == []


async def test_blobs_are_found_where_they_were_seen_last(store: Store, life: Life) -> None:
    for name in ("one", "two"):
        await store.remember_blobs("eu", Repository(name), [A, B])
        life.clock.advance(1)
    await store.remember_blobs("us", Repository("three"), [A])
    await store.remember_blobs("eu", Repository("one"), [B, B])
    await store.remember_blobs("eu", Repository("one"), [])
    assert await store.locations("eu", [A, B, C]) == {A: ("two", "one"), B: ("one", "two"), C: ()}
    await store.forget_blobs("eu", Repository("one"))
    assert await store.locations("eu", [A, B]) == {A: ("two",), B: ("two",)}
    assert await store.locations("us", [A]) == {A: ("three",)}


async def test_of_a_blob_that_is_everywhere_five_places_are_remembered(store: Store, life: Life) -> None:
    for number in range(8):
        await store.remember_blobs("eu", Repository(f"r{number}"), [A])
        life.clock.advance(1)
    assert await store.locations("eu", [A]) == {A: ("r7", "r6", "r5", "r4", "r3")}
    await store.forget_blobs("eu", Repository("r7"))
    assert await store.locations("eu", [A]) == {A: ("r6", "r5", "r4", "r3")}


async def test_places_that_no_copy_came_by_for_long_are_dropped_by_and_by(store: Store, life: Life) -> None:
    lowest = Digest.parse("sha256:" + "0" * 64)
    await store.remember_blobs("eu", REPOSITORY, [A, B, C])
    await store.remember_blobs("us", REPOSITORY, [A])
    life.clock.advance(FORGOTTEN_AFTER / 2)
    await store.remember_blobs("eu", REPOSITORY, [B])
    life.clock.advance(FORGOTTEN_AFTER / 2 + 1)
    assert (await store.locations("eu", [A]))[A], "nothing came since"
    await store.remember_blobs("eu", Repository("another"), [lowest])
    held = await store.locations("eu", [A, B, C, lowest])
    assert held == {A: (), B: (REPOSITORY,), C: (), lowest: ("another",)}
    assert (await store.locations("us", [A]))[A], "another replica's are its own"


async def test_an_upload_is_kept_until_it_is_over_or_a_day_old(store: Store, life: Life) -> None:
    one, two = Repository("one"), Repository("two")
    begun = KeptUpload(location="/v2/one/blobs/uploads/1?_state=a%2Fb", position=0)
    later = KeptUpload(location="/v2/one/blobs/uploads/1?_state=c", position=1 << 40)
    await store.keep_upload("eu", one, A, begun)
    assert await store.kept_upload("eu", one, A) == begun
    await store.keep_upload("eu", one, A, later)
    assert await store.kept_upload("eu", one, A) == later
    for other in (("us", one, A), ("eu", two, A), ("eu", one, B)):
        assert await store.kept_upload(*other) is None
        await store.forget_upload(*other)
    assert await store.kept_upload("eu", one, A) == later
    await store.forget_upload("eu", one, A)
    assert await store.kept_upload("eu", one, A) is None
    await store.keep_upload("eu", one, B, begun)
    life.clock.advance(24 * 3600)
    assert await store.kept_upload("eu", one, B) is None
    await store.keep_upload("eu", two, C, later)
    assert await store.kept_upload("eu", two, C) == later


async def test_unreadable_deliveries_are_kept_in_bounds(store: Store, life: Life) -> None:
    for number in range(105):
        await store.keep_unreadable("primary", f"reason {number}", b"x" * 100_000)
    kept = await store.unreadable()
    assert [delivery.reason for delivery in kept] == [f"reason {number}" for number in range(104, 4, -1)]
    assert {len(delivery.body) for delivery in kept} == {65536}
    assert (kept[0].endpoint, kept[0].received_at) == ("primary", life.clock.now())


async def test_an_open_store_is_healthy_and_writable(store: Store) -> None:
    assert store.healthy()
    await store.tick()
    assert await store.writable()


async def test_a_closed_store_refuses_everything(store: Store, life: Life) -> None:
    await life.stop()
    await store.close()
    assert not store.healthy()
    assert not await store.writable()
    refused: list[Callable[[], Awaitable[object]]] = [
        lambda: store.record([life.intent()]),
        lambda: store.lease("eu", 1, 60),
        store.tick,
        store.summary,
        lambda: store.row(TAG),
    ]
    for call in refused:
        with pytest.raises(Exception, match="closed"):
            await call()


async def test_what_is_stored_survives_a_restart(store: Store, life: Life) -> None:
    await copied(store, life, A)
    await store.record([life.intent(IntentKey("us", REPOSITORY, Tag("v2")), B, wait=7, priority=Priority.LOW)])
    await store.remember_blobs("eu", REPOSITORY, [A])
    before = await store.rows(), await store.summary(), await store.locations("eu", [A])
    store = await life.start()
    assert (await store.rows(), await store.summary(), await store.locations("eu", [A])) == before


async def test_what_comes_before_a_row_is_what_is_more_urgent_or_due_sooner(store: Store, life: Life) -> None:
    keys = [IntentKey("eu", REPOSITORY, Tag(f"t{n}")) for n in range(5)]
    urgent, later, first, second, last = keys
    intents = [life.intent(key, wait=float(n)) for n, key in enumerate(keys)]
    intents[0] = replace(intents[0], priority=Priority.HIGH)
    intents[1] = replace(intents[1], priority=Priority.HIGH, due_at=life.clock.now() + 100)
    us = IntentKey("us", REPOSITORY, Tag("t"))
    await store.record([*intents, life.intent(us)])

    async def before(key: IntentKey) -> int:
        row = await store.row(key)
        assert row is not None
        return await store.rows_before(row)

    assert [await before(key) for key in (urgent, later, first, second, last)] == [0, 1, 1, 2, 3]
    life.clock.advance(200)
    assert await before(first) == 2
    assert await store.settle(await leased(store, us), Done(result=Result.COPIED, digest=A))
    assert await before(us) == 0
