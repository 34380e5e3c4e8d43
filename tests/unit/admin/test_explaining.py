"""What an explanation says when parts of the daemon cannot be asked."""

import pytest

from replicator.admin.explaining import Explainer, Parts, Question
from replicator.clock import SystemClock
from replicator.errors import StoreError
from replicator.model import Tag
from replicator.store.sweeps import Sweeps
from tests.unit.admin.scene import APP, Scene


async def test_a_store_that_cannot_be_read_is_a_plain_error_however_many_replicas_there_are(scene: Scene) -> None:
    explainer = Explainer(
        Parts(
            store=scene.store,
            comparisons=Sweeps(scene.store),
            lanes=None,
            source=scene.primary,
            looks=scene.holdings,
            rules=scene.router,
            clock=SystemClock(),
        )
    )
    await scene.store.close()
    with pytest.raises(StoreError):
        await explainer.explain(Question(repository=APP, reference=Tag("v1"), replicas=("eu", "us"), named=False))
