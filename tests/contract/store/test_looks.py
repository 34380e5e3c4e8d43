"""Second looks, and rows that go once nothing is left to do for them (DESIGN 3)."""

from replicator.model import Digest, IntentKey, Priority, Recorded, Repository, Tag
from replicator.store.outcome import Done, Result
from replicator.store.rows import PutBeside, ReplicaSummary
from replicator.store.store import Store
from tests.contract.store.life import CHILD, REPOSITORY, TAG, A, B, C, Life, copied, failed, leased, parked

DELIVERY = "01234567-89ab-cdef-0123-456789abcdef"


async def test_a_look_is_durable_due_in_time_and_no_lag(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    at = life.clock.now() + 2
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=B, look_at=at, looks=1))
    store = await life.start()
    summary = (await store.summary()).replica("eu")
    assert (summary.owed, summary.since, summary.looks) == (0, None, 1)
    assert await store.next_due("eu") == at
    assert await store.lease("eu", 1, 60) == ()
    life.clock.advance(2)
    look = await leased(store)
    assert (look.look, look.looks, look.digest, look.have, look.since) == (True, 1, A, B, None)
    assert await store.settle(look, Done(result=Result.ALREADY_PRESENT, digest=B, look_at=at + 4, looks=2))
    row = await store.row(TAG)
    assert row is not None
    assert (row.looks, row.verify_at, row.owed, row.leased) == (2, at + 4, False, False)
    life.clock.advance(4)
    assert await store.settle(await leased(store), Done(result=Result.COPIED, digest=A))
    row = await store.row(TAG)
    assert row is not None
    assert (row.have, row.verify_at, row.generation) == (A, None, 1)
    assert await store.next_due("eu") is None


async def test_a_restart_ends_the_lease_of_a_look_too(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, look_at=life.clock.now(), looks=1))
    former = await leased(store, seconds=3600)
    store = await life.start()
    assert not await store.settle(former, Done(result=Result.ALREADY_PRESENT, digest=A))
    again = await leased(store)
    assert (again.look, again.looks) == (True, 1)
    await store.settle(again, Done(result=Result.ALREADY_PRESENT, digest=A))
    assert await store.next_due("eu") == life.clock.now() + 900, "the former look may have put as well"


async def test_a_look_that_fails_is_taken_again_and_is_no_lag(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, look_at=life.clock.now(), looks=1))
    await store.settle(await leased(store), parked(life, 30))
    assert (await store.summary()).replica("eu") == ReplicaSummary(looks=1)
    life.clock.advance(30)
    look = await leased(store)
    assert (look.look, look.attempts) == (True, 1)


async def test_a_new_change_starts_the_looks_anew(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(
        await leased(store), Done(result=Result.COPIED, digest=A, look_at=life.clock.now() + 1, looks=3)
    )
    await store.record([life.intent(digest=B)])
    assert (await leased(store)).looks == 0


async def test_a_pending_look_is_not_lost_by_a_change(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    at = life.clock.now() + 900
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, look_at=at, looks=1))
    await store.record([life.intent(digest=B)])
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=B))
    row = await store.row(TAG)
    assert row is not None
    assert row.verify_at == at


async def test_a_put_of_unknown_outcome_is_looked_at_once_it_can_land_no_more(store: Store, life: Life) -> None:
    sent = life.clock.now()
    await store.record([life.intent()])
    await store.settle(await leased(store), failed(life, 1, wrote=True))
    life.clock.advance(1)
    soon = life.clock.now() + 2
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, look_at=soon, looks=1))
    assert await store.next_due("eu") == soon, "the earlier look comes first"
    life.clock.advance(2)
    await store.settle(await leased(store), Done(result=Result.ALREADY_PRESENT, digest=A))
    assert await store.next_due("eu") == sent + 900, "and does not stand in for the later"
    life.clock.advance(900)
    await store.settle(await leased(store), Done(result=Result.ALREADY_PRESENT, digest=A))
    assert await store.next_due("eu") is None


async def test_a_lease_that_was_taken_over_leaves_a_look(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await leased(store, seconds=5)
    life.clock.advance(10)
    taken = life.clock.now()
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A))
    row = await store.row(TAG)
    assert row is not None
    assert row.verify_at == taken + 900


async def test_looks_and_owed_rows_take_their_turn_by_due_time(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    await store.settle(
        await leased(store), Done(result=Result.COPIED, digest=A, look_at=life.clock.now() + 1, looks=1)
    )
    life.clock.advance(2)
    await store.record([life.intent(IntentKey("eu", REPOSITORY, Tag(f"t{tag}"))) for tag in range(5)])
    assert (await leased(store)).look


async def test_the_most_urgent_look_goes_first_however_long_others_are_due(store: Store, life: Life) -> None:
    keys = [IntentKey("eu", REPOSITORY, Tag(f"t{number}")) for number in range(5)]
    await store.record([life.intent(key) for key in keys[:-1]])
    await store.record([life.intent(keys[-1], priority=Priority.HIGH)])
    for lease in await store.lease("eu", 5, 60):
        look_at = life.clock.now() + keys.index(lease.key)
        await store.settle(lease, Done(result=Result.COPIED, digest=A, look_at=look_at, looks=1))
    life.clock.advance(5)
    assert [lease.key for lease in await store.lease("eu", 3, 60)] == [keys[-1], keys[0], keys[1]]


async def test_a_digest_row_is_dropped_once_clean_and_a_tag_row_stays(store: Store, life: Life) -> None:
    await copied(store, life, A, TAG)
    await copied(store, life, C, CHILD)
    assert [row.key for row in await store.rows()] == [TAG]


async def test_a_digest_row_with_a_look_to_come_stays_until_it_is_taken(store: Store, life: Life) -> None:
    await store.record([life.intent(CHILD, C)])
    look_at = life.clock.now() + 2
    await store.settle(await leased(store, CHILD), Done(result=Result.GONE, digest=None, look_at=look_at, looks=1))
    assert await store.row(CHILD) is not None
    life.clock.advance(2)
    await store.settle(await leased(store, CHILD), Done(result=Result.COPIED, digest=C))
    assert await store.row(CHILD) is None


async def test_a_digest_row_with_a_newer_change_stays(store: Store, life: Life) -> None:
    await store.record([life.intent(CHILD, C)])
    lease = await leased(store, CHILD)
    await store.record([life.intent(CHILD, C)])
    await store.settle(lease, Done(result=Result.COPIED, digest=C))
    row = await store.row(CHILD)
    assert row is not None
    assert row.owed


async def test_children_that_came_with_their_index_are_dropped_where_nobody_works_on_them(
    store: Store, life: Life
) -> None:
    covered, worked_on = (IntentKey("eu", REPOSITORY, digest) for digest in (B, C))
    elsewhere = IntentKey("us", REPOSITORY, B), IntentKey("eu", Repository("team/other"), B)
    await store.record([life.intent(worked_on, C)])
    await leased(store, worked_on)
    await store.record([life.intent(TAG)])
    await store.record([life.intent(key, key_digest(key), wait=5) for key in (covered, *elsewhere)])
    done = Done(result=Result.COPIED, digest=A, covered=(A, B, C))
    assert await store.settle(await leased(store, TAG), done)
    assert {row.key for row in await store.rows()} == {TAG, worked_on, *elsewhere}


def key_digest(key: IntentKey) -> Digest | None:
    return key.reference if isinstance(key.reference, Digest) else None


async def test_who_is_fenced_off_covers_nothing(store: Store, life: Life) -> None:
    await store.record([life.intent(TAG), life.intent(CHILD, C, wait=500)])
    late = await leased(store, TAG, seconds=5)
    life.clock.advance(10)
    await leased(store, TAG)
    await store.settle(late, Done(result=Result.COPIED, digest=A, covered=(C,)))
    assert await store.row(CHILD) is not None


async def beside(store: Store, life: Life, digest: Digest = A, key: IntentKey = TAG, after: float = 1.0) -> None:
    """Put a tag along with an image, and have it looked at `after` that many seconds."""
    put = PutBeside(key=key, digest=digest, priority=Priority.NORMAL, fingerprint="policy", delivery=DELIVERY)
    doubt_until = await store.begin_put(put)
    await store.end_put(put, doubt_until=doubt_until, look_at=life.clock.now() + after)


async def test_a_tag_that_was_put_without_a_lease_is_looked_at_and_is_no_lag(store: Store, life: Life) -> None:
    await beside(store, life)
    store = await life.start()
    assert (await store.summary()).replica("eu") == ReplicaSummary(looks=1)
    life.clock.advance(1)
    look = await leased(store)
    assert (look.look, look.have, look.fingerprint, look.delivery) == (True, A, "policy", DELIVERY)
    await store.settle(look, Done(result=Result.ALREADY_PRESENT, digest=A))
    assert await store.next_due("eu") is None


async def test_one_of_which_no_answer_came_is_looked_at_when_it_can_land_no_more(store: Store, life: Life) -> None:
    await copied(store, life, B)
    await store.begin_put(PutBeside(key=TAG, digest=A, priority=Priority.NORMAL, fingerprint="policy"))
    store = await life.start()
    row = await store.row(TAG)
    assert row is not None
    assert (row.have, row.owed, row.verify_at) == (B, False, life.clock.now() + 900)


async def test_what_it_may_become_is_not_taken_for_what_is_there(store: Store, life: Life) -> None:
    """An event of what was never put is not "known"."""
    await store.begin_put(PutBeside(key=TAG, digest=A, priority=Priority.NORMAL, fingerprint="policy"))
    assert await store.record([life.intent()]) == (Recorded.ACCEPTED,)
    assert (await leased(store)).have is None


async def test_it_waits_for_whoever_has_the_lease_and_for_a_change(store: Store, life: Life) -> None:
    await store.record([life.intent()])
    held = await leased(store)
    await beside(store, life, B, after=3)
    await store.record([life.intent(digest=C)])
    await store.settle(held, Done(result=Result.COPIED, digest=A))
    row = await store.row(TAG)
    assert row is not None
    assert (row.have, row.owed, row.verify_at) == (A, True, None)
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=C))
    assert await store.next_due("eu") == life.clock.now() + 3


async def test_looks_that_were_due_earlier_or_later_are_taken_all_the_same(store: Store, life: Life) -> None:
    now = life.clock.now()
    for other, expected in ((1.0, [1.0, 5.0]), (60.0, [5.0, 60.0])):
        key = IntentKey("eu", REPOSITORY, Tag(f"t{other}"))
        await store.record([life.intent(key)])
        await store.settle(await leased(store, key), Done(result=Result.COPIED, digest=A, look_at=now + other))
        await beside(store, life, key=key, after=5)
        row = await store.row(key)
        assert row is not None
        assert row.verify_at == now + expected[0]
    life.clock.advance(5)
    for lease in await store.lease("eu", 2, 60):
        await store.settle(lease, Done(result=Result.ALREADY_PRESENT, digest=A))
    assert sorted(row.verify_at for row in await store.rows() if row.verify_at is not None) == [now + 5, now + 60]
