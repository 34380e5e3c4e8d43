"""A tag that somebody else changed on a replica: overwritten and counted, or kept, parked and told (G8)."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from replicator.errors import Reason
from replicator.model import IntentKey, parse_repository, parse_tag
from replicator.store.outcome import Done, Parked, Result, Retry
from tests.support.content import make_image
from tests.unit.replication.rig import Bench, running_bench
from tests.unit.replication.steps import faults
from tests.unit.replication.support import Call, Op, network_error

REPO, TAG = parse_repository("team/app"), parse_tag("v1")
KEY = IntentKey("eu", REPO, TAG)
OLD, NEW, FOREIGN = make_image("old"), make_image("new"), make_image("foreign")
KEEP: dict[str, Any] = {"rules": [{"conflicts": "keep"}]}


@pytest.fixture
async def keeping(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path, **KEEP) as bench:
        yield bench


@pytest.fixture(params=["overwrite", "keep"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path, rules=[{"conflicts": request.param}]) as bench:
        yield bench


def conflicts(bench: Bench) -> float:
    return bench.rig.metric("replicator_conflicts_total")


def named(bench: Bench) -> object:
    return bench.rig.replica.tags.get((REPO, TAG))


async def copied(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, OLD)
    assert isinstance(await bench.work(), Done)


@pytest.mark.parametrize("was_ours", [True, False])
async def test_what_is_overwritten_is_counted_once(tmp_path: Path, logged: list[EventDict], was_ours: bool) -> None:
    async with running_bench(tmp_path) as bench:
        if was_ours:
            await copied(bench)
        bench.rig.replica.hold(REPO, FOREIGN, TAG)
        before = bench.rig.replica.count(Op.STAT)
        await bench.rig.push(REPO, TAG, NEW)
        assert await bench.work() == Done(result=Result.COPIED, digest=NEW.digest, covered=(NEW.digest,))
        assert (named(bench), conflicts(bench)) == (NEW.digest, 1)
        assert bench.rig.replica.count(Op.STAT) == before + 1, "what is asked anyway tells"
        (line,) = (line for line in logged if line["event"] == "tag_conflict")
        assert (line["held"], line["wanted"], line["kept"]) == (str(FOREIGN.digest), str(NEW.digest), False)


@pytest.mark.parametrize("was_ours", [True, False])
async def test_what_is_kept_is_parked_and_nothing_is_sent(keeping: Bench, was_ours: bool) -> None:
    if was_ours:
        await copied(keeping)
    keeping.rig.replica.hold(REPO, FOREIGN, TAG)
    puts = keeping.rig.replica.count(Op.WRITE)
    await keeping.rig.push(REPO, TAG, NEW)
    outcome = await keeping.work()
    assert isinstance(outcome, Parked)
    assert outcome.reason is Reason.CONFLICT
    assert "eu team/app:v1 names" in outcome.message
    assert "conflicts: keep" in outcome.message
    assert (named(keeping), conflicts(keeping)) == (FOREIGN.digest, 1)
    assert keeping.rig.replica.count(Op.WRITE) == puts


async def test_it_stays_parked_through_tries_and_pushes_and_is_one_conflict(keeping: Bench) -> None:
    keeping.rig.replica.hold(REPO, FOREIGN, TAG)
    await keeping.rig.push(REPO, TAG, OLD)
    await keeping.work()
    assert await keeping.rig.store.retry([KEY]) == (KEY,)
    assert isinstance(await keeping.work(), Parked)
    await keeping.rig.push(REPO, TAG, NEW)
    assert isinstance(await keeping.work(), Parked)
    assert (named(keeping), conflicts(keeping)) == (FOREIGN.digest, 1)


@pytest.mark.parametrize("mended", ["gone", "equal"])
async def test_it_ends_when_the_replicas_tag_is_gone_or_equal(keeping: Bench, mended: str) -> None:
    keeping.rig.replica.hold(REPO, FOREIGN, TAG)
    await keeping.rig.push(REPO, TAG, NEW)
    await keeping.work()
    if mended == "gone":
        del keeping.rig.replica.tags[REPO, TAG]
    else:
        keeping.rig.replica.hold(REPO, NEW, TAG)
    await keeping.rig.store.retry([KEY])
    assert isinstance(await keeping.work(), Done)
    assert named(keeping) == NEW.digest
    row = await keeping.rig.row(REPO, TAG)
    assert (row.owed, row.have) == (False, NEW.digest)


async def test_what_somebody_puts_during_the_copy_is_kept(keeping: Bench) -> None:
    """The answer from the beginning is old by then: the tag is asked for once more right before the put."""

    def put_by_somebody(call: Call) -> None:
        if call.op is Op.SEND:
            keeping.rig.replica.hold(REPO, FOREIGN, TAG)

    keeping.rig.replica.hook = faults(put_by_somebody)
    await keeping.rig.push(REPO, TAG, NEW)
    assert isinstance(await keeping.work(), Parked)
    assert named(keeping) == FOREIGN.digest


async def test_an_own_put_whose_answer_was_lost_is_no_conflict(either: Bench) -> None:
    """It landed, the primary moved on, and the row knows of nothing that we put."""
    either.rig.replica.hook = faults(lost_answers(1))
    await either.rig.push(REPO, TAG, OLD)
    outcome = await either.work()
    assert isinstance(outcome, Retry)
    assert outcome.wrote
    assert named(either) == OLD.digest
    await either.rig.push(REPO, TAG, NEW)
    assert isinstance(await either.work(), Done)
    assert (named(either), conflicts(either)) == (NEW.digest, 0)


async def test_a_late_put_of_ours_that_a_look_finds_is_no_conflict(either: Bench) -> None:
    either.rig.replica.hook = faults(lost_answers(1))
    await either.rig.push(REPO, TAG, OLD)
    await either.work()
    await either.rig.push(REPO, TAG, NEW)
    await either.work()
    either.rig.replica.hold(REPO, OLD, TAG)  # it lands now
    row = await either.rig.row(REPO, TAG)
    assert row.verify_at is not None
    either.rig.clock.advance(row.verify_at - either.rig.clock.now())
    await either.work()
    assert isinstance(await either.work(), Done)
    assert (named(either), conflicts(either)) == (NEW.digest, 0)


async def test_the_put_of_one_whose_lease_was_taken_over_is_no_conflict(either: Bench) -> None:
    """Its worker stood still and was not there to settle: the other finds a tag that no row tells of."""
    await either.rig.push(REPO, TAG, OLD)
    await either.lease()
    await either.rig.store.note_put(KEY, OLD.digest)
    either.rig.replica.hold(REPO, OLD, TAG)
    either.rig.clock.advance(61)
    await either.rig.push(REPO, TAG, NEW)
    assert isinstance(await either.work(), Done)
    assert (named(either), conflicts(either)) == (NEW.digest, 0)


async def test_a_worker_that_died_before_its_put_does_not_make_foreign_tags_ours(keeping: Bench) -> None:
    keeping.rig.replica.hold(REPO, FOREIGN, TAG)
    await keeping.rig.push(REPO, TAG, NEW)
    await keeping.lease()
    keeping.rig.clock.advance(61)
    assert isinstance(await keeping.work(), Parked)
    assert named(keeping) == FOREIGN.digest


async def test_a_tag_that_was_deleted_and_pushed_again_is_still_ours(either: Bench) -> None:
    """What the replica has of it is known, though the primary had none for a while."""
    await copied(either)
    del either.rig.source.tags[REPO, TAG]
    await either.rig.event(REPO, TAG, None)
    outcome = await either.work()
    assert isinstance(outcome, Done)
    assert outcome.result is Result.GONE
    await either.rig.push(REPO, TAG, NEW)
    assert isinstance(await either.work(), Done)
    assert (named(either), conflicts(either)) == (NEW.digest, 0)


async def test_a_digest_is_never_a_conflict(keeping: Bench) -> None:
    keeping.rig.source.hold(REPO, NEW)
    await keeping.rig.event(REPO, NEW.digest, NEW.digest)
    assert isinstance(await keeping.work(), Done)
    assert conflicts(keeping) == 0


def lost_answers(count: int) -> Callable[[Call], None]:
    """Let puts of the tag take effect and lose their answers."""
    left = [None] * count

    def step(call: Call) -> None:
        if call.op is Op.WROTE and call.reference == TAG and left:
            left.pop()
            raise network_error("eu", Reason.TIMEOUT)

    return step
