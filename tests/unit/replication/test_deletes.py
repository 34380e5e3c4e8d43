"""A tag that the primary lost is deleted on a replica only when all agrees; else it stays, and that is told (G8)."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from replicator.errors import AccessDenied, NotFound, Reason, RegistryError
from replicator.model import Change, ChangeKind, IntentKey, Recorded, Tag, parse_repository, parse_tag
from replicator.replication.deletes import LEFT_FOR
from replicator.replication.worker import Job, LeaseLost
from replicator.routing import Router
from replicator.store.outcome import Done, Parked, Result, Retry
from replicator.store.rows import What
from tests.support.content import make_image
from tests.unit.replication.rig import Bench, running_bench
from tests.unit.replication.steps import faults
from tests.unit.replication.support import Call, Op, network_error

REPO, TAG, PROD = parse_repository("team/app"), parse_tag("v1"), parse_tag("prod-1")
KEY = IntentKey("eu", REPO, TAG)
IMAGE, OTHER = make_image("image"), make_image("other")
GRACE = 3600.0
SETTINGS: dict[str, Any] = {"rules": [{"deletes": "propagate"}], "deletes": {"protect": ["**:prod-*"]}}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path, **SETTINGS) as bench:
        yield bench


async def given(bench: Bench, tag: Tag = TAG, fingerprint: str | None = None) -> None:
    """Push, and have the replica given the tag; `fingerprint` is of other rules than today's."""
    await pushed(bench, tag, fingerprint)
    assert isinstance(await bench.work(), Done)


async def pushed(bench: Bench, tag: Tag = TAG, fingerprint: str | None = None) -> tuple[Recorded, ...]:
    digest = bench.rig.source.hold(REPO, IMAGE, tag)
    push = Change(kind=ChangeKind.PUSH, repository=REPO, reference=tag, digest=digest)
    (intent,) = Router(bench.rig.settings).route(push, bench.rig.clock.now())
    return await bench.rig.store.record([replace(intent, fingerprint=fingerprint or intent.fingerprint)])


async def lost(bench: Bench, tag: Tag = TAG) -> None:
    """Delete the tag at the primary, have that known, and let the grace period pass."""
    del bench.rig.source.tags[REPO, tag]
    await told(bench, tag)
    bench.rig.clock.advance(GRACE)


async def told(bench: Bench, tag: Tag = TAG) -> None:
    delete = Change(kind=ChangeKind.DELETE, repository=REPO, reference=tag)
    await bench.rig.store.add_deletions(Router(bench.rig.settings).doomed(delete, bench.rig.clock.now()))


def held(bench: Bench, tag: Tag = TAG) -> object:
    return bench.rig.replica.tags.get((REPO, tag))


def ended(bench: Bench) -> dict[str, float]:
    results = ("deleted", "absent", "cancelled", "protected", "not_ours", "unsupported", "unproven", "failed")
    series = {one: f'replicator_deletes_total{{replica="eu",result="{one}"}}' for one in results}
    return {one: count for one, name in series.items() if (count := bench.rig.metric(name))}


async def next_look(bench: Bench) -> float:
    """Return in how many seconds the row is looked at next."""
    row = await bench.rig.row(REPO, TAG)
    assert row.verify_at is not None
    assert not row.owed
    return row.verify_at - bench.rig.clock.now()


async def test_it_is_deleted_after_its_grace_and_what_it_named_is_remembered(
    bench: Bench, logged: list[EventDict]
) -> None:
    await given(bench)
    await lost(bench)
    assert await bench.work() == Done(result=Result.DELETED, digest=None)
    assert held(bench) is None
    assert (REPO, IMAGE.digest) in bench.rig.replica.manifests, "the manifest stays: something may need it"
    assert await bench.rig.store.row(KEY) is None
    newest = (await bench.rig.store.tag_history(KEY))[0]
    assert (newest.digest, newest.what) == (IMAGE.digest, What.DELETED)
    assert ended(bench) == {"deleted": 1}
    (line,) = (line for line in logged if line["event"] == "tag_deleted")
    assert line["digest"] == str(IMAGE.digest)


async def test_nothing_is_asked_before_the_grace_is_over(bench: Bench) -> None:
    await given(bench)
    del bench.rig.source.tags[REPO, TAG]
    await told(bench)
    bench.rig.clock.advance(GRACE - 1)
    assert await bench.rig.store.lease("eu", 1, 60) == ()


async def test_a_look_before_the_grace_is_over_deletes_nothing(bench: Bench) -> None:
    await given(bench)
    del bench.rig.source.tags[REPO, TAG]
    await bench.rig.event(REPO, TAG, OTHER.digest)  # it names something, says the sender: another look is due soon
    await bench.work()
    await told(bench)
    bench.rig.clock.advance(1)
    assert isinstance(await bench.work(), Done)
    assert held(bench) == IMAGE.digest
    assert await next_look(bench) > GRACE - 10


async def test_a_push_within_the_grace_cancels_it(bench: Bench) -> None:
    await given(bench)
    del bench.rig.source.tags[REPO, TAG]
    await told(bench)
    assert await pushed(bench) == (Recorded.KNOWN,)
    bench.rig.clock.advance(GRACE)
    await bench.work()
    assert held(bench) == IMAGE.digest
    assert await bench.rig.store.deletion(KEY) is None


async def test_what_the_primary_has_again_is_not_deleted(bench: Bench) -> None:
    """No webhook told of the push."""
    await given(bench)
    await told(bench)
    bench.rig.clock.advance(GRACE)
    await bench.work()
    assert held(bench) == IMAGE.digest
    assert ended(bench) == {"cancelled": 1}
    assert (await bench.rig.row(REPO, TAG)).verify_at is None


def answers(error: Callable[[], RegistryError], registry: str = "primary") -> Callable[[Call], None]:
    def step(call: Call) -> None:
        if (call.registry, call.op, call.reference) == (registry, Op.READ, TAG):
            raise error()

    return step


def refusal(kind: type[RegistryError], reason: Reason, status: int, code: str = "") -> Callable[[], RegistryError]:
    temporary = reason in {Reason.SERVER_ERROR, Reason.NETWORK, Reason.OTHER}
    return lambda: kind("no", registry="primary", reason=reason, temporary=temporary, status=status, code=code)


TROUBLE = {
    "401": refusal(AccessDenied, Reason.AUTH, 401),
    "403": refusal(AccessDenied, Reason.AUTH, 403, "DENIED"),
    "500": refusal(RegistryError, Reason.SERVER_ERROR, 500),
    "a page of HTML": refusal(RegistryError, Reason.OTHER, 404),
    "no answer": refusal(RegistryError, Reason.NETWORK, 0),
}


@pytest.mark.parametrize("error", TROUBLE.values(), ids=TROUBLE)
async def test_no_trouble_at_the_primary_deletes_anything(bench: Bench, error: Callable[[], RegistryError]) -> None:
    await given(bench)
    await lost(bench)
    bench.rig.source.hook = faults(answers(error))
    assert isinstance(await bench.work(), Retry | Parked)
    assert held(bench) == IMAGE.digest
    bench.rig.source.hook = faults()
    bench.rig.clock.advance(7200)
    assert await bench.work() == Done(result=Result.DELETED, digest=None), "it is asked again"


@pytest.mark.parametrize("code", ["", "NAME_UNKNOWN"])
async def test_a_404_that_does_not_speak_of_the_manifest_proves_nothing(bench: Bench, code: str) -> None:
    """Some say so of a repository that one may not see, and a proxy of anything."""
    await given(bench)
    await lost(bench)
    bench.rig.source.hook = faults(answers(refusal(NotFound, Reason.NOT_FOUND, 404, code)))
    await bench.work()
    assert held(bench) == IMAGE.digest
    assert ended(bench) == {"unproven": 1}
    assert await next_look(bench) == LEFT_FOR


async def test_what_names_something_else_there_is_not_ours(bench: Bench, logged: list[EventDict]) -> None:
    await given(bench)
    await lost(bench)
    bench.rig.replica.hold(REPO, OTHER, TAG)
    await bench.work()
    assert held(bench) == OTHER.digest
    bench.rig.clock.advance(LEFT_FOR)
    await bench.work()
    assert ended(bench) == {"not_ours": 1}, "told once"
    assert [line["reason"] for line in logged if line["event"] == "tag_not_deleted"] == ["not_ours"]
    assert (await bench.rig.owed()).deletes.left == {"not_ours": 1}


async def test_what_was_there_before_us_is_not_ours(bench: Bench) -> None:
    bench.rig.replica.hold(REPO, IMAGE, TAG)
    await given(bench)
    await lost(bench)
    await bench.work()
    assert held(bench) == IMAGE.digest
    assert ended(bench) == {"not_ours": 1}


async def test_what_was_mended_after_an_audit_is_ours(bench: Bench) -> None:
    await given(bench)
    bench.rig.source.hold(REPO, OTHER, TAG)
    push = Change(kind=ChangeKind.PUSH, repository=REPO, reference=TAG, digest=OTHER.digest)
    await bench.rig.store.repair(Router(bench.rig.settings).route(push, bench.rig.clock.now()))
    assert isinstance(await bench.work(), Done)
    assert held(bench) == OTHER.digest
    await lost(bench)
    assert await bench.work() == Done(result=Result.DELETED, digest=None)


async def test_what_somebody_deleted_there_already_is_done(bench: Bench) -> None:
    await given(bench)
    await lost(bench)
    del bench.rig.replica.tags[REPO, TAG]
    assert await bench.work() == Done(result=Result.DELETED, digest=None)
    assert ended(bench) == {"absent": 1}
    assert bench.rig.replica.count(Op.DELETE) == 0


async def test_what_is_protected_stays(bench: Bench) -> None:
    await given(bench, PROD)
    await lost(bench, PROD)
    await bench.work()
    assert held(bench, PROD) == IMAGE.digest
    assert ended(bench) == {"protected": 1}


@pytest.mark.parametrize("proven", [False, None])
async def test_where_no_tag_goes_alone_it_is_left_until_that_changes(bench: Bench, proven: bool | None) -> None:
    bench.rig.replica.deletes_tags = proven
    await given(bench)
    await lost(bench)
    await bench.work()
    assert held(bench) == IMAGE.digest
    assert ended(bench) == {"unsupported": 1}
    assert bench.rig.replica.count(Op.DELETE) == 0
    bench.rig.replica.deletes_tags = True
    bench.rig.clock.advance(LEFT_FOR)
    assert await bench.work() == Done(result=Result.DELETED, digest=None)


async def test_a_row_of_other_rules_than_todays_is_never_deleted(bench: Bench) -> None:
    await given(bench, fingerprint="former")
    await lost(bench)
    await bench.work()
    assert held(bench) == IMAGE.digest
    assert await bench.rig.store.deletion(KEY) is None


async def test_nothing_is_deleted_unless_a_rule_says_so(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        await given(bench)
        await lost(bench)
        assert await bench.rig.store.deletion(KEY) is None
        assert await bench.rig.store.lease("eu", 1, 60) == ()


async def test_whoever_lost_the_lease_deletes_nothing(bench: Bench) -> None:
    async def is_lost() -> None:
        raise LeaseLost("gone")

    await given(bench)
    await lost(bench)
    outcome = await bench.work(is_lost)
    assert isinstance(outcome, Retry)
    assert not outcome.wrote
    assert held(bench) == IMAGE.digest


async def test_a_delete_of_unknown_outcome_is_looked_at_again(bench: Bench) -> None:
    """It may land after a push that comes meanwhile: a late look finds that, and brings the tag back."""
    await given(bench)
    await lost(bench)

    def no_answer(call: Call) -> None:
        if call.op is Op.DELETE:
            raise network_error("eu", Reason.TIMEOUT)

    bench.rig.replica.hook = faults(no_answer)
    outcome = await bench.work()
    assert isinstance(outcome, Retry)
    assert outcome.wrote
    assert ended(bench) == {"failed": 1}
    bench.rig.replica.hook = faults()
    await pushed(bench)
    bench.rig.clock.advance(await next_look(bench))
    await bench.work()
    assert held(bench) == IMAGE.digest
    del bench.rig.replica.tags[REPO, TAG]  # it lands now
    bench.rig.clock.advance(await next_look(bench))
    await bench.work()
    await bench.work()
    assert held(bench) == IMAGE.digest


async def all_work(bench: Bench) -> None:
    """Work on all that is due, one after the other."""

    async def may_write() -> None:
        pass

    while leases := await bench.rig.store.lease("eu", 1, 60.0):
        outcome = await bench.worker.work(Job(leases[0]), may_write)
        assert await bench.rig.store.settle(leases[0], outcome)


TAGS = [parse_tag(f"v{number}") for number in range(8)]


async def eight_of_which_six_are_lost(bench: Bench) -> None:
    for tag in TAGS:
        await given(bench, tag)
    for tag in TAGS[:6]:
        del bench.rig.source.tags[REPO, tag]
        await told(bench, tag)
    bench.rig.clock.advance(GRACE)


def still_there(bench: Bench) -> int:
    return sum(held(bench, tag) is not None for tag in TAGS)


@pytest.mark.parametrize("breaker", [{"count": 5, "percent": 100}, {"count": 100, "percent": 62}])
async def test_too_many_at_once_delete_nothing_until_an_operator_lets_them_go_on(
    tmp_path: Path, logged: list[EventDict], breaker: dict[str, float]
) -> None:
    settings: dict[str, Any] = {"rules": [{"deletes": "propagate"}], "deletes": {"breaker": breaker}}
    async with running_bench(tmp_path, **settings) as bench:
        await eight_of_which_six_are_lost(bench)
        await all_work(bench)
        assert still_there(bench) == 8
        summary = await bench.rig.owed()
        assert (summary.deletes.pending, summary.deletes.stopped_since) == (6, bench.rig.clock.now())
        assert [line["due"] for line in logged if line["event"] == "deletes_stopped"] == [6]
        bench.rig.clock.advance(3 * GRACE)
        await all_work(bench)
        assert still_there(bench) == 8, "time alone lets nothing go on"
        await bench.rig.store.resume_deletes("eu")
        await all_work(bench)
        assert still_there(bench) == 2
        assert ended(bench) == {"deleted": 6}
        assert (await bench.rig.owed()).deletes.stopped_since is None


async def test_what_is_within_the_bounds_goes_on_to_its_end(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "rules": [{"deletes": "propagate"}],
        "deletes": {"breaker": {"count": 6, "percent": 75}},
    }
    async with running_bench(tmp_path, **settings) as bench:
        await eight_of_which_six_are_lost(bench)
        await all_work(bench)
        assert still_there(bench) == 2
        await lost(bench, TAGS[6])  # an hour later
        await all_work(bench)
        assert still_there(bench) == 1


async def test_while_deletes_are_stopped_all_else_goes_on(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "rules": [{"deletes": "propagate"}],
        "deletes": {"breaker": {"count": 1, "percent": 100}},
    }
    async with running_bench(tmp_path, **settings) as bench:
        await eight_of_which_six_are_lost(bench)
        await all_work(bench)
        await bench.rig.push(REPO, TAGS[7], OTHER)
        await all_work(bench)
        assert held(bench, TAGS[7]) == OTHER.digest


async def test_what_was_left_and_is_refused_once_more_is_left_as_before(bench: Bench) -> None:
    """The registry showed that it removes a tag alone, and then refuses this one."""
    bench.rig.replica.deletes_tags = False
    await given(bench)
    await lost(bench)
    await bench.work()

    def refused(call: Call) -> None:
        if call.op is Op.DELETE:
            raise RegistryError("no", registry="eu", reason=Reason.UNSUPPORTED, status=405)

    bench.rig.replica.deletes_tags = True
    bench.rig.replica.hook = faults(refused)
    bench.rig.clock.advance(LEFT_FOR)
    await bench.work()
    deletes = (await bench.rig.owed()).deletes
    assert (deletes.pending, deletes.left) == (0, {"unsupported": 1})


async def test_what_was_left_and_can_be_deleted_now_counts_as_due(tmp_path: Path) -> None:
    """A registry was upgraded: all that was left there comes due within a day, one by one."""
    settings: dict[str, Any] = {
        "rules": [{"deletes": "propagate"}],
        "deletes": {"breaker": {"count": 1, "percent": 100}},
    }
    async with running_bench(tmp_path, **settings) as bench:
        bench.rig.replica.deletes_tags = False
        for tag in TAGS[:3]:
            await given(bench, tag)
            await lost(bench, tag)
            await all_work(bench)
        assert ended(bench) == {"unsupported": 3}
        bench.rig.replica.deletes_tags = True
        bench.rig.clock.advance(LEFT_FOR)
        await all_work(bench)
        assert ended(bench) == {"unsupported": 3, "deleted": 1}
        assert (await bench.rig.owed()).deletes.stopped_since is not None
