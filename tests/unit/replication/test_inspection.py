"""What a replica lacks: read from the primary once, asked of the replica, bounded, and no error ends it."""

import pytest

from replicator.errors import Reason, RegistryError
from replicator.lacks import Absent, Look, Part
from replicator.model import Digest, Tag, parse_repository
from replicator.policy import Policy
from replicator.replication import inspection
from replicator.replication.inspection import Inspector
from replicator.together import together
from tests.support.content import make_image, make_index
from tests.unit.replication.steps import faults
from tests.unit.replication.support import Call, ModelRegistry, Op

APP, COPY, V1 = parse_repository("team/app"), parse_repository("mirror/team/app"), Tag("v1")
IMAGES = [make_image(f"inspected {n}", [2_000 + n, 300]) for n in range(2)]
INDEX = make_index(IMAGES)


class Scene:
    """A primary that holds an index, a replica and what looks at it."""

    def __init__(self) -> None:
        self.primary, self.replica = ModelRegistry("primary"), ModelRegistry("eu")
        self.primary.hold(APP, INDEX, V1)
        self.inspector = Inspector(self.primary, {"eu": self.replica}, {"eu": "mirror/"})

    async def look(self, replica: str = "eu") -> Look:
        return await self.inspector.look(replica, APP, V1, INDEX.digest, Policy())


async def test_a_complete_replica_lacks_nothing() -> None:
    scene = Scene()
    scene.replica.hold(COPY, INDEX, V1)
    look = await scene.look()
    assert look.complete
    assert (look.shown, look.asked, look.unasked) == (INDEX.digest, 3 + len(INDEX.blobs()), 0)
    assert {call.op for call in scene.replica.calls} == {Op.STAT, Op.HAS}, "it is asked, and nothing is read there"


async def test_what_is_missing_is_named() -> None:
    scene = Scene()
    scene.replica.hold(COPY, INDEX, V1)
    child, layer = IMAGES[0], IMAGES[1].layers[0]
    scene.replica.lose(COPY, child.digest)
    scene.replica.lose(COPY, layer.digest)
    look = await scene.look()
    assert not look.complete
    assert set(look.absent) == {
        Absent(Part.MANIFEST, child.digest, len(child.body)),
        Absent(Part.BLOB, layer.digest, layer.size),
    }


async def test_an_empty_replica_lacks_everything() -> None:
    look = await Scene().look()
    assert (look.shown, len(look.absent)) == (None, look.asked)


async def test_replicas_that_are_asked_together_read_the_primary_once() -> None:
    scene = Scene()
    await together([scene.look, scene.look, scene.look])
    assert scene.primary.count(Op.READ, INDEX.digest) == 1
    assert scene.primary.count(Op.READ) == 3


async def test_no_more_is_asked_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "PARTS_MAX", 5)
    scene = Scene()
    scene.replica.hold(COPY, INDEX, V1)
    look = await scene.look()
    assert (look.complete, look.asked, look.unasked) == (True, 5, 3 + len(INDEX.blobs()) - 5)
    assert len(scene.replica.calls) == 6


async def test_what_a_registry_does_not_tell_is_said_with_what_is_known() -> None:
    scene = Scene()
    scene.replica.hold(COPY, INDEX, V1)

    def refuses_blobs(call: Call) -> None:
        if call.op is Op.HAS:
            raise RegistryError("eu: 403", registry="eu", reason=Reason.AUTH)

    scene.replica.hook = faults(refuses_blobs)
    look = await scene.look()
    assert (look.problem, look.shown, look.complete) == ("eu: 403", INDEX.digest, False)
    gone = Scene()
    gone.primary.lose(APP, IMAGES[0].digest)
    assert "primary" in (await gone.look()).problem
    assert (await scene.look("us")).problem == "us is not configured any more"


async def test_a_name_that_is_too_long_there_is_a_problem() -> None:
    scene = Scene()
    inspector = Inspector(scene.primary, {"eu": scene.replica}, {"eu": "x" * 250 + "/"})
    assert (await inspector.look("eu", APP, V1, Digest.of(b""), Policy())).problem
