"""A damaged blob is sent anew, and not again and again where the registry keeps what it has."""

import pytest

from replicator.errors import ContentError
from replicator.model import Repository
from replicator.observability.labels import BlobResult
from replicator.replication.mending import TRY_EVERY, Unmended, mend_blob
from tests.support.content import make_blob
from tests.support.fake_clock import FakeClock
from tests.unit.replication.support import ModelRegistry, Op, descriptor

APP = Repository("team/app")
BLOB = make_blob("damaged", 1_000)


class Scene:
    """A replica that holds a damaged blob, and what is sent to it."""

    def __init__(self, *, keeps: bool) -> None:
        self.replica = ModelRegistry("eu")
        self.clock = FakeClock()
        self.sent = 0
        self._keeps = keeps
        self._unmended = Unmended()
        self.replica.hold_blob(APP, BLOB)
        self.replica.data[BLOB.digest] = b"x" * BLOB.size

    async def mend(self) -> BlobResult:
        """Have it mended."""
        blob = descriptor(BLOB)
        return await mend_blob(self.replica, APP, blob, self._send, unmended=self._unmended, clock=self.clock)

    async def _send(self) -> None:
        self.sent += 1
        there = (APP, BLOB.digest) in self.replica.links
        if not (there and self._keeps):
            self.replica.hold_blob(APP, BLOB)


async def test_where_it_is_replaced_it_is_mended_and_what_is_right_is_not_sent() -> None:
    scene = Scene(keeps=False)
    assert (await scene.mend(), await scene.mend(), scene.sent) == (BlobResult.COPIED, BlobResult.EXISTED, 1)


async def test_where_it_is_kept_it_is_neither_read_nor_sent_again_for_a_while() -> None:
    scene = Scene(keeps=True)
    for _ in range(3):
        with pytest.raises(ContentError, match="remove its file"):
            await scene.mend()
    assert (scene.sent, scene.replica.count(Op.OPEN)) == (1, 2)
    scene.clock.advance(TRY_EVERY)
    with pytest.raises(ContentError):
        await scene.mend()
    assert scene.sent == 2


async def test_what_an_operator_removed_is_sent_at_once() -> None:
    scene = Scene(keeps=True)
    with pytest.raises(ContentError):
        await scene.mend()
    scene.replica.lose(APP, BLOB.digest)
    assert await scene.mend() is BlobResult.COPIED
