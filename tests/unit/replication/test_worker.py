"""One lease, one outcome: what the primary names now is copied, every error becomes a decision (DESIGN 3)."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.typing import EventDict

from replicator.errors import AccessDenied, ManifestBlobUnknown, Reason, RegistryError, Withheld
from replicator.model import parse_repository, parse_tag
from replicator.replication.worker import LeaseLost
from replicator.retry import LOOKS
from replicator.store.outcome import Done, Parked, Result, Retry
from tests.support.content import make_image, make_index
from tests.unit.replication.rig import Bench, running_bench
from tests.unit.replication.steps import faults
from tests.unit.replication.support import Call, Op, network_error

REPO, OTHER = parse_repository("team/app"), parse_repository("team/other")
TAG = parse_tag("v1")
OLD, NEW = make_image("old"), make_image("new")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path) as bench:
        yield bench


async def test_a_push_is_copied_and_settled(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, NEW)
    outcome = await bench.work()
    assert outcome == Done(result=Result.COPIED, digest=NEW.digest, look_at=None, looks=0, covered=(NEW.digest,))
    assert bench.rig.replica.complete(REPO, TAG)
    row = await bench.rig.row(REPO, TAG)
    assert (row.owed, row.have, row.dirty_since, row.verify_at) == (False, NEW.digest, None, None)


async def test_what_is_there_is_not_copied(bench: Bench) -> None:
    bench.rig.replica.hold(REPO, NEW, TAG)
    await bench.rig.push(REPO, TAG, NEW)
    outcome = await bench.work()
    assert outcome == Done(result=Result.ALREADY_PRESENT, digest=NEW.digest, look_at=None, looks=0)
    assert bench.rig.replica.count(Op.WRITE) == bench.rig.replica.count(Op.HAS) == 0


async def test_the_prefix_of_a_replica_is_put_before_the_name(tmp_path: Path) -> None:
    async with running_bench(tmp_path, prefix="mirror/") as bench:
        await bench.rig.push(REPO, TAG, NEW)
        await bench.work()
        assert bench.rig.replica.complete(parse_repository("mirror/team/app"), TAG)


async def test_a_name_that_becomes_too_long_is_parked(tmp_path: Path) -> None:
    async with running_bench(tmp_path, prefix="mirror/") as bench:
        repository = parse_repository("x" * 250)
        await bench.rig.push(repository, TAG, NEW)
        outcome = await bench.work()
        assert isinstance(outcome, Parked)
        assert outcome.reason is Reason.UNSUPPORTED


async def test_the_event_is_a_hint_and_what_is_there_now_is_copied(bench: Bench) -> None:
    """The tag moved on since, or the event came before the tag: either way another look is due, which is not lag."""
    bench.rig.source.hold(REPO, NEW, TAG)
    await bench.rig.event(REPO, TAG, OLD.digest)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert (outcome.digest, outcome.looks) == (NEW.digest, 1)
    assert outcome.look_at == bench.rig.clock.now() + LOOKS[0]
    assert (await bench.rig.owed()).since is None


async def test_an_event_without_a_digest_needs_no_look(bench: Bench) -> None:
    bench.rig.source.hold(REPO, NEW, TAG)
    await bench.rig.event(REPO, TAG, None)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert outcome.look_at is None


async def test_an_event_before_its_tag_is_found_by_a_look(bench: Bench) -> None:
    await bench.rig.event(REPO, TAG, NEW.digest)
    outcome = await bench.work()
    assert outcome == Done(result=Result.GONE, digest=None, look_at=bench.rig.clock.now() + LOOKS[0], looks=1)
    assert (await bench.rig.owed()).since is None, "a tag that is not there is no lag"
    bench.rig.source.hold(REPO, NEW, TAG)
    bench.rig.clock.advance(LOOKS[0])
    found_at = bench.rig.clock.now()
    await bench.work()
    owed = await bench.rig.owed()
    assert (owed.owed, owed.since) == (1, found_at)
    assert await bench.work() == Done(result=Result.COPIED, digest=NEW.digest, covered=(NEW.digest,))
    assert bench.rig.replica.complete(REPO, TAG)


async def test_looks_end_when_the_tag_never_comes(bench: Bench) -> None:
    await bench.rig.event(REPO, TAG, NEW.digest)
    outcomes = [await bench.work()]
    for delay in LOOKS:
        assert isinstance(outcomes[-1], Done)
        assert outcomes[-1].look_at == bench.rig.clock.now() + delay
        bench.rig.clock.advance(delay)
        outcomes.append(await bench.work())
    assert isinstance(outcomes[-1], Done)
    assert outcomes[-1].look_at is None
    bench.rig.clock.advance(1e6)
    assert await bench.rig.store.lease("eu", 10, 60.0) == ()


async def test_looks_end_when_what_was_said_is_found(bench: Bench) -> None:
    bench.rig.source.hold(REPO, OLD, TAG)
    await bench.rig.event(REPO, TAG, NEW.digest)
    await bench.work()
    bench.rig.source.hold(REPO, NEW, TAG)
    bench.rig.clock.advance(LOOKS[0])
    await bench.work()
    await bench.work()
    assert bench.rig.replica.tags[REPO, TAG] == NEW.digest
    assert isinstance(await bench.work(), Done), "the look that was due when the change came"
    bench.rig.clock.advance(1e6)
    assert await bench.rig.store.lease("eu", 10, 60.0) == ()


async def test_a_look_sees_what_a_late_put_did_to_the_replica(bench: Bench) -> None:
    """A put of unknown outcome may land after the next one: the row says what we think, the replica what is."""
    await bench.rig.push(REPO, TAG, OLD)
    bench.rig.replica.hook = faults(_lost_answer())
    outcome = await bench.work()
    assert isinstance(outcome, Retry)
    assert outcome.wrote
    await bench.rig.push(REPO, TAG, NEW)
    await bench.work()
    assert bench.rig.replica.tags[REPO, TAG] == NEW.digest
    bench.rig.replica.hold(REPO, OLD, TAG)  # the late put
    row = await bench.rig.row(REPO, TAG)
    assert row.verify_at is not None
    bench.rig.clock.advance(row.verify_at - bench.rig.clock.now())
    await bench.work()
    await bench.work()
    assert bench.rig.replica.tags[REPO, TAG] == NEW.digest


def withholds(call: Call) -> None:
    """Refuse to tell what the replica's tag names, as a policy against what is vulnerable does."""
    if (call.op, call.reference) == (Op.STAT, TAG):
        raise Withheld("eu: 412: vulnerable", registry="eu", reason=Reason.CONFLICT, status=412)


async def test_a_tag_that_nobody_may_read_on_the_replica_still_moves(bench: Bench, logged: list[EventDict]) -> None:
    bench.rig.replica.hold(REPO, OLD, TAG)
    bench.rig.replica.hook = faults(withholds)
    await bench.rig.push(REPO, TAG, NEW)
    assert await bench.work() == Done(result=Result.COPIED, digest=NEW.digest, covered=(NEW.digest,))
    assert bench.rig.replica.tags[REPO, TAG] == NEW.digest
    told = [line for line in logged if line["event"] == "manifest_withheld"]
    assert [(line["log_level"], line["reference"], line["error"]) for line in told] == [
        ("warning", "v1", "eu: 412: vulnerable")
    ]


async def test_a_look_at_a_tag_that_nobody_may_read_is_the_last(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, OLD)
    bench.rig.replica.hook = faults(_lost_answer())
    await bench.work()
    await bench.rig.push(REPO, TAG, NEW)
    await bench.work()
    row = await bench.rig.row(REPO, TAG)
    assert row.verify_at is not None
    bench.rig.replica.hook = faults(withholds)
    bench.rig.clock.advance(row.verify_at - bench.rig.clock.now())
    assert await bench.work() == Done(result=Result.ALREADY_PRESENT, digest=NEW.digest, looks=1)
    bench.rig.clock.advance(1e6)
    assert await bench.rig.store.lease("eu", 10, 60.0) == ()


def _lost_answer() -> Callable[[Call], None]:
    left = [1]

    def step(call: Call) -> None:
        if call.op is Op.WRITE and call.reference == TAG and left:
            left.pop()
            raise network_error("eu", Reason.TIMEOUT)

    return step


async def test_what_was_deleted_meanwhile_is_gone(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, NEW)
    del bench.rig.source.tags[REPO, TAG]
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert outcome.result is Result.GONE
    assert bench.rig.replica.count(Op.WRITE) == 0


async def test_what_was_deleted_while_it_was_read_is_tried_again_and_then_gone(bench: Bench) -> None:
    index = make_index([OLD, NEW])
    await bench.rig.push(REPO, TAG, index)
    bench.rig.source.lose(REPO, NEW.digest)
    outcome = await bench.work()
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.NOT_FOUND
    del bench.rig.source.tags[REPO, TAG]
    bench.rig.clock.advance(400.0)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert outcome.result is Result.GONE


async def test_what_came_with_an_index_needs_no_row_of_its_own(bench: Bench) -> None:
    index = make_index([OLD, NEW])
    for child in (OLD, NEW):
        bench.rig.source.hold(REPO, child)
        await bench.rig.event(REPO, child.digest, child.digest, hold=5.0)
    await bench.rig.push(REPO, TAG, index)
    await bench.work()
    assert [row.key.reference for row in await bench.rig.store.rows()] == [TAG]


async def test_an_untagged_image_is_copied_under_its_digest_and_its_row_goes(bench: Bench) -> None:
    bench.rig.source.hold(REPO, NEW)
    await bench.rig.event(REPO, NEW.digest, NEW.digest)
    await bench.work()
    assert bench.rig.replica.complete(REPO, NEW.digest)
    assert await bench.rig.store.rows() == ()


async def test_a_replica_that_lost_what_we_put_gets_it_again(bench: Bench) -> None:
    """Garbage collection: what was believed is forgotten, asked anew, and sent once more."""
    bench.rig.replica.strict = True
    await bench.rig.push(REPO, TAG, OLD)
    await bench.work()
    for blob in OLD.blobs():
        bench.rig.replica.lose(REPO, blob.digest)
    await bench.rig.push(REPO, parse_tag("v2"), make_image("next", OLD.layers))
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert bench.rig.replica.complete(REPO, parse_tag("v2"))


async def test_a_replica_that_refuses_for_ever_is_asked_twice_a_try(bench: Bench) -> None:
    def refuse(call: Call) -> None:
        if call.op is Op.WRITE:
            raise ManifestBlobUnknown("no", registry="eu", reason=Reason.NOT_FOUND, status=404)

    await bench.rig.push(REPO, TAG, NEW)
    bench.rig.replica.hook = faults(refuse)
    outcome = await bench.work()
    assert not isinstance(outcome, Done)
    assert bench.rig.replica.count(Op.WRITE) == 2
    assert bench.rig.replica.count(Op.SENT) == len(NEW.blobs()), "what is there is not sent again"


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (network_error("eu"), Retry, Reason.NETWORK),
        (network_error("eu", Reason.SERVER_ERROR), Retry, Reason.SERVER_ERROR),
        (AccessDenied("no", registry="eu", reason=Reason.AUTH, status=403), Parked, Reason.AUTH),
        (RegistryError("no", registry="eu", reason=Reason.UNSUPPORTED, status=400), Parked, Reason.UNSUPPORTED),
        (RegistryError("no", registry="eu", reason=Reason.QUOTA, status=507), Parked, Reason.QUOTA),
        (ZeroDivisionError("a bug"), Retry, Reason.OTHER),
    ],
)
@pytest.mark.parametrize("op", [Op.STAT, Op.HAS, Op.SEND, Op.WRITE])
async def test_every_error_becomes_a_decision(
    bench: Bench, error: Exception, kind: type[Retry | Parked], reason: Reason, op: Op
) -> None:
    def fail(call: Call) -> None:
        if call.op is op:
            raise error

    await bench.rig.push(REPO, TAG, NEW)
    bench.rig.replica.hook = faults(fail)
    outcome = await bench.work()
    assert isinstance(outcome, kind)
    assert outcome.reason is reason
    assert outcome.at > bench.rig.clock.now()
    assert outcome.wrote == (op is Op.WRITE)
    assert (await bench.rig.owed()).owed == 1


async def test_a_message_of_a_mistake_of_ours_shows_no_secret(bench: Bench) -> None:
    def fail(_call: Call) -> None:
        raise ValueError("Bearer hunter2")

    await bench.rig.push(REPO, TAG, NEW)
    bench.rig.replica.hook = faults(fail)
    outcome = await bench.work()
    assert isinstance(outcome, Retry)
    assert "hunter2" not in outcome.message


async def test_wrong_bytes_of_the_source_are_fetched_three_times_and_parked(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, NEW)
    digest = NEW.layers[0].digest
    bench.rig.source.data[digest] = b"?" + bench.rig.source.data[digest][1:]
    kinds = []
    for _ in range(3):
        outcome = await bench.work()
        assert not isinstance(outcome, Done)
        assert outcome.reason is Reason.DIGEST_MISMATCH
        assert str(digest) in outcome.message
        kinds.append(type(outcome))
        bench.rig.clock.advance(400.0)
    assert kinds == [Retry, Retry, Parked]
    assert bench.rig.replica.tags == {}


async def test_without_the_right_to_publish_nothing_is_published(bench: Bench) -> None:
    async def lost() -> None:
        raise LeaseLost("too late")

    await bench.rig.push(REPO, TAG, NEW)
    outcome = await bench.work(lost)
    assert isinstance(outcome, Retry)
    assert not outcome.wrote
    assert bench.rig.replica.count(Op.WRITE) == 0


async def test_blobs_that_arrived_are_mounted_into_the_next_repository(bench: Bench) -> None:
    await bench.rig.push(REPO, TAG, NEW)
    await bench.work()
    bench.tools.presence.forget(REPO)
    await bench.rig.push(OTHER, TAG, NEW)
    await bench.work()
    assert bench.job is not None
    assert bench.job.tally.sent == 0
    assert bench.job.tally.mounted == sum(blob.size for blob in NEW.blobs())
    assert bench.rig.replica.complete(OTHER, TAG)
