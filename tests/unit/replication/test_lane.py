"""A lane from its rows to its replica: the last push wins, failures stay where they are, leases are never lost."""

import itertools
from collections.abc import Callable
from pathlib import Path

from replicator.errors import Reason, RegistryError
from replicator.model import Intent, IntentKey, Priority, parse_repository, parse_tag
from tests.support.content import make_blob, make_image, make_index
from tests.unit.replication.rig import Rig, running_rig
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import Call, Op, network_error

REPO = parse_repository("team/app")
TAG = parse_tag("v1")
IMAGES = [make_image(f"image {n}", [40_000 + n, 300]) for n in range(6)]
A, B, C, D, *_ = IMAGES


def down(call: Call) -> None:
    raise network_error(call.registry)


def failing_for(digest: object, error: Callable[[], Exception]) -> Callable[[Call], None]:
    def step(call: Call) -> None:
        if call.reference == digest:
            raise error()

    return step


# One push


async def test_a_push_arrives_without_time_passing(rig: Rig) -> None:
    rig.start()
    await rig.push(REPO, TAG, A)
    await rig.until(lambda: rig.replica.complete(REPO, TAG), what="the image is there")
    await rig.quiet()
    assert (await rig.row(REPO, TAG)).have == A.digest
    assert rig.metric('replicator_updates_completed_total{replica="eu",result="copied"}') == 1.0


async def test_what_was_owed_before_the_start_is_done(rig: Rig) -> None:
    for n, image in enumerate(IMAGES):
        await rig.push(REPO, parse_tag(f"v{n}"), image)
    rig.start()
    await rig.quiet()
    assert all(rig.replica.complete(REPO, parse_tag(f"v{n}")) for n in range(len(IMAGES)))


async def test_an_event_before_its_tag_arrives_soon_and_is_no_lag_before(rig: Rig) -> None:
    rig.start()
    await rig.event(REPO, TAG, A.digest)
    await rig.until(rig.is_quiet, what="gone is settled")
    assert (await rig.owed()).since is None
    pushed = rig.clock.now()
    rig.source.hold(REPO, A, TAG)
    await rig.until(lambda: rig.replica.complete(REPO, TAG), what="a look found it", step=0.05)
    assert rig.clock.now() - pushed < 5.0


async def test_children_of_an_index_wait_for_it_and_are_not_copied_alone(rig: Rig) -> None:
    index = make_index([A, B])
    rig.start()
    for child in (A, B):
        rig.source.hold(REPO, child)
        await rig.event(REPO, child.digest, child.digest, hold=5.0)
    await rig.push(REPO, TAG, index)
    await rig.quiet()
    assert [row.key.reference for row in await rig.store.rows()] == [TAG]
    assert rig.replica.count(Op.WRITE) == 3


async def test_a_high_push_finds_a_worker_although_a_backfill_keeps_all_busy_that_it_may(rig: Rig) -> None:
    """Low work hangs; nothing else holds up what is urgent, and nobody looks in a loop for what may not go."""
    gate = Gate(Op.SENT)
    rig.replica.hook = faults(gate)
    rig.start()
    for n in range(20):
        tag = parse_tag(f"low{n}")
        rig.source.hold(REPO, make_image(f"low {n}", [1_000 + n]), tag)
        now = rig.clock.now()
        await rig.store.record(
            [Intent(key=IntentKey("eu", REPO, tag), digest=None, since=now, due_at=now, priority=Priority.LOW)]
        )
    await rig.until(lambda: rig.engine.lanes()["eu"].inflight == 12, what="three quarters of 16 workers are busy")
    asked = rig.replica.count(Op.STAT)
    await rig.moment()
    assert rig.replica.count(Op.STAT) == asked
    urgent_tag, now = parse_tag("urgent"), rig.clock.now()
    rig.replica.hook = faults()
    rig.source.hold(REPO, A, urgent_tag)
    key = IntentKey("eu", REPO, urgent_tag)
    await rig.store.record([Intent(key=key, digest=None, since=now, due_at=now, priority=Priority.HIGH)])
    await rig.until(lambda: rig.replica.complete(REPO, urgent_tag), what="the urgent one is there")
    assert rig.clock.now() == now
    assert rig.engine.lanes()["eu"].inflight >= 12
    gate.opened.set()
    await rig.quiet()


async def test_what_is_urgent_starves_nobody(tmp_path: Path) -> None:
    """With more urgent work than workers the least urgent row still has its turn."""
    put: list[str] = []

    def note(call: Call) -> None:
        if call.op is Op.WRITE:
            put.append(str(call.reference))

    async with running_rig(tmp_path, workers=2) as rig:
        rig.replica.hook = faults(note)
        for n in range(30):
            tag, priority = parse_tag(f"v{n}"), Priority.LOW if n == 0 else Priority.HIGH
            rig.source.hold(REPO, make_image(f"image {n}", [1_000 + n]), tag)
            now = rig.clock.now()
            key = IntentKey("eu", REPO, tag)
            await rig.store.record([Intent(key=key, digest=None, since=now, due_at=now, priority=priority)])
            rig.clock.advance(1)
        rig.start()
        await rig.quiet()
    assert put.index("v0") < 10


# Moved tags


async def test_a_copy_whose_tag_moved_is_cut_short(rig: Rig) -> None:
    gate = Gate(Op.GOT, A.layers[0].digest)
    await rig.push_and_hold(gate, REPO, TAG, A)
    await rig.push(REPO, TAG, B)
    await rig.until(lambda: rig.replica.tags.get((REPO, TAG)) == B.digest, what="the last push is there")
    await rig.quiet()
    assert (REPO, A.digest) not in rig.replica.manifests
    assert (await rig.row(REPO, TAG)).attempts == 0, "that is no failure"
    assert rig.metric('replicator_updates_completed_total{replica="eu",result="superseded"}') == 1.0


async def test_never_two_in_a_row(rig: Rig) -> None:
    """A tag that moves faster than it copies still arrives: the second copy is let through (G4)."""
    gates = {image.digest: Gate(Op.GOT, image.layers[0].digest) for image in (A, B, C)}
    rig.replica.hook = faults(*gates.values())
    rig.start()
    for image, following in ((A, B), (B, C)):
        if image is A:
            await rig.push(REPO, TAG, image)
        await gates[image.digest].reached.wait()
        await rig.push(REPO, TAG, following)
        await rig.moment()
    gates[B.digest].opened.set()
    await rig.until(lambda: rig.replica.tags.get((REPO, TAG)) == B.digest, what="B is there, though C is wanted")
    assert rig.replica.complete(REPO, TAG)
    assert (await rig.owed()).owed == 1
    await gates[C.digest].reached.wait()
    gates[C.digest].opened.set()
    await rig.quiet()
    assert rig.replica.tags[REPO, TAG] == C.digest
    assert (REPO, A.digest) not in rig.replica.manifests


async def test_the_last_push_wins_however_fast_they_come(rig: Rig) -> None:
    rig.start()
    for turn in range(12):
        await rig.push(REPO, TAG, IMAGES[turn % 6])
        if turn % 3 == 0:
            await rig.until(lambda: rig.replica.calls != [], what="something happens")
    await rig.quiet()
    assert rig.replica.tags[REPO, TAG] == IMAGES[11 % 6].digest
    assert rig.replica.complete(REPO, TAG)
    assert (await rig.owed()).since is None


async def test_the_same_push_told_twice_is_not_cut_short(rig: Rig) -> None:
    gate = Gate(Op.GOT, A.layers[0].digest)
    await rig.push_and_hold(gate, REPO, TAG, A)
    await rig.event(REPO, TAG, A.digest)
    await rig.event(REPO, TAG, None)
    gate.opened.set()
    await rig.quiet()
    assert rig.replica.count(Op.SENT, A.layers[0].digest) == 1


# Failures


async def test_what_cannot_be_is_parked_and_the_others_go_on(rig: Rig) -> None:
    rig.replica.hook = faults(
        failing_for(TAG, lambda: RegistryError("no", registry="eu", reason=Reason.UNSUPPORTED, status=400))
    )
    rig.start()
    await rig.push(REPO, TAG, A)
    await rig.push(REPO, parse_tag("v2"), B)
    await rig.until(lambda: rig.replica.complete(REPO, parse_tag("v2")), what="the other arrives")
    await rig.until(lambda: rig.has_failed(REPO, TAG), what="the attempt ended")
    row = await rig.row(REPO, TAG)
    assert (row.parked, row.reason, row.owed) == (True, Reason.UNSUPPORTED, True)
    assert (await rig.owed()).since is not None, "parked is still lag"
    rig.replica.hook = faults()
    await rig.until(rig.is_quiet, what="tried again within the hour", step=60.0)
    assert rig.replica.complete(REPO, TAG)


async def test_what_may_pass_is_tried_again_and_slower(rig: Rig) -> None:
    tried: list[float] = []

    def busy(call: Call) -> None:
        if call.op is Op.STAT:
            tried.append(rig.clock.now())
            raise RegistryError("busy", registry="eu", reason=Reason.RATE_LIMITED, temporary=True, status=429)

    rig.replica.hook = faults(busy)
    rig.start()
    await rig.push(REPO, TAG, A)
    await rig.until(lambda: len(tried) >= 6, what="six tries", step=0.2)
    pauses = [later - sooner for sooner, later in itertools.pairwise(tried)]
    assert all(pause >= 0.5 - 0.2 for pause in pauses)
    assert all(pause <= 2.0**n + 1.0 for n, pause in enumerate(pauses))
    rig.replica.hook = faults()
    await rig.until(rig.is_quiet, what="it arrives", step=5.0)


async def test_a_mistake_of_ours_in_one_image_does_not_stop_the_lane(rig: Rig) -> None:
    rig.replica.hook = faults(failing_for(A.layers[0].digest, lambda: ZeroDivisionError("a bug")))
    rig.source.hook = faults(failing_for(B.layers[0].digest, lambda: ZeroDivisionError("another, in a shared read")))
    rig.start()
    for n, image in enumerate((A, B, C)):
        await rig.push(REPO, parse_tag(f"v{n}"), image)
    await rig.until(lambda: rig.replica.complete(REPO, parse_tag("v2")), what="the good one arrives")
    rig.replica.hook = rig.source.hook = faults()
    await rig.until(rig.is_quiet, what="all arrive", step=1.0)
    assert all(rig.replica.complete(REPO, parse_tag(f"v{n}")) for n in range(3))


async def test_a_dead_replica_is_probed_and_heals_by_itself(rig: Rig) -> None:
    rig.replica.hook = faults(down)
    rig.start()
    for n, image in enumerate(IMAGES):
        await rig.push(REPO, parse_tag(f"v{n}"), image)
    await rig.until(lambda: rig.engine.lanes()["eu"].state == "open", what="the lane opened", step=0.1)
    since = (await rig.owed()).since
    asked, start = rig.replica.count(Op.STAT), rig.clock.now()
    await rig.until(lambda: rig.clock.now() - start > 900.0, what="a quarter of an hour passed", step=4.0)
    assert 20 <= rig.replica.count(Op.STAT) - asked <= 130, "probes, not a storm, and not none"
    assert (await rig.owed()).since == since, "lag is reset by nothing but success"
    rig.replica.hook = faults()
    for _ in range(31):
        rig.clock.advance(1.0)
        await rig.moment()
    await rig.until(rig.is_quiet, what="a probe came within half a minute and made all rows due")
    assert rig.engine.lanes()["eu"].state == "running"
    assert all(rig.replica.complete(REPO, parse_tag(f"v{n}")) for n in range(len(IMAGES)))


async def test_a_look_at_the_primary_does_not_heal_a_dead_replica(rig: Rig) -> None:
    rig.source.hold(REPO, A, TAG)
    rig.start()
    await rig.event(REPO, TAG, B.digest)  # leaves a look that comes again and again
    await rig.until(rig.is_quiet, what="settled with a look to come")
    rig.replica.hook = faults(down)
    for n in range(3):
        await rig.push(REPO, parse_tag(f"down{n}"), IMAGES[n])
    await rig.until(lambda: rig.engine.lanes()["eu"].state == "open", what="the lane opened", step=0.02)
    start, states = rig.clock.now(), set()
    while rig.clock.now() - start < 60.0:
        rig.clock.advance(0.5)
        await rig.moment()
        states.add(rig.engine.lanes()["eu"].state)
    assert states == {"open"}


async def test_a_hanging_replica_holds_nobody_back(tmp_path: Path) -> None:
    """Not by a second: the others are done while no time passes at all (G6)."""
    async with running_rig(tmp_path, ("eu", "us", "ap")) as rig:
        never = Gate(Op.SEND)
        rig.replicas["us"].hook = faults(never)
        rig.replicas["ap"].hook = faults(Gate(Op.STAT), Gate(Op.START))
        rig.start()
        for n, image in enumerate(IMAGES):
            await rig.push(REPO, parse_tag(f"v{n}"), image)
        await rig.until(
            lambda: all(rig.replicas["eu"].complete(REPO, parse_tag(f"v{n}")) for n in range(len(IMAGES))),
            what="the sound replica has all",
        )
        assert never.reached.is_set()
        owed = [(await rig.owed(name)).owed for name in ("us", "ap")]
        assert owed == [len(IMAGES)] * 2


async def test_lanes_that_are_due_together_read_the_source_once(tmp_path: Path) -> None:
    async with running_rig(tmp_path, ("eu", "us", "ap", "sa")) as rig:
        image = make_image("wide", [make_blob(f"wide {n}", 900_000) for n in range(4)])
        rig.start()
        await rig.push(REPO, TAG, image)
        await rig.quiet()
        size = sum(blob.size for blob in image.blobs())
        assert all(one.complete(REPO, TAG) for one in rig.replicas.values())
        assert rig.source.bytes_read <= 1.02 * size
