"""Rows that crossed the objective are counted once, also where the store fails halfway."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from replicator.errors import StoreError
from replicator.model import Digest, Intent, IntentKey, Repository, Tag
from replicator.store.prepared import Connection
from replicator.store.sqlite import SqliteStore
from tests.support.fake_clock import FakeClock

T = TypeVar("T")


class Unreadable(SqliteStore):
    """A store that cannot be read any more after so many questions."""

    questions = 0

    async def _read(self, query: Callable[[Connection], T]) -> T:
        self.questions -= 1
        if self.questions < 0:
            raise StoreError("the disk is gone")
        return await super()._read(query)


async def test_what_is_marked_is_counted_though_the_store_fails_then(tmp_path: Path) -> None:
    clock = FakeClock()
    store = await Unreadable.open(tmp_path / "replicator.db", clock=clock)
    assert isinstance(store, Unreadable)
    key = IntentKey("eu", Repository("team/app"), Tag("v1"))
    await store.record([Intent(key=key, digest=Digest.of(b"a"), since=clock.now(), due_at=clock.now())])
    clock.advance(1000)
    store.questions = 1
    assert await store.count_deadline_missed(900) == {"eu": 1}
    with pytest.raises(StoreError):
        await store.count_deadline_missed(900)
    await store.close()
