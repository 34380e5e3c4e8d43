"""A lane that an operator paused: it begins nothing, ends what it began, and holds nobody else back."""

from pathlib import Path

from replicator.model import parse_repository, parse_tag
from replicator.observability.labels import LaneState
from tests.support.content import make_image
from tests.unit.replication.rig import Rig, running_rig
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import Call, Op, network_error

REPO = parse_repository("team/app")
TAG, LATER = parse_tag("v1"), parse_tag("v2")
A, B = (make_image(f"image {n}", [40_000 + n, 300]) for n in range(2))


async def pause(rig: Rig, name: str = "eu") -> None:
    """Do as the admin listener does."""
    await rig.store.pause(name)
    await rig.engine.heed_pause(name)


async def resume(rig: Rig, name: str = "eu") -> None:
    await rig.store.resume(name)
    await rig.engine.heed_pause(name)


def shown(rig: Rig, name: str = "eu") -> tuple[str, set[str]]:
    """Return what the status and the metric say of a lane."""
    series = f'replicator_lane_state{{replica="{name}",state="'
    on = {state for state in LaneState if rig.metric(f'{series}{state}"}}') == 1.0}
    return rig.engine.lanes()[name].state, {str(state) for state in on}


async def test_nothing_is_begun_until_it_is_resumed_and_the_others_go_on(tmp_path: Path) -> None:
    async with running_rig(tmp_path, ("eu", "us")) as rig:
        rig.start()
        await rig.until(lambda: shown(rig) == ("running", {"running"}), what="the lanes run")
        await pause(rig)
        assert shown(rig) == ("paused", {"paused"})
        await rig.push(REPO, TAG, A)
        await rig.until(lambda: rig.replicas["us"].complete(REPO, TAG), what="the other replica has it")
        since = (await rig.owed()).since
        await rig.until(lambda: rig.clock.now() > 3600.0 + (since or 0.0), what="an hour passed", step=60.0)
        assert rig.replica.calls == [], "not even a question"
        assert (await rig.owed()).since == since, "its lag grows"
        assert shown(rig, "us") == ("running", {"running"})
        now = rig.clock.now()
        await resume(rig)
        await rig.until(lambda: rig.replica.complete(REPO, TAG), what="it arrives as soon as it is resumed")
        assert rig.clock.now() == now
        assert shown(rig) == ("running", {"running"})


async def test_a_copy_under_way_ends_also_when_its_tag_moves_on(rig: Rig) -> None:
    gate = Gate(Op.GOT, A.layers[0].digest)
    await rig.push_and_hold(gate, REPO, TAG, A)
    await pause(rig)
    await rig.push(REPO, TAG, B)
    await rig.push(REPO, LATER, B)
    await rig.moment()
    gate.opened.set()
    await rig.until(lambda: rig.replica.complete(REPO, TAG), what="what was begun has ended")
    await rig.until(lambda: rig.engine.lanes()["eu"].inflight == 0, what="nothing is under way")
    await rig.moment()
    assert rig.replica.tags == {(REPO, TAG): A.digest}
    assert (await rig.owed()).owed == 2
    await resume(rig)
    await rig.quiet()
    assert rig.replica.tags == {(REPO, TAG): B.digest, (REPO, LATER): B.digest}


async def test_a_lane_begins_paused_after_a_restart(rig: Rig) -> None:
    rig.start()
    await pause(rig)
    await rig.push(REPO, TAG, A)
    await rig.kill()
    await rig.until(lambda: shown(rig)[0] == "paused", what="the lane of the next life says so")
    await rig.moment()
    assert rig.replica.calls == []
    await resume(rig)
    await rig.quiet()
    assert rig.replica.complete(REPO, TAG)


async def test_a_dead_replica_is_not_probed_while_its_lane_is_paused(rig: Rig) -> None:
    async def down(call: Call) -> None:
        raise network_error(call.registry)

    rig.replica.hook = down
    rig.start()
    for n in range(4):
        await rig.push(REPO, parse_tag(f"v{n}"), make_image(f"image {n}", [500 + n]))
    await rig.until(lambda: shown(rig) == ("open", {"open"}), what="the lane opened", step=0.1)
    await pause(rig)
    assert shown(rig) == ("paused", {"paused"})
    await rig.until(lambda: rig.engine.lanes()["eu"].inflight == 0, what="nothing is under way")
    asked = len(rig.replica.calls)
    start = rig.clock.now()
    await rig.until(lambda: rig.clock.now() - start > 600.0, what="ten minutes passed", step=5.0)
    assert len(rig.replica.calls) == asked
    await resume(rig)
    assert shown(rig) == ("open", {"open"})
    rig.replica.hook = faults()
    await rig.until(rig.is_quiet, what="it heals as ever", step=1.0)
    assert shown(rig) == ("running", {"running"})


async def test_a_lane_that_could_not_ask_when_it_was_resumed_goes_on_all_the_same(rig: Rig) -> None:
    rig.start()
    await pause(rig)
    await rig.push(REPO, TAG, A)
    await rig.store.resume("eu")
    rig.store.broken = frozenset({"paused_since"})
    await rig.engine.heed_pause("eu")
    assert shown(rig) == ("paused", {"paused"})
    rig.store.broken = frozenset()
    await rig.until(rig.is_quiet, what="it works again", step=1.0)
    assert rig.replica.complete(REPO, TAG)


async def test_a_lane_heeds_what_nobody_told_it(rig: Rig) -> None:
    rig.start()
    await rig.until(lambda: shown(rig) == ("running", {"running"}), what="the lane runs")
    await rig.store.pause("eu")
    await rig.until(lambda: shown(rig) == ("paused", {"paused"}), what="it shows that it is paused", step=1.0)
    await rig.push(REPO, TAG, A)
    await rig.store.resume("eu")
    await rig.until(rig.is_quiet, what="it works again", step=1.0)
    assert rig.replica.complete(REPO, TAG)
    assert shown(rig) == ("running", {"running"})
