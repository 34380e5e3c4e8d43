"""What receivers are told of is kept in the transaction in which it happens, once, and until it is delivered."""

import json
from dataclasses import replace
from typing import Any

import pytest

from replicator.errors import StoreError
from replicator.model import Digest, IntentKey, Tag
from replicator.news import Audience, Happening, Place
from replicator.store import leases
from replicator.store.outbox import PAGE, Outbox
from replicator.store.outcome import Done, Outcome, Result
from replicator.store.session import Session
from replicator.store.store import Store
from tests.contract.store.life import CHILD, REPOSITORY, TAG, A, B, Life, copied, failed, leased, parked

ALL = dict.fromkeys(Happening, ("deploy",))
EU = {"eu": Place(prefix="mirror/", labels={"region": "eu-west-1"})}


@pytest.fixture
async def outbox(store: Store) -> Outbox:
    outbox = Outbox(store)
    await outbox.address(Audience(receivers=ALL, replicas=EU))
    return outbox


async def told(outbox: Outbox, receiver: str = "deploy") -> list[tuple[str, dict[str, Any]]]:
    """Return the type and data of each message that waits."""
    bodies = [json.loads(message.body) for message in await outbox.first(receiver, 100)]
    return [(body["type"], body["data"]) for body in bodies]


async def kinds(outbox: Outbox) -> list[str]:
    return [kind for kind, _ in await told(outbox)]


async def settle(store: Store, outcome: Outcome, key: IntentKey = TAG) -> None:
    assert await store.settle(await leased(store, key), outcome)


def done(digest: Digest | None = A, result: Result = Result.COPIED, **more: Any) -> Done:
    return Done(result=result, digest=digest, **more)


async def test_an_arrival_is_told_with_all_that_is_known(store: Store, outbox: Outbox, life: Life) -> None:
    delivery = "7d3f0e5a-6c43-4f0b-9d0f-0c6f2e1b8a94"
    await store.record([life.intent(delivery=delivery)])
    life.clock.advance(2.5)
    await settle(store, failed(life, 0))
    await settle(store, done())
    (message,) = await outbox.first("deploy", 10)
    assert (message.happening, message.due_at, message.attempts) == (Happening.REPLICATED, life.clock.now(), 0)
    assert message.name.startswith("msg_")
    assert json.loads(message.body) == {
        "type": "replicated",
        "timestamp": "2023-11-14T22:13:22.500Z",
        "data": {
            "replica": "eu",
            "labels": {"region": "eu-west-1"},
            "repository": "team/app",
            "replica_repository": "mirror/team/app",
            "reference": "v1",
            "digest": str(A),
            "since": "2023-11-14T22:13:20.000Z",
            "lag_seconds": 2.5,
            "attempts": 2,
            "result": "copied",
            "reason": None,
            "delivery": delivery,
        },
    }


async def test_what_was_there_already_has_arrived_when_that_is_news(store: Store, outbox: Outbox, life: Life) -> None:
    """As after a crash between the put and the settling; a second event of the same push is none."""
    await store.record([life.intent()])
    await settle(store, done(result=Result.ALREADY_PRESENT))
    assert await kinds(outbox) == ["replicated"]
    await store.record([life.intent(digest=None)])
    await settle(store, done(result=Result.ALREADY_PRESENT))
    assert await kinds(outbox) == ["replicated"]
    await store.record([life.intent(digest=None)])
    await settle(store, done())
    assert await kinds(outbox) == ["replicated"] * 2, "it was put again: the replica had lost it"


@pytest.mark.parametrize(
    "outcome",
    [done(None, Result.GONE), done(B, Result.LEFT_OUT), done(B, Result.SUPERSEDED)],
    ids=lambda outcome: outcome.result.value,
)
async def test_nothing_arrived(store: Store, outbox: Outbox, life: Life, outcome: Done) -> None:
    await store.record([life.intent()])
    await settle(store, outcome)
    assert await told(outbox) == []


async def test_looks_backfill_and_lists_of_referrers_are_no_news(store: Store, outbox: Outbox, life: Life) -> None:
    await copied(store, life, A, IntentKey("eu", REPOSITORY, Tag(f"sha256-{'a' * 64}")))
    filling = IntentKey("eu", REPOSITORY, Tag("filling"))
    await store.record([replace(life.intent(filling), backfill=True)])
    await settle(store, done(), filling)
    await store.record([life.intent()])
    await settle(store, done(look_at=life.clock.now() + 5, looks=1))
    assert await kinds(outbox) == ["replicated"]
    life.clock.advance(5)
    lease = await leased(store)
    assert lease.look
    await store.settle(lease, done(B, Result.ALREADY_PRESENT))
    assert await kinds(outbox) == ["replicated"]


async def test_a_parked_row_is_told_once_and_once_that_it_recovered(store: Store, outbox: Outbox, life: Life) -> None:
    await store.record([life.intent()])
    await settle(store, failed(life, 0))
    for _ in range(3):
        await settle(store, parked(life, 0))
    ((kind, data),) = await told(outbox)
    assert (kind, data["reason"], data["attempts"], data["result"]) == ("parked", "auth", 2, None)
    assert data["digest"] == str(A)
    assert "denied" not in json.dumps(data), "what a registry says of it is not told"
    await store.record([life.intent(digest=B)])  # clears what is shown of the failure
    await settle(store, parked(life, 0))
    await settle(store, done(B))
    assert await kinds(outbox) == ["parked", "recovered", "replicated"]
    assert (await told(outbox))[1][1]["digest"] == str(B)
    await copied(store, life, A)
    await store.record([life.intent(digest=B)])
    await settle(store, parked(life, 0))
    assert (await kinds(outbox))[3:] == ["replicated", "parked"], "the next outage is news again"


async def test_what_is_parked_recovers_by_going_too(store: Store, outbox: Outbox, life: Life) -> None:
    """A receiver that opened an incident gets to close it, whatever ended it."""
    await store.record([life.intent()])
    await settle(store, parked(life, 0))
    await settle(store, done(None, Result.GONE))
    await store.record([life.intent(CHILD, CHILD.reference if isinstance(CHILD.reference, Digest) else None)])
    await settle(store, parked(life, 3600), CHILD)
    await store.record([life.intent()])
    await settle(store, done(covered=(Digest.of(b"c"),)))
    found = await told(outbox)
    assert sorted(kind for kind, _ in found) == ["parked", "parked", "recovered", "recovered", "replicated"]
    assert {data["result"] for kind, data in found if kind == "recovered"} == {"gone", "copied"}


async def test_a_failure_that_a_newer_change_has_overtaken_is_not_parked(
    store: Store, outbox: Outbox, life: Life
) -> None:
    await store.record([life.intent()])
    lease = await leased(store)
    await store.record([life.intent(digest=B)])
    assert await store.settle(lease, parked(life))
    assert await told(outbox) == []


async def test_what_is_late_is_told_once(store: Store, outbox: Outbox, life: Life) -> None:
    await store.record([life.intent(), life.intent(IntentKey("removed", REPOSITORY, Tag("v1")))])
    await settle(store, failed(life, 0))
    life.clock.advance(900)
    for _ in range(2):
        await store.count_deadline_missed(900)
    ((kind, data),) = await told(outbox)
    assert (kind, data["reference"], data["lag_seconds"], data["reason"]) == ("late", "v1", 900, "network")
    await settle(store, done())
    assert await kinds(outbox) == ["late", "replicated"]


async def test_of_many_that_are_late_all_are_told_a_few_at_a_time(store: Store, outbox: Outbox, life: Life) -> None:
    """An outage makes thousands late at once: each operation posts a hundred, for acknowledgements to get between."""
    await store.record([life.intent(IntentKey("eu", REPOSITORY, Tag(f"t{number}"))) for number in range(250)])
    life.clock.advance(900)
    posted: list[frozenset[str]] = []
    outbox.listen(posted.append)
    assert await store.count_deadline_missed(900) == {"eu": 250}
    assert len(posted) == 3
    assert (await outbox.waiting())["deploy"].count == 250


async def test_nothing_is_kept_of_what_was_fenced_off(store: Store, outbox: Outbox, life: Life) -> None:
    await store.record([life.intent()])
    lease = await leased(store, seconds=1)
    life.clock.advance(2)
    await leased(store)
    assert not await store.settle(lease, done())
    assert await told(outbox) == []


async def test_nothing_is_kept_while_nobody_listens(store: Store, life: Life) -> None:
    outbox = Outbox(store)
    await store.record([life.intent()])
    await settle(store, parked(life, 0))
    await outbox.address(Audience(receivers=ALL, replicas=EU))
    await settle(store, done())
    assert await kinds(outbox) == ["replicated"], "nobody was told that it was parked"


async def test_each_receiver_has_messages_of_its_own_and_only_what_it_asked_for(store: Store, life: Life) -> None:
    outbox = Outbox(store)
    receivers = {Happening.REPLICATED: ("one", "two"), Happening.PARKED: ("two",)}
    await outbox.address(Audience(receivers=receivers, replicas=EU))
    await store.record([life.intent()])
    await settle(store, parked(life, 0))
    await settle(store, done())
    (first,), second = await outbox.first("one", 9), await outbox.first("two", 9)
    assert [message.happening for message in second] == [Happening.PARKED, Happening.REPLICATED]
    assert first.name != second[1].name
    assert first.body == second[1].body
    await outbox.drop(first.number)
    assert await outbox.first("one", 9) == ()
    assert len(await outbox.first("two", 9)) == 2


async def test_messages_outlive_a_restart_and_are_dropped_with_their_receiver(life: Life) -> None:
    store = await life.start()
    outbox = Outbox(store)
    await outbox.address(Audience(receivers=ALL, replicas=EU))
    await copied(store, life)
    before = await outbox.first("deploy", 9)
    outbox = Outbox(await life.start())
    assert await outbox.address(Audience(receivers=ALL, replicas=EU)) == {}
    assert await outbox.first("deploy", 9) == before
    other = Audience(receivers={Happening.LATE: ("other",)}, replicas=EU)
    assert await outbox.address(other) == {"deploy": 1}
    assert await outbox.waiting() == {}


async def test_what_failed_is_due_later_and_all_at_once_when_it_is_mended(
    store: Store, outbox: Outbox, life: Life
) -> None:
    now = life.clock.now()
    for tag in ("a", "b", "c"):
        await copied(store, life, A, IntentKey("eu", REPOSITORY, Tag(tag)))
    one, two, three = await outbox.first("deploy", 9)
    await outbox.again(one.number, now + 60)
    await outbox.again(two.number, now + 30)
    assert [message.number for message in await outbox.first("deploy", 9)] == [
        three.number,
        two.number,
        one.number,
    ]
    assert [message.attempts for message in await outbox.first("deploy", 9)] == [0, 1, 1]
    life.clock.advance(10)
    await outbox.make_due("deploy", now + 10)
    assert [message.due_at - now for message in await outbox.first("deploy", 9)] == [0, 10, 10]


async def test_the_oldest_are_dropped_a_page_at_a_time(store: Store, outbox: Outbox, life: Life) -> None:
    for number in range(5):
        await copied(store, life, A, IntentKey("eu", REPOSITORY, Tag(f"t{number}")))
        life.clock.advance(1)
    waiting = (await outbox.waiting())["deploy"]
    assert (waiting.count, waiting.since) == (5, life.clock.now() - 5)
    assert await outbox.drop_oldest("deploy", 2) == {Happening.REPLICATED: 2}
    assert [data["reference"] for _, data in await told(outbox)] == ["t2", "t3", "t4"]
    assert await outbox.drop_oldest("deploy", PAGE + 1) == {Happening.REPLICATED: 3}


async def test_listeners_hear_of_messages_that_were_committed(store: Store, outbox: Outbox, life: Life) -> None:
    heard: list[frozenset[str]] = []
    outbox.listen(heard.append)
    await store.record([life.intent()])
    assert heard == []
    await settle(store, done())
    assert heard == [frozenset({"deploy"})]


async def test_a_settle_that_cannot_be_kept_posts_nothing(store: Store, outbox: Outbox, life: Life) -> None:
    """The message stands in the savepoint of its settle: both are there, or neither."""
    await store.record([life.intent()])
    lease = await leased(store)

    def settle_and_fail(session: Session) -> None:
        leases.settle(session, lease, done())
        raise ValueError("no room")

    with pytest.raises(StoreError):
        await store.submit(settle_and_fail)
    assert await told(outbox) == []
    row = await store.row(TAG)
    assert row is not None
    assert row.owed
    assert await store.settle(lease, done())
    assert await kinds(outbox) == ["replicated"]
