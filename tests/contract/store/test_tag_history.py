"""What a tag was made to name is remembered, newest first, over restarts, and never without bound."""

from replicator.model import Digest, IntentKey, Priority, Tag
from replicator.store.rows import Entry, PutBeside, What
from replicator.store.store import Store
from replicator.store.tag_history import PER_TAG
from tests.contract.store.life import REPOSITORY, TAG, A, B, Life

OTHER = IntentKey("eu", REPOSITORY, Tag("v2"))


async def test_what_is_about_to_be_put_is_kept_over_restarts(store: Store, life: Life) -> None:
    assert await store.tag_history(TAG) == ()
    await store.note_put(TAG, A)
    life.clock.advance(5)
    await store.note_put(TAG, B)
    await store.note_put(OTHER, A)
    store = await life.start()
    now = life.clock.now()
    assert await store.tag_history(TAG) == (Entry(B, What.PUT, now), Entry(A, What.PUT, now - 5))
    assert [entry.digest for entry in await store.tag_history(OTHER)] == [A]


async def test_the_oldest_of_a_tag_make_room(store: Store) -> None:
    digests = [Digest.of(bytes([number])) for number in range(PER_TAG + 3)]
    await store.note_put(OTHER, A)
    for digest in digests:
        await store.note_put(TAG, digest)
    assert [entry.digest for entry in await store.tag_history(TAG)] == digests[:2:-1]
    assert len(await store.tag_history(OTHER)) == 1


async def test_a_put_beside_is_kept_with_the_look_that_it_leaves(store: Store) -> None:
    await store.begin_put(PutBeside(key=TAG, digest=B, priority=Priority.NORMAL, fingerprint="policy"))
    assert [entry.digest for entry in await store.tag_history(TAG)] == [B]
