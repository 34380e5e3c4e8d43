"""A manifest without a tag that the primary lost is deleted on a replica only when nothing there needs it (G8)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.typing import EventDict

from replicator import referrers
from replicator.errors import NotFound, Reason, RegistryError
from replicator.model import Change, ChangeKind, Digest, IntentKey, RawManifest, Recorded, Tag, parse_repository
from replicator.registry.listing import TagList
from replicator.replication import needs
from replicator.replication.deletes import BUSY_FOR, LEFT_FOR
from replicator.replication.presence import Presence
from replicator.routing import Router
from replicator.store.deletions import AFTER_TAGS
from replicator.store.leases import DOUBT_SECONDS
from replicator.store.outcome import Done, Result, Retry
from replicator.store.rows import What
from tests.support.content import Content, Image, make_image, make_index
from tests.unit.replication.rig import Bench, running_bench
from tests.unit.replication.steps import Gate, faults
from tests.unit.replication.support import Call, ModelRegistry, Op, network_error

REPO = parse_repository("team/app")
IMAGE, OTHER = make_image("untagged"), make_image("other")
KEY = IntentKey("eu", REPO, IMAGE.digest)
GRACE = 3600.0
SETTINGS: dict[str, Any] = {"rules": [{"deletes": "propagate", "referrers": True}]}
DELETED = Done(result=Result.DELETED, digest=None)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path, **SETTINGS) as bench:
        bench.rig.replica.hold(REPO, OTHER, Tag("v1"))  # a registry lists no tags of a repository without any
        yield bench


def referrer(subject: Content, seed: str = "signature") -> Image:
    """Return an image that refers to `subject`."""
    entry = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.body)}
    return make_image(seed, (10,), extra={"subject": entry})


async def pushed(bench: Bench, content: Content = IMAGE, **change: Any) -> tuple[Recorded, ...]:
    """Push by digest; the webhook comes at once. `change` is what is different in the row."""
    bench.rig.source.hold(REPO, content)
    return await told(bench, content, **change)


async def told(bench: Bench, content: Content = IMAGE, **change: Any) -> tuple[Recorded, ...]:
    """Have the webhook of a push come, whatever the primary holds."""
    push = Change(kind=ChangeKind.PUSH, repository=REPO, reference=content.digest)
    (intent,) = Router(bench.rig.settings).route(push, bench.rig.clock.now())
    return await bench.rig.store.record([replace(intent, due_at=bench.rig.clock.now(), **change)])


async def given(bench: Bench, content: Content = IMAGE, **change: Any) -> None:
    """Push by digest, and have the replica given it for its own sake."""
    await pushed(bench, content, **change)
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert outcome.result is Result.COPIED


async def result_of(bench: Bench) -> Result:
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    return outcome.result


async def lost(bench: Bench, content: Content = IMAGE, grace: float = GRACE) -> int:
    """Delete it at the primary by its digest, have that known, and let the grace period pass."""
    bench.rig.source.lose(REPO, content.digest)
    delete = Change(kind=ChangeKind.DELETE, repository=REPO, reference=content.digest)
    doomed = Router(bench.rig.settings).doomed(delete, bench.rig.clock.now())
    added = await bench.rig.store.add_deletions(doomed)
    bench.rig.clock.advance(grace)
    return sum(added)


def is_there(bench: Bench, content: Content = IMAGE) -> bool:
    return (REPO, content.digest) in bench.rig.replica.manifests


def ended(bench: Bench) -> dict[str, float]:
    results = (
        "deleted",
        "absent",
        "cancelled",
        "protected",
        "not_ours",
        "unsupported",
        "needed",
        "need_unknown",
        "unproven",
        "failed",
    )
    series = {one: f'replicator_deletes_total{{replica="eu",result="{one}"}}' for one in results}
    return {one: count for one, name in series.items() if (count := bench.rig.metric(name))}


async def test_it_is_deleted_after_its_grace(bench: Bench, logged: list[EventDict]) -> None:
    await given(bench)
    assert await lost(bench) == 1
    assert await bench.work() == DELETED
    assert not is_there(bench)
    assert await bench.rig.store.row(KEY) is None
    (newest,) = await bench.rig.store.tag_history(KEY)
    assert (newest.digest, newest.what) == (IMAGE.digest, What.DELETED)
    assert ended(bench) == {"deleted": 1}
    assert [line["digest"] for line in logged if line["event"] == "manifest_deleted"] == [str(IMAGE.digest)]


async def test_what_relied_on_it_before_asks_anew(bench: Bench) -> None:
    """What was seen on the replica a moment ago is not believed of what was deleted since."""
    await given(bench)
    await lost(bench)
    bench.tools.presence.learn(REPO, IMAGE.digest)
    await bench.work()
    await bench.rig.push(REPO, Tag("v2"), make_index([IMAGE]))
    await bench.work()
    assert bench.rig.replica.complete(REPO, Tag("v2"))


async def test_what_another_configuration_saw_is_not_believed_either(bench: Bench) -> None:
    """The lanes of a former configuration delete while those of the next one copy, each with its own memory."""
    await given(bench)
    await lost(bench)
    next_one = replace(bench.tools, presence=Presence(bench.rig.clock))
    next_one.presence.learn(REPO, IMAGE.digest)
    await bench.work()
    assert not next_one.presence.knows(REPO, IMAGE.digest)


async def test_a_push_within_the_grace_cancels_it(bench: Bench) -> None:
    await given(bench)
    await lost(bench)
    await pushed(bench)
    assert await bench.rig.store.deletion(KEY) is None
    outcome = await bench.work()
    assert isinstance(outcome, Done)
    assert outcome.result is Result.ALREADY_PRESENT
    assert is_there(bench)
    await lost(bench)
    assert await bench.work() == DELETED, "it is still known as ours"


@pytest.mark.parametrize("again", [False, True])
async def test_one_whose_delete_is_told_while_it_is_copied_goes_after_that(bench: Bench, again: bool) -> None:
    """Unless it is pushed again meanwhile."""
    await pushed(bench)
    lease = await bench.lease()
    gate = Gate(Op.WRITE, IMAGE.digest)
    bench.rig.replica.hook = gate
    copying = asyncio.create_task(bench.worker.work(bench.new_job(lease), always))
    await gate.reached.wait()
    assert await lost(bench, grace=0) == 1
    if again:
        await pushed(bench)
    gate.opened.set()
    assert await bench.rig.store.settle(lease, await copying)
    assert is_there(bench)
    bench.rig.clock.advance(GRACE)
    assert (await bench.work() == DELETED) is not again
    assert is_there(bench) is again


async def test_a_push_that_is_told_after_its_delete_does_not_undo_that(bench: Bench) -> None:
    """The copy finds that the primary has it no more: that is known then, whatever was told last."""
    await given(bench)
    await lost(bench, grace=0)
    await told(bench)
    assert await bench.rig.store.deletion(KEY) is None
    assert await result_of(bench) is Result.GONE
    bench.rig.clock.advance(60)
    assert await result_of(bench) is Result.GONE, "a look"
    assert is_there(bench)
    bench.rig.clock.advance(GRACE)
    assert await bench.work() == DELETED
    assert not is_there(bench)


async def test_what_is_not_ours_and_was_lost_is_left_alone(bench: Bench) -> None:
    bench.rig.replica.hold(REPO, IMAGE)
    await told(bench)
    for _ in range(8):
        if await bench.rig.store.row(KEY) is None:
            break
        await bench.work()
        bench.rig.clock.advance(GRACE)
    assert await bench.rig.store.row(KEY) is None
    assert is_there(bench)


async def test_what_the_primary_has_again_is_not_deleted(bench: Bench) -> None:
    await given(bench)
    await lost(bench)
    bench.rig.source.hold(REPO, IMAGE)
    await bench.work()
    assert is_there(bench)
    assert ended(bench) == {"cancelled": 1}


@pytest.mark.parametrize("code", ["", "NAME_UNKNOWN", "NOT_FOUND", "TAG_UNKNOWN"])
async def test_a_404_that_does_not_speak_of_the_manifest_proves_nothing(bench: Bench, code: str) -> None:
    await given(bench)
    await lost(bench)

    def step(call: Call) -> None:
        if call.op is Op.READ:
            raise NotFound("no", registry="primary", reason=Reason.NOT_FOUND, status=404, code=code)

    bench.rig.source.hook = faults(step)
    await bench.work()
    assert is_there(bench)
    assert ended(bench) == {"unproven": 1}


@pytest.mark.parametrize(
    ("said", "proves"),
    [
        (f"artifact team/app@{IMAGE.digest} not found", True),
        (f"artifact team/other@{IMAGE.digest} not found", False),
        (f"artifact team/app@{OTHER.digest} not found", False),
        (f"/v2/team/app/manifests/{IMAGE.digest} not found", False),
        ("project team not found", False),
    ],
)
async def test_harbor_says_of_which_manifest_there_is_none(bench: Bench, said: str, proves: bool) -> None:
    """A page of a proxy that repeats the address does not."""
    await given(bench)
    await lost(bench)

    def step(call: Call) -> None:
        if call.op is Op.READ and call.registry == "primary":
            error = NotFound("no", registry="primary", reason=Reason.NOT_FOUND, status=404, code="NOT_FOUND")
            error.said = said
            raise error

    bench.rig.source.hook = faults(step)
    assert (await bench.work() == DELETED) is proves
    assert is_there(bench) is not proves


async def test_only_what_was_put_for_its_own_sake_is_known_as_ours(bench: Bench) -> None:
    index = make_index([IMAGE, OTHER])
    await bench.rig.push(REPO, Tag("v2"), index)
    await bench.work()
    assert await lost(bench) == 0, "it came with an index"
    bench.rig.replica.hold(REPO, IMAGE)
    await pushed(bench)
    await bench.work()
    assert await lost(bench) == 0, "it was there before us"


async def test_what_came_into_an_index_since_is_not_ours_any_more(bench: Bench) -> None:
    await given(bench)
    await bench.rig.push(REPO, Tag("v2"), make_index([IMAGE]))
    await bench.work()
    assert await lost(bench) == 0


@pytest.mark.parametrize("rules", [[], [{"deletes": "ignore"}]])
async def test_where_deletes_do_not_propagate_no_row_stays(tmp_path: Path, rules: list[dict[str, Any]]) -> None:
    async with running_bench(tmp_path, rules=rules) as bench:
        await given(bench)
        assert await bench.rig.store.row(KEY) is None
        assert await lost(bench) == 0


async def test_a_row_of_other_rules_than_todays_is_never_deleted(bench: Bench) -> None:
    await given(bench, fingerprint="former")
    await lost(bench)
    await bench.work()
    assert is_there(bench)
    assert await bench.rig.store.deletion(KEY) is None


@pytest.mark.parametrize("pattern", ["team/app:*", "team/**", "regex:.*@?sha256:.*"])
async def test_what_is_protected_stays(tmp_path: Path, pattern: str) -> None:
    async with running_bench(tmp_path, **SETTINGS, deletes={"protect": [pattern]}) as bench:
        await given(bench)
        await lost(bench)
        await bench.work()
        assert is_there(bench)
        assert ended(bench) == {"protected": 1}


def tagged(replica: ModelRegistry) -> None:
    replica.tags[REPO, Tag("theirs")] = IMAGE.digest


def in_an_index(replica: ModelRegistry) -> None:
    replica.hold(REPO, make_index([OTHER, IMAGE]), Tag("theirs"))


def far_down(replica: ModelRegistry) -> None:
    replica.hold(REPO, make_index([make_index([make_index([IMAGE])])]), Tag("theirs"))


def subject_by_api(replica: ModelRegistry) -> None:
    replica.has_referrers_api = True
    replica.hold(REPO, referrer(IMAGE))


def subject_by_list(replica: ModelRegistry) -> None:
    hold_list(replica, IMAGE.digest, referrer(IMAGE))


def signed(replica: ModelRegistry) -> None:
    replica.hold(REPO, make_image("cosign"), referrers.cosign_tags(IMAGE.digest)[0])


def hold_list(replica: ModelRegistry, subject: Digest, *members: Image) -> None:
    """Have a list of referrers on the replica, and what it names."""
    for one in members:
        replica.hold(REPO, one)
    raws = [RawManifest(one.media_type, one.digest, one.body) for one in members]
    merged = referrers.merge(None, map(referrers.entry_of, raws))
    assert merged is not None
    replica.manifests[REPO, merged.digest] = merged
    replica.tags[REPO, referrers.fallback_tag(subject)] = merged.digest


NEEDS = (tagged, in_an_index, far_down, subject_by_api, subject_by_list, signed)


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.__name__)
async def test_what_something_there_needs_stays(
    bench: Bench, logged: list[EventDict], need: Callable[[ModelRegistry], None]
) -> None:
    await given(bench)
    need(bench.rig.replica)
    await lost(bench)
    await bench.work()
    assert is_there(bench)
    assert bench.rig.replica.count(Op.DELETE) == 0
    assert ended(bench) == {"needed": 1}
    assert [line["reason"] for line in logged if line["event"] == "manifest_not_deleted"] == ["needed"]
    assert (await bench.rig.owed()).deletes.left == {"needed": 1}


async def test_what_an_index_without_a_tag_needs_stays_as_long_as_that(bench: Bench) -> None:
    """Of our own: the row of the index was settled while the child's was worked on."""
    index = make_index([IMAGE])
    await given(bench)
    await pushed(bench)
    lease = await bench.lease()
    await given(bench, index)
    assert await bench.rig.store.settle(lease, await bench.worker.work(bench.new_job(lease), always))
    await lost(bench)
    await bench.work()
    assert is_there(bench)
    assert ended(bench) == {"needed": 1}
    await lost(bench, index)
    assert await bench.work() == DELETED
    bench.rig.clock.advance(LEFT_FOR)
    assert await bench.work() == DELETED
    assert not is_there(bench)


async def test_a_referrer_goes_from_the_list_first(bench: Bench) -> None:
    """Its own list does not need it; the others in it stay."""
    signature, theirs = referrer(OTHER), referrer(OTHER, "theirs")
    await given(bench, signature)
    tag = referrers.fallback_tag(OTHER.digest)
    hold_list(bench.rig.replica, OTHER.digest, signature, theirs)
    await lost(bench, signature)
    assert await bench.work() == DELETED
    assert not is_there(bench, signature)
    listed = await bench.rig.replica.read_manifest(REPO, tag)
    assert str(signature.digest).encode() not in listed.body
    assert str(theirs.digest).encode() in listed.body


async def test_a_referrer_is_found_by_the_api_no_more(bench: Bench) -> None:
    bench.rig.replica.has_referrers_api = True
    signature = referrer(OTHER)
    await given(bench, signature)
    await lost(bench, signature)
    assert await bench.work() == DELETED
    assert await bench.rig.replica.referrers(REPO, OTHER.digest) == ()


async def test_what_an_earlier_try_took_from_the_list_is_listed_again_once_the_delete_is_refused(
    bench: Bench,
) -> None:
    signature = referrer(OTHER)
    await given(bench, signature)
    listed = await bench.rig.replica.read_manifest(REPO, referrers.fallback_tag(OTHER.digest))
    await lost(bench, signature)
    refusals = [
        RegistryError("busy", registry="eu", reason=Reason.SERVER_ERROR, status=500, temporary=True),
        RegistryError("no deletes", registry="eu", reason=Reason.UNSUPPORTED, status=405),
    ]

    def refused(call: Call) -> None:
        if call.op is Op.DELETE:
            raise refusals.pop(0)

    bench.rig.replica.hook = faults(refused)
    assert isinstance(await bench.work(), Retry)
    bench.rig.clock.advance(GRACE)
    await bench.work()
    assert not refusals
    assert await bench.rig.replica.read_manifest(REPO, referrers.fallback_tag(OTHER.digest)) == listed


async def test_where_no_manifest_is_deleted_all_stays_as_it_is(bench: Bench) -> None:
    signature = referrer(OTHER)
    await given(bench, signature)
    listed = await bench.rig.replica.read_manifest(REPO, referrers.fallback_tag(OTHER.digest))
    await lost(bench, signature)

    def refused(call: Call) -> None:
        if call.op is Op.DELETE:
            raise RegistryError("no deletes", registry="eu", reason=Reason.UNSUPPORTED, status=405)

    bench.rig.replica.hook = faults(refused)
    await bench.work()
    assert is_there(bench, signature)
    assert ended(bench) == {"unsupported": 1}
    assert await bench.rig.replica.read_manifest(REPO, referrers.fallback_tag(OTHER.digest)) == listed
    bench.rig.replica.hook = faults()
    bench.rig.clock.advance(LEFT_FOR)
    assert await bench.work() == DELETED


async def test_the_tags_that_name_it_go_first(bench: Bench) -> None:
    await given(bench)
    await bench.rig.push(REPO, Tag("v2"), IMAGE)
    (intent,) = Router(bench.rig.settings).route(
        Change(kind=ChangeKind.PUSH, repository=REPO, reference=Tag("v2"), digest=IMAGE.digest), bench.rig.clock.now()
    )
    await bench.rig.store.record([intent])
    await bench.work()
    await pushed(bench)  # once more by its digest: it was covered by the tag
    await bench.work()
    del bench.rig.source.tags[REPO, Tag("v2")]
    await lost(bench)
    assert await bench.work() == DELETED
    assert (REPO, Tag("v2")) not in bench.rig.replica.tags
    assert is_there(bench)
    bench.rig.clock.advance(AFTER_TAGS)
    assert await bench.rig.store.lease("eu", 1, 60) == (), "it came with the tag: its row is gone"


async def unknown(bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    replica = bench.rig.replica
    if how == "the list of tags is not whole":

        async def cut(repository: object) -> TagList:
            del repository
            return TagList({Tag("v1"): None}, whole=False)

        monkeypatch.setattr(ModelRegistry, "all_tags", lambda _, repository: cut(repository))
    elif how == "there are too many tags":
        for number in range(needs.MOST + 1):
            replica.tags[REPO, Tag(f"t{number}")] = OTHER.digest
    elif how == "a listed tag names nothing":
        replica.tags[REPO, Tag("dangling")] = Digest.of(b"gone")
    else:
        broken = RawManifest("application/vnd.oci.image.index.v1+json", Digest.of(b"[]"), b"[]")
        replica.manifests[REPO, broken.digest] = broken
        replica.tags[REPO, Tag("broken")] = broken.digest


@pytest.mark.parametrize(
    "how",
    [
        "the list of tags is not whole",
        "there are too many tags",
        "a listed tag names nothing",
        "an index cannot be read",
    ],
)
async def test_where_not_all_of_it_is_told_it_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    await given(bench)
    await unknown(bench, monkeypatch, how)
    await lost(bench)
    await bench.work()
    assert is_there(bench)
    assert ended(bench) == {"need_unknown": 1}


@pytest.mark.parametrize("op", [Op.TAGS, Op.STAT, Op.READ, Op.REFERRERS])
async def test_trouble_at_the_replica_deletes_nothing(bench: Bench, op: Op) -> None:
    await given(bench)
    bench.rig.replica.hold(REPO, make_index([OTHER]), Tag("v2"))
    await lost(bench)

    def trouble(call: Call) -> None:
        if call.op is op:
            raise network_error("eu", Reason.TIMEOUT)

    bench.rig.replica.hook = faults(trouble)
    assert isinstance(await bench.work(), Retry)
    assert is_there(bench)
    bench.rig.replica.hook = faults()
    bench.rig.clock.advance(GRACE)
    assert await bench.work() == DELETED, "it is asked again"


async def test_a_copy_to_the_repository_comes_first(bench: Bench) -> None:
    """It may have found the manifest there, and be about to put an index that names it."""
    await given(bench)
    await lost(bench)
    await bench.rig.push(REPO, Tag("v2"), make_index([IMAGE]))
    look, copy = sorted(await bench.rig.store.lease("eu", 2, 60.0), key=lambda lease: not lease.look)
    gate = Gate(Op.WRITE, Tag("v2"))
    bench.rig.replica.hook = gate
    copying = asyncio.create_task(bench.worker.work(bench.new_job(copy), always))
    await gate.reached.wait()
    bench.rig.source.lose(REPO, IMAGE.digest)
    listed = bench.rig.replica.count(Op.TAGS)
    assert await bench.worker.work(bench.new_job(look), always) == Done(
        result=Result.GONE, digest=IMAGE.digest, look_at=bench.rig.clock.now() + BUSY_FOR, looks=look.looks
    )
    assert bench.rig.replica.count(Op.TAGS) == listed, "nobody asks who needs what stays anyway"
    gate.opened.set()
    assert isinstance(await copying, Done)
    assert bench.rig.replica.complete(REPO, Tag("v2"))


async def test_a_copy_waits_for_the_delete_to_end(bench: Bench) -> None:
    await given(bench)
    await lost(bench)
    (look,) = await bench.rig.store.lease("eu", 1, 60.0)
    gate = Gate(Op.DELETE)
    bench.rig.replica.hook = gate
    deleting = asyncio.create_task(bench.worker.work(bench.new_job(look), always))
    await gate.reached.wait()
    await bench.rig.push(REPO, Tag("v2"), make_index([IMAGE]))
    copying = asyncio.create_task(bench.work())
    await bench.rig.moment()
    assert bench.rig.replica.count(Op.WRITE, Tag("v2")) == 0
    gate.opened.set()
    assert await deleting == DELETED
    assert isinstance(await copying, Done)
    assert bench.rig.replica.complete(REPO, Tag("v2"))


async def always() -> None:
    """Publish, and delete."""


async def test_a_delete_of_unknown_outcome_is_looked_at_again(bench: Bench) -> None:
    """It may land after an index came that needs the manifest: a late look finds that, and brings it back."""
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
    await bench.rig.push(REPO, Tag("v2"), make_index([IMAGE]))
    await bench.work()
    bench.rig.replica.lose(REPO, IMAGE.digest)  # it lands now
    assert not bench.rig.replica.complete(REPO, Tag("v2"))
    bench.rig.clock.advance(DOUBT_SECONDS)
    for _ in range(2):  # the look finds it missing, and then it is copied
        await bench.work()
    assert bench.rig.replica.complete(REPO, Tag("v2"))


async def test_too_many_at_once_delete_nothing(tmp_path: Path) -> None:
    settings = {**SETTINGS, "deletes": {"breaker": {"count": 2, "percent": 100}}}
    images = [make_image(f"many-{number}", (10,)) for number in range(3)]
    async with running_bench(tmp_path, **settings) as bench:
        bench.rig.replica.hold(REPO, OTHER, Tag("v1"))
        for image in images:
            await given(bench, image)
        for image in images:
            await lost(bench, image, grace=0)
        bench.rig.clock.advance(GRACE)
        for _ in images:
            (lease,) = await bench.rig.store.lease("eu", 1, 60.0)
            assert await bench.rig.store.settle(lease, await bench.worker.work(bench.new_job(lease), always))
        assert all(is_there(bench, image) for image in images)
        assert (await bench.rig.owed()).deletes.stopped_since is not None
