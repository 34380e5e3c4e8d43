"""When a sync waits for a reference no longer: it is settled, it failed often enough, its replica is down."""

import anyio
import pytest

from replicator.errors import Reason
from replicator.model import Digest, IntentKey, Repository, Tag
from replicator.replication.bring import Tally
from replicator.store.outcome import Done, Parked, Result, Retry
from replicator.sync.follow import IDLE, PATIENCE, TRIES, Follow
from tests.support.fake_clock import FakeClock

APP = Repository("team/app")
COPIED = Done(result=Result.COPIED, digest=Digest.of(b"image"))
REFUSED = Retry(at=0.0, reason=Reason.NETWORK, message="connection refused")


def key(tag: str = "v1", replica: str = "eu", repository: Repository = APP) -> IntentKey:
    return IntentKey(replica, repository, Tag(tag))


def following(clock: FakeClock) -> Follow:
    return Follow(("eu", "us"), lambda repository: repository == APP, clock)


async def advance_while_waiting(follow: Follow, clock: FakeClock, seconds: float) -> bool:
    """Say whether nothing is waited for any more after so many seconds."""
    over = False

    async def wait() -> None:
        nonlocal over
        await follow.settled()
        over = True

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        clock.advance(seconds)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    return over


async def test_bytes_count_as_they_go_and_what_is_settled_is_not_waited_for() -> None:
    clock = FakeClock()
    follow, tally = following(clock), Tally()
    follow.owe(key())
    follow.begun(key(), tally)
    tally.sent, tally.mounted = 700, 30
    assert follow.counts("eu") == {"found": 1, "settled": 0, "failed": 0, "put": 0, "sent": 700, "mounted": 30}
    follow.ended(key(), COPIED)
    assert follow.counts("eu") == {"found": 1, "settled": 1, "failed": 0, "put": 1, "sent": 700, "mounted": 30}
    assert await advance_while_waiting(follow, clock, 0.0)


async def test_work_of_others_in_other_repositories_is_not_counted() -> None:
    follow, other, tally = following(FakeClock()), key(repository=Repository("other/app")), Tally(sent=5)
    follow.begun(other, tally)
    follow.ended(other, COPIED)
    follow.begun(key(replica="mars"), tally)
    follow.ended(key(replica="mars"), COPIED)
    assert set(follow.counts("eu").values()) == {0}


@pytest.mark.parametrize("outcome", [REFUSED, Parked(at=0.0, reason=Reason.UNSUPPORTED, message="too old")])
async def test_what_fails_again_and_again_or_is_parked_is_left_and_may_still_succeed(outcome: Retry | Parked) -> None:
    clock = FakeClock()
    follow = following(clock)
    follow.owe(key())
    for _ in range(1 if isinstance(outcome, Parked) else TRIES):
        assert not await advance_while_waiting(follow, clock, 1.0)
        follow.begun(key(), Tally())
        follow.ended(key(), outcome)
    assert await advance_while_waiting(follow, clock, 0.0)
    assert [(one.key, one.reason, one.message) for one in follow.failed()] == [
        (key(), outcome.reason, outcome.message)
    ]
    follow.ended(key(), COPIED)
    assert (follow.counts("eu")["settled"], follow.failed()) == (1, ())


async def test_work_that_was_given_back_is_no_failure() -> None:
    clock = FakeClock()
    follow = following(clock)
    follow.owe(key())
    for _ in range(TRIES + 1):
        follow.begun(key(), Tally())
        follow.ended(key(), None)
    assert (follow.failed(), await advance_while_waiting(follow, clock, 2.0)) == ((), False)


async def test_a_replica_that_is_down_is_given_up_and_one_whose_bytes_move_is_not() -> None:
    clock = FakeClock()
    follow, tally = following(clock), Tally()
    follow.owe(key("v1"))
    follow.owe(key("v2"))
    follow.owe(key(replica="us"))
    follow.begun(key(replica="us"), tally)
    follow.ended(key("v1"), REFUSED)
    assert not await advance_while_waiting(follow, clock, PATIENCE)
    assert (follow.problem("eu"), follow.problem("us")) == ("", "")
    tally.sent += 1
    assert not await advance_while_waiting(follow, clock, 2.0)
    assert "connection refused" in follow.problem("eu")
    assert follow.counts("eu")["failed"] == 2
    follow.ended(key(replica="us"), COPIED)
    assert await advance_while_waiting(follow, clock, 0.0)
    assert follow.problem("us") == ""


async def test_where_nothing_fails_and_nothing_moves_it_ends_all_the_same() -> None:
    clock = FakeClock()
    follow = following(clock)
    follow.owe(key())
    assert not await advance_while_waiting(follow, clock, IDLE)
    assert await advance_while_waiting(follow, clock, 2.0)
    assert "nothing was begun" in follow.problem("eu")
