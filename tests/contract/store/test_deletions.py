"""Tags that are to be deleted wait in the store, over restarts, until they are done, left or pushed again."""

import pytest

from replicator.deletion import Deletion, Pace
from replicator.errors import Reason
from replicator.model import Digest, IntentKey, Priority, Recorded, Tag
from replicator.store import delete_pace
from replicator.store.deletions import AFTER_TAGS
from replicator.store.leases import DOUBT_SECONDS
from replicator.store.outcome import Done, Result, Retry
from replicator.store.rows import DeletionSummary, Entry, Pending, PutBeside, What
from replicator.store.store import Store
from tests.contract.store.life import CHILD, REPOSITORY, TAG, A, B, C, Life, leased

OTHER = IntentKey("eu", REPOSITORY, Tag("v2"))
GRACE = 60.0


@pytest.fixture
async def given(store: Store, life: Life) -> Store:
    """Return a store whose replica was given a tag by us."""
    await put(store, life, TAG)
    return store


async def put(store: Store, life: Life, key: IntentKey, digest: Digest = A) -> None:
    await store.record([life.intent(key, digest)])
    await store.settle(await leased(store, key), Done(result=Result.COPIED, digest=digest, put=True))


def doomed(life: Life, key: IntentKey = TAG) -> Deletion:
    now = life.clock.now()
    return Deletion(key=key, found_at=now, due_at=now + GRACE)


async def test_it_waits_as_a_look_at_the_row_over_restarts(given: Store, life: Life) -> None:
    found = doomed(life)
    assert await given.add_deletions([found]) == (1,)
    assert await given.add_deletions([found]) == (0,), "it is known already"
    store = await life.start()
    assert await store.next_due("eu") == found.due_at
    assert (await store.summary()).replica("eu").deletes == DeletionSummary(pending=1)
    life.clock.advance(GRACE)
    look = await leased(store)
    assert (look.look, look.have) == (True, A)
    assert await store.deletion(TAG) == Pending(
        found_at=found.found_at, due_at=found.due_at, approved=False, left=None, put=True, stopped=False
    )
    await store.begin_deletion(TAG, A, approved=False)
    assert await store.settle(look, Done(result=Result.DELETED, digest=None))
    assert (await store.row(TAG), await store.deletion(TAG)) == (None, None)
    assert (await store.tag_history(TAG))[0] == Entry(A, What.DELETED, life.clock.now())
    assert (await store.summary()).replica("eu").deletes == DeletionSummary()


async def test_what_the_replica_was_never_given_is_not_deleted(store: Store, life: Life) -> None:
    assert await store.add_deletions([doomed(life)]) == (0,)
    await store.record([life.intent()])
    assert await store.add_deletions([doomed(life)]) == (0,), "nothing is there yet"


async def test_a_push_cancels_it_even_of_the_same_image(given: Store, life: Life) -> None:
    await given.add_deletions([doomed(life)])
    await given.record([life.intent(TAG, A)])
    assert await given.deletion(TAG) is None
    assert await given.add_deletions([doomed(life)]) == (1,), "and it may be deleted anew"


async def test_a_push_cancels_it_also_where_the_push_itself_is_ignored_by_decision(given: Store, life: Life) -> None:
    await given.record([life.intent(TAG, B)])
    assert await given.ignore([TAG], B) == (TAG,)
    assert await given.add_deletions([doomed(life)]) == (1,), "the replica holds what it was given before"
    await given.record([life.intent(TAG, B)])
    assert await given.deletion(TAG) is None


async def test_a_digest_dooms_all_tags_that_name_it(given: Store, life: Life) -> None:
    await put(given, life, OTHER)
    await put(given, life, IntentKey("eu", REPOSITORY, Tag("v3")), B)
    assert await given.add_deletions([doomed(life, IntentKey("eu", REPOSITORY, A))]) == (2,)
    assert await given.deletion(OTHER) is not None
    assert await given.deletion(IntentKey("eu", REPOSITORY, Tag("v3"))) is None


async def test_a_look_that_is_due_before_stays_and_the_other_follows(given: Store, life: Life) -> None:
    await given.record([life.intent(TAG, B)])
    soon = life.clock.now() + 5
    await given.settle(await leased(given), Done(result=Result.COPIED, digest=B, look_at=soon, looks=1))
    await given.add_deletions([doomed(life)])
    assert await given.next_due("eu") == soon
    life.clock.advance(5)
    await given.settle(await leased(given), Done(result=Result.ALREADY_PRESENT, digest=B))
    assert await given.next_due("eu") == soon - 5 + GRACE


async def test_a_change_that_comes_while_it_is_deleted_stays_owed(given: Store, life: Life) -> None:
    await given.add_deletions([doomed(life)])
    life.clock.advance(GRACE)
    look = await leased(given)
    await given.record([life.intent(TAG, B)])
    assert await given.settle(look, Done(result=Result.DELETED, digest=None))
    row = await given.row(TAG)
    assert row is not None
    assert (row.owed, row.have) == (True, None)


async def test_what_was_found_there_is_not_ours_unless_our_put_was_lost_on_the_way(store: Store, life: Life) -> None:
    async def is_ours() -> bool:
        await store.add_deletions([doomed(life)])
        found = await store.deletion(TAG)
        assert found is not None
        return found.put

    await store.record([life.intent()])
    await store.settle(await leased(store), Done(result=Result.ALREADY_PRESENT, digest=A))
    assert not await is_ours()
    await store.record([life.intent(TAG, B)])
    lost = Retry(at=life.clock.now(), reason=Reason.TIMEOUT, message="", wrote=True, put=B)
    await store.settle(await leased(store), lost)
    await store.settle(await leased(store), Done(result=Result.ALREADY_PRESENT, digest=B))
    assert await is_ours()
    await store.record([life.intent(TAG, A)])
    await store.settle(await leased(store), Done(result=Result.ALREADY_PRESENT, digest=A))
    assert not await is_ours(), "somebody else put the former one back"


async def test_a_tag_that_went_along_with_an_image_is_ours(store: Store, life: Life) -> None:
    along = PutBeside(key=TAG, digest=A, priority=Priority.NORMAL, fingerprint="policy")
    until = await store.begin_put(along)
    await store.end_put(along, doubt_until=until, look_at=life.clock.now())
    await store.add_deletions([doomed(life)])
    found = await store.deletion(TAG)
    assert found is not None
    assert found.put


async def test_the_pace_counts_an_hour_and_what_is_due(given: Store, life: Life) -> None:
    await put(given, life, OTHER)
    await given.add_deletions([doomed(life), doomed(life, OTHER)])
    assert await given.deletion_pace("eu") == Pace(done=0, due=0, tags=2)
    life.clock.advance(GRACE)
    assert await given.deletion_pace("eu") == Pace(done=0, due=2, tags=2)
    await given.begin_deletion(TAG, A, approved=False)
    await given.begin_deletion(TAG, A, approved=False)  # tried again
    await given.leave_deletion(OTHER, "unsupported")
    assert await given.deletion_pace("eu") == Pace(done=1, due=1, tags=2)
    assert await given.deletion_pace("us") == Pace(done=0, due=0, tags=0)
    assert (await given.summary()).replica("eu").deletes == DeletionSummary(pending=1, left={"unsupported": 1})
    life.clock.advance(3600)
    assert await given.deletion_pace("eu") == Pace(done=0, due=1, tags=2)


async def test_deletes_are_stopped_over_restarts_until_they_are_let_go_on(given: Store, life: Life) -> None:
    await given.add_deletions([doomed(life)])
    life.clock.advance(GRACE)
    stopped_at = life.clock.now()
    await given.stop_deletes("eu")
    store = await life.start()
    assert (await store.summary()).replica("eu").deletes.stopped_since == stopped_at
    assert await store.paused_since("eu") is None
    found = await store.deletion(TAG)
    assert found is not None
    assert found.stopped
    await store.settle(await leased(store), Done(result=Result.GONE, digest=A, look_at=stopped_at + 3600))
    assert await store.resume_deletes("eu")
    assert not await store.resume_deletes("eu")
    found = await store.deletion(TAG)
    assert found is not None
    assert (found.approved, found.stopped) == (True, False)
    assert await store.next_due("eu") == life.clock.now(), "it need not wait any longer"
    assert await store.deletion_pace("eu") == Pace(done=0, due=0, tags=1)
    await store.begin_deletion(TAG, A, approved=True)
    assert await store.deletion_pace("eu") == Pace(done=0, due=0, tags=1), "what was let go on counts nowhere"


async def test_very_many_are_let_go_on_page_by_page(
    given: Store, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that webhooks are answered meanwhile; none may begin before all are approved: it would stop the others."""
    monkeypatch.setattr(delete_pace, "PAGE", 2)
    keys = [TAG, *(IntentKey("eu", REPOSITORY, Tag(f"more-{number}")) for number in range(4))]
    for key in keys[1:]:
        await put(given, life, key)
    await given.add_deletions([doomed(life, key) for key in keys])
    life.clock.advance(GRACE)
    await given.stop_deletes("eu")
    for look in await given.lease("eu", 10, 60):
        await given.settle(look, Done(result=Result.GONE, digest=A, look_at=life.clock.now() + 3600))
    told: list[int] = []
    given.listen(lambda changed: told.append(len(changed)))
    assert await given.resume_deletes("eu")
    assert told == [2, 2, 1], "a page in each commit"
    assert {look.key for look in await given.lease("eu", 10, 60)} == set(keys)
    for key in keys:
        found = await given.deletion(key)
        assert found is not None
        assert (found.approved, found.stopped) == (True, False)


async def test_what_is_not_due_is_not_let_go_on_ahead(given: Store, life: Life) -> None:
    await given.add_deletions([doomed(life)])
    await given.stop_deletes("eu")
    await given.resume_deletes("eu")
    found = await given.deletion(TAG)
    assert found is not None
    assert not found.approved


async def given_untagged(store: Store, life: Life, key: IntentKey = CHILD) -> None:
    """Put a manifest without a tag for its own sake, where it may have to be deleted."""
    assert isinstance(key.reference, Digest)
    await put(store, life, key, key.reference)


async def test_a_manifest_without_a_tag_is_remembered_where_it_was_put_for_its_own_sake(
    store: Store, life: Life
) -> None:
    await given_untagged(store, life)
    assert await store.digest_rows("eu", REPOSITORY, 10) == (C,)
    assert await store.digest_rows("us", REPOSITORY, 10) == ()
    found = doomed(life, CHILD)
    assert await store.add_deletions([found]) == (1,)
    store = await life.start()
    assert await store.next_due("eu") == found.due_at
    life.clock.advance(GRACE)
    look = await leased(store, CHILD)
    pending = await store.deletion(CHILD)
    assert pending is not None
    assert pending.put
    assert await store.settle(look, Done(result=Result.DELETED, digest=None))
    assert (await store.row(CHILD), await store.digest_rows("eu", REPOSITORY, 10)) == (None, ())


async def test_one_that_was_found_there_or_came_with_something_else_is_not(store: Store, life: Life) -> None:
    await store.record([life.intent(CHILD, C)])
    await store.settle(await leased(store, CHILD), Done(result=Result.ALREADY_PRESENT, digest=C))
    assert await store.row(CHILD) is None
    await given_untagged(store, life)
    await store.record([life.intent(TAG, A)])
    await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, covered=(C,)))
    assert await store.row(CHILD) is None


async def test_a_push_of_one_that_is_known_has_it_looked_for_again(store: Store, life: Life) -> None:
    """The replica may have collected it as garbage."""
    await given_untagged(store, life)
    assert await store.record([life.intent(CHILD, C)]) == (Recorded.ACCEPTED,)
    await store.settle(await leased(store, CHILD), Done(result=Result.ALREADY_PRESENT, digest=C))
    assert await store.add_deletions([doomed(life, CHILD)]) == (1,), "it is ours all the same"


async def test_one_that_is_still_copied_is_deleted_once_it_is_there(store: Store, life: Life) -> None:
    """No list would tell later that the primary lost it, as it does of tags."""
    await store.record([life.intent(CHILD, C)])
    copy = await leased(store, CHILD)
    found = doomed(life, CHILD)
    assert await store.add_deletions([found]) == (1,)
    assert await store.add_deletions([found]) == (0,), "it is known already"
    life.clock.advance(GRACE)
    assert (await store.deletion_pace("eu")).due == 0, "nothing is there that could be lost"
    assert await store.settle(copy, Done(result=Result.COPIED, digest=C, put=True))
    store = await life.start()
    assert (await store.deletion_pace("eu")).due == 1
    look = await leased(store, CHILD)
    pending = await store.deletion(CHILD)
    assert pending is not None
    assert (look.look, pending.put, pending.due_at) == (True, True, found.due_at)


@pytest.mark.parametrize(
    "ended", [Done(result=Result.ALREADY_PRESENT, digest=C), Done(result=Result.GONE, digest=None)]
)
async def test_what_the_copy_finds_to_be_not_ours_is_not_deleted(store: Store, life: Life, ended: Done) -> None:
    await store.record([life.intent(CHILD, C)])
    assert await store.add_deletions([doomed(life, CHILD)]) == (1,)
    assert await store.settle(await leased(store, CHILD), ended)
    assert await store.deletion(CHILD) is None
    life.clock.advance(GRACE)
    assert await store.settle(await leased(store, CHILD), ended)
    assert await store.row(CHILD) is None


async def test_one_that_comes_with_something_else_is_not_deleted_after_all(store: Store, life: Life) -> None:
    await store.record([life.intent(TAG, A)])
    await store.record([life.intent(CHILD, C, wait=5)])
    await store.add_deletions([doomed(life, CHILD)])
    assert await store.settle(await leased(store), Done(result=Result.COPIED, digest=A, covered=(C,)))
    assert (await store.row(CHILD), await store.deletion(CHILD)) == (None, None)


async def test_a_delete_after_a_push_that_came_during_a_copy_waits_for_the_next(store: Store, life: Life) -> None:
    await store.record([life.intent(CHILD, C)])
    copy = await leased(store, CHILD)
    await store.record([life.intent(CHILD, C)])
    await store.add_deletions([doomed(life, CHILD)])
    assert await store.settle(copy, Done(result=Result.ALREADY_PRESENT, digest=C))
    assert await store.deletion(CHILD) is not None
    assert await store.settle(await leased(store, CHILD), Done(result=Result.COPIED, digest=C, put=True))
    assert await store.deletion(CHILD) is not None


async def test_the_manifest_goes_after_the_tags_that_name_it(given: Store, life: Life) -> None:
    key = IntentKey("eu", REPOSITORY, A)
    await given_untagged(given, life, key)
    assert await given.add_deletions([doomed(life, key)]) == (2,)
    tag, itself = await given.deletion(TAG), await given.deletion(key)
    assert tag is not None
    assert itself is not None
    assert itself.due_at == tag.due_at + AFTER_TAGS


@pytest.mark.parametrize("how", ["failed", "fenced", "killed", "taken over"])
async def test_a_delete_by_digest_that_may_land_late_is_looked_for(store: Store, life: Life, how: str) -> None:
    """It is not forgotten either when the manifest comes with something else meanwhile."""
    await given_untagged(store, life)
    await store.add_deletions([doomed(life, CHILD)])
    life.clock.advance(GRACE)
    look = await leased(store, CHILD)
    until = life.clock.now() + DOUBT_SECONDS
    lost = Retry(at=life.clock.now(), reason=Reason.TIMEOUT, message="", wrote=True)
    if how == "failed":
        await store.settle(look, lost)
    elif how == "killed":
        store = await life.start()
    else:
        life.clock.advance(60)
        until += 60
        again = await leased(store, CHILD)
        if how == "fenced":
            assert not await store.settle(look, lost)
        await store.release([again])
    await store.cancel_deletion(CHILD)
    await store.record([life.intent(TAG, A)])
    leases = await store.lease("eu", 10, 60.0)
    for lease in leases:
        held = C if lease.key == CHILD else A
        covered = (C,) if lease.key == TAG else ()
        assert await store.settle(lease, Done(result=Result.COPIED, digest=held, covered=covered))
    row = await store.row(CHILD)
    assert row is not None
    assert row.verify_at == until


async def test_what_was_left_is_due_again_with_the_others(given: Store, life: Life) -> None:
    await given.add_deletions([doomed(life)])
    life.clock.advance(GRACE)
    await given.leave_deletion(TAG, "unsupported")
    assert (await given.deletion_pace("eu")).due == 0
    await given.leave_deletion(TAG, None)
    assert (await given.deletion_pace("eu")).due == 1
