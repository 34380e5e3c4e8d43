"""The gate before a deploy says yes only when the digest is there, and says so without being asked again."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from replicator.admin.wait import Verdict, WaitLimits, WaitResult, Waits
from replicator.errors import Reason, RegistryError, Withheld
from replicator.model import Digest, IntentKey, Repository, Tag
from replicator.routing import Router
from replicator.settings.schema import Rule
from replicator.store.outcome import Parked, Retry
from replicator.store.rows import Row
from tests.support.eventually import eventually
from tests.unit.admin.scene import APP, Scene, settings

V1 = Tag("v1")
OLD, NEW, NEWER = Digest.of(b"old"), Digest.of(b"new"), Digest.of(b"newer")
NEVER_POLLED = WaitLimits(poll=3600.0, stat_every=0.0, resolve_every=0.0)
"""Only the store can wake such a wait."""


async def _waiting(
    scene: Scene,
    meanwhile: Callable[[], Awaitable[None]],
    *,
    within: float = 20.0,
    replicas: tuple[str, ...] = ("eu",),
    waits: Waits | None = None,
) -> WaitResult:
    """Wait for team/app:v1 and run `meanwhile` beside it."""
    results: list[WaitResult] = []
    asked = waits or scene.waits(NEVER_POLLED)

    async def wait() -> None:
        results.append(await asked.wait(APP, V1, replicas, within))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await meanwhile()
    return results[0]


def _looked(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """Return what is set once a wait has looked at the store."""
    looked, row = anyio.Event(), scene.store.row

    async def look(key: IntentKey) -> Row | None:
        found = await row(key)
        looked.set()
        return found

    monkeypatch.setattr(scene.store, "row", look)
    return looked


async def test_a_clean_row_with_the_digest_is_complete_without_asking_the_replica(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)
    await scene.settle("eu", V1, NEW)
    result = await scene.waits().wait(APP, V1, ["eu"], 0)
    assert (result.verdict, result.digest) == (Verdict.COMPLETE, NEW)
    assert scene.holdings.asked == []


async def test_it_is_woken_by_the_settle_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks once before the copy ends, polls in an hour and ends in an hour: so nothing else can end it."""
    looked = _looked(scene, monkeypatch)
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)

    async def copy() -> None:
        await looked.wait()
        await scene.settle("eu", V1, NEW)

    with anyio.fail_after(30):
        result = await _waiting(scene, copy, within=3600.0)
    assert result.verdict is Verdict.COMPLETE
    assert scene.holdings.asked == []


async def test_all_replicas_that_a_rule_names_are_waited_for(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)
    await scene.settle("eu", V1, NEW)
    result = await scene.waits().wait(APP, V1, [], 0)
    assert result.verdict is Verdict.PENDING
    assert [(item.replica, item.complete, item.waiting_for) for item in result.replicas] == [
        ("eu", True, ""),
        ("us", False, "owed"),
    ]
    await scene.settle("us", V1, NEW)
    assert (await scene.waits().wait(APP, V1, [], 0)).verdict is Verdict.COMPLETE


async def test_a_push_whose_event_has_not_come_yet_is_made_owed(scene: Scene) -> None:
    """The row is clean with the digest before, the primary names a new one: the tag itself is asked for."""
    await scene.event(V1, OLD)
    await scene.settle("eu", V1, OLD)
    await scene.settle("us", V1, OLD)
    scene.primary.names[V1] = NEW

    async def copy() -> None:
        await scene.until_owed(f"eu {APP}:v1")
        await scene.settle("eu", V1, NEW)

    result = await _waiting(scene, copy)
    assert result.verdict is Verdict.COMPLETE
    assert scene.counts.owed == [("eu", "tag")]
    row = await scene.store.row(IntentKey("us", APP, V1))
    assert row is not None
    assert not row.owed


async def test_a_reference_without_a_row_is_made_owed(scene: Scene) -> None:
    scene.primary.names[V1] = NEW

    async def copy() -> None:
        await scene.until_owed(f"eu {APP}:v1")
        await scene.settle("eu", V1, NEW)

    assert (await _waiting(scene, copy)).verdict is Verdict.COMPLETE


async def test_without_a_row_a_replica_that_holds_the_digest_is_complete(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    scene.holdings.held = {("eu", NEW)}
    assert (await scene.waits().wait(APP, V1, ["eu"], 0)).verdict is Verdict.COMPLETE
    assert await scene.owed() == set()


async def test_what_a_policy_of_the_replica_lets_nobody_read_is_made_owed_and_complete_once_it_was_put(
    scene: Scene,
) -> None:
    scene.primary.names[V1] = NEW
    scene.holdings.errors = [Withheld("eu: vulnerable", registry="eu", reason=Reason.CONFLICT, status=412)]

    async def copy() -> None:
        await scene.until_owed(f"eu {APP}:v1")
        await scene.settle("eu", V1, NEW)

    assert (await _waiting(scene, copy)).verdict is Verdict.COMPLETE


async def test_a_tag_that_moved_on_is_complete_when_the_replica_holds_the_digest(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEWER)
    scene.holdings.held = {("eu", NEW)}
    assert (await scene.waits().wait(APP, V1, ["eu"], 0)).verdict is Verdict.COMPLETE


async def test_a_digest_that_the_tag_left_behind_is_brought_by_digest(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane copied what the tag names later; the digest waited for gets a row of its own and arrives."""
    looked = _looked(scene, monkeypatch)
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)

    async def move_on() -> None:
        await looked.wait()  # else the tag is asked for first: the digest only once that has moved on
        await scene.settle("eu", V1, NEWER)
        await scene.until_owed(f"eu {APP}@{NEW}")
        scene.holdings.held.add(("eu", NEW))
        await scene.settle("eu", NEW, NEW)

    assert (await _waiting(scene, move_on)).verdict is Verdict.COMPLETE


async def _wants(scene: Scene, digest: Digest) -> bool:
    row = await scene.store.row(IntentKey("eu", APP, V1))
    return row is not None and row.want == digest


@pytest.fixture
def with_referrers(scene: Scene) -> Scene:
    """Let the rule send signatures along; the image is there by its digest long before they are."""
    scene.router = Router(settings(rules=(Rule(referrers=True),)))
    scene.holdings.held = {("eu", NEW)}
    return scene


async def test_where_referrers_travel_an_image_that_is_there_is_waited_for_until_its_row_is_settled(
    with_referrers: Scene,
) -> None:
    scene = with_referrers
    scene.primary.names[V1] = NEW
    assert (await scene.waits().wait(APP, V1, ["eu"], 0)).verdict is Verdict.PENDING
    assert await scene.owed() == {f"eu {APP}:v1"}

    async def copy() -> None:
        await scene.settle("eu", V1, NEW)

    assert (await _waiting(scene, copy)).verdict is Verdict.COMPLETE
    assert scene.holdings.asked == []


async def test_where_referrers_travel_a_tag_that_moved_on_leaves_its_digest_to_be_settled(
    with_referrers: Scene,
) -> None:
    """What was put by digest before the copy was cut short may lack what refers to it."""
    scene = with_referrers
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEWER)

    async def copy() -> None:
        await eventually(lambda: _wants(scene, NEW), what="the tag is asked for")
        await scene.settle("eu", V1, NEWER)
        await scene.until_owed(f"eu {APP}@{NEW}")
        assert scene.holdings.asked == []
        await scene.settle("eu", NEW, NEW)

    assert (await _waiting(scene, copy)).verdict is Verdict.COMPLETE
    assert scene.counts.owed == [("eu", "digest")]


async def test_where_referrers_travel_a_digest_is_asked_for_once_and_complete_when_its_row_is_gone(
    with_referrers: Scene,
) -> None:
    scene = with_referrers
    scene.primary.names[NEW] = NEW
    waits, results = scene.waits(NEVER_POLLED), []

    async def wait() -> None:
        results.append(await waits.wait(APP, NEW, ["eu"], 20.0))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await scene.until_owed(f"eu {APP}@{NEW}")
        await scene.settle("eu", NEW, NEW)
    assert results[0].verdict is Verdict.COMPLETE
    assert scene.counts.owed == [("eu", "digest")]


async def test_a_row_that_was_settled_under_other_rules_is_asked_for_anew(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)
    await scene.settle("eu", V1, NEW)
    scene.router = Router(settings(rules=(Rule(platforms=("linux/amd64",)),)))

    async def copy() -> None:
        await scene.until_owed(f"eu {APP}:v1")
        await scene.settle("eu", V1, NEW)

    assert (await _waiting(scene, copy)).verdict is Verdict.COMPLETE


async def test_a_digest_gone_from_the_primary_is_asked_for_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = _looked(scene, monkeypatch)
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)
    waits = scene.waits(NEVER_POLLED)

    async def vanish() -> None:
        await looked.wait()  # as above
        await scene.settle("eu", V1, NEWER)
        await scene.until_owed(f"eu {APP}@{NEW}")
        asked = len(scene.holdings.asked)
        await scene.settle("eu", NEW, None)
        await eventually(lambda: len(scene.holdings.asked) > asked, what="the replica is asked again")
        waits.stop()

    assert (await _waiting(scene, vanish, within=3600, waits=waits)).verdict is Verdict.STOPPING
    assert await scene.owed() == {f"us {APP}:v1"}


async def test_a_failing_row_says_why_it_is_waited_for(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)
    await scene.end("eu", V1, Retry(at=4e9, reason=Reason.NETWORK, message="cannot connect"))
    await scene.end("us", V1, Parked(at=4e9, reason=Reason.QUOTA, message="full\x1b[31m"))
    result = await scene.waits().wait(APP, V1, [], 0)
    assert [item.waiting_for for item in result.replicas] == [
        "failing: network: 'cannot connect'",
        r"parked: quota: 'full\x1b[31m'",
    ]


async def test_a_replica_that_cannot_be_asked_is_waited_for(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    scene.holdings.errors = [RegistryError("no route", registry="eu", reason=Reason.NETWORK, temporary=True)]
    result = await scene.waits().wait(APP, V1, ["eu"], 0)
    assert result.verdict is Verdict.PENDING
    assert "no route" in result.replicas[0].waiting_for


async def test_what_the_primary_does_not_have_is_said_at_once(scene: Scene) -> None:
    result = await scene.waits().wait(APP, V1, [], 3600)
    assert (result.verdict, result.digest) == (Verdict.NO_SUCH_REFERENCE, None)


@pytest.mark.parametrize(
    ("repository", "replicas"), [("other/app", []), ("eu/app", ["us"]), ("eu/app", ["eu", "us"])]
)
async def test_what_no_rule_sends_there_is_said_at_once(scene: Scene, repository: str, replicas: list[str]) -> None:
    """Without a question to the primary, which would fail here."""
    scene.primary.errors = [RegistryError("never asked", registry="primary")]
    result = await scene.waits().wait(Repository(repository), V1, replicas, 3600)
    assert result.verdict is Verdict.NO_RULE
    assert scene.primary.errors


async def test_a_primary_that_fails_for_a_moment_is_asked_again(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    scene.primary.errors = [RegistryError("restarting", registry="primary", temporary=True)]
    scene.holdings.held = {("eu", NEW)}
    assert (await scene.waits(NEVER_POLLED).wait(APP, V1, ["eu"], 20)).verdict is Verdict.COMPLETE


@pytest.mark.parametrize(("temporary", "within"), [(False, 3600), (True, 0)])
async def test_a_primary_that_keeps_failing_is_named(scene: Scene, within: float, *, temporary: bool) -> None:
    scene.primary.errors = [RegistryError("no entry", registry="primary", temporary=temporary)]
    result = await scene.waits().wait(APP, V1, [], within)
    assert result.verdict is Verdict.PRIMARY_UNAVAILABLE
    assert "no entry" in result.message


async def test_waits_beyond_the_limit_are_refused(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)
    waits = scene.waits(WaitLimits(poll=3600.0, open_waits=2))
    results: list[WaitResult] = []

    async def wait() -> None:
        results.append(await waits.wait(APP, V1, ["eu"], 3600))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(wait)
        await eventually(lambda: results, what="one is refused")
        assert [result.verdict for result in results] == [Verdict.BUSY]
        await scene.settle("eu", V1, NEW)
    assert [result.verdict for result in results[1:]] == [Verdict.COMPLETE] * 2
    assert (await waits.wait(APP, V1, ["eu"], 0)).verdict is Verdict.COMPLETE


async def test_a_replica_is_asked_at_most_once_in_the_pause(scene: Scene) -> None:
    """However often the store rings: here the pause is longer than the wait."""
    scene.primary.names[V1] = NEW
    waits = scene.waits(WaitLimits(poll=0.001, stat_every=3600.0, first_look=0.5))
    assert (await waits.wait(APP, V1, ["eu"], 0.2)).verdict is Verdict.PENDING
    # The row that it asked for stands in the way of further questions; move the tag on to invite them.
    await scene.settle("eu", V1, NEWER)
    scene.holdings.asked.clear()
    async with anyio.create_task_group() as group:
        group.start_soon(waits.wait, APP, V1, ["eu"], 0.3)
        for moved in range(20):
            await scene.event(V1, Digest.of(b"%d" % moved))
    assert len(scene.holdings.asked) == 1


async def test_stopping_ends_open_waits_and_refuses_new_ones(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)
    waits = scene.waits(NEVER_POLLED)

    async def stop() -> None:
        await anyio.lowlevel.checkpoint()
        waits.stop()

    assert (await _waiting(scene, stop, within=3600, waits=waits)).verdict is Verdict.STOPPING
    assert (await waits.wait(APP, V1, ["eu"], 3600)).verdict is Verdict.STOPPING


async def test_a_store_that_fails_is_named(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    waits = scene.waits()
    await scene.store.close()
    result = await waits.wait(APP, V1, ["eu"], 0)
    assert result.verdict is Verdict.PENDING
    assert "StoreError" in result.replicas[0].waiting_for


async def test_what_somebody_ignores_is_said_and_not_asked_for(scene: Scene) -> None:
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)
    await scene.store.ignore([IntentKey("eu", APP, V1)], NEW)
    result = await scene.waits(NEVER_POLLED).wait(APP, V1, ["eu"], 0.05)
    assert result.verdict is Verdict.PENDING
    assert "ignored by decision" in result.replicas[0].waiting_for
    assert await scene.owed() == {"us team/app:v1"}, "not by its digest either"
