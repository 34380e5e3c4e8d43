"""Whatever a registry does differently, a copy arrives the same: every quirk, the same contents (registry quirks)."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest

from replicator.clock import Clock, SystemClock
from replicator.errors import ContentError, Reason, RegistryError
from replicator.model import Descriptor, RawManifest, Repository, Tag, parse_repository
from replicator.observability.metrics import Metrics, Scope
from replicator.referrers import fallback_tag
from replicator.registry.client import open_registry
from replicator.replication.companions import find_companions
from replicator.replication.one_shot import Order, copy_reference
from replicator.replication.referrer_lists import ReferrerLists
from replicator.replication.shared_reads import SharedReads
from replicator.replication.survey import ManifestCache
from replicator.settings.registries import CapabilitiesSettings, ReplicaSettings
from replicator.store.outcome import Result
from tests.support.content import Content, make_blob, make_image, make_index
from tests.support.eventually import eventually
from tests.support.field_quirks import (
    REPLICA_QUIRKS,
    SOURCE_QUIRKS,
    gitlab,
    harbor_immutable,
    harbor_lists,
    harbor_withholds,
    limits_once,
)
from tests.support.images import fetch_closure, push
from tests.support.leaping_clock import LeapingClock
from tests.support.permissive import PermissiveRegistry, run_permissive
from tests.support.permissive_uploads import Switches
from tests.support.quirks import Asked, Quirk, both, refuses, with_body

MIB = 1024 * 1024
TEAM = parse_repository("team/app")
LAYER = make_blob("again", 70_000)
CONTENTS: dict[str, Content] = {
    "image": make_image("plain", [100_000, 3_000]),
    "large": make_image("large", [9 * MIB + 7]),
    "worth-keeping": make_image("worth keeping", [17 * MIB + 7]),
    "layers-twice": make_image("twice", [LAYER, 10, LAYER, make_blob("empty", 0)]),
    "index": make_index(
        [
            make_image("amd64", [LAYER, 90_000]),
            make_index([make_image("inner", [20_000])]),
            make_image("docker", [LAYER, 66_000], docker=True),
        ]
    ),
}
TRIES = 3
"""A lane tries again what failed for a moment; a copy here does so as often."""


async def copy(
    source: PermissiveRegistry, replica: PermissiveRegistry, tag: str, clock: Clock | None = None, tries: int = TRIES
) -> Result:
    """Copy one tag with clients that know nothing yet."""
    clock = clock or SystemClock()
    metrics = Metrics(Scope(replicas=("eu",)), clock=clock)
    async with (
        open_registry(ReplicaSettings(name="primary", url=source.url), clock=clock) as reader,
        open_registry(ReplicaSettings(name="eu", url=replica.url), clock=clock) as writer,
        SharedReads(clock=clock, on_read=metrics.source_bytes_read, pause=0) as reads,
    ):
        order = Order(repository=TEAM, reference=Tag(tag), published=Tag(tag))
        for left in reversed(range(tries)):
            try:
                report = await copy_reference(
                    order, source=reader, replica=writer, reads=reads, metrics=metrics, clock=clock
                )
            except RegistryError as error:
                if not (error.temporary and left):
                    raise
            else:
                return report.result
        raise AssertionError("no try succeeded")


async def check_lists(registry: PermissiveRegistry, page: int | None = None) -> None:
    """Look whether all that was copied is listed; `page`: most names that are asked for at once."""
    settings = ReplicaSettings(name="listed", url=registry.url, capabilities=CapabilitiesSettings(page_size=page))
    async with open_registry(settings, clock=SystemClock()) as client:
        assert sorted([tag async for tag in client.tags(TEAM)]) == sorted(CONTENTS)
        assert TEAM in [repository async for repository in client.repositories()]


async def check_same(replica: PermissiveRegistry, tag: str) -> None:
    """Look whether the replica, without its quirk, has a content complete and byte for byte."""
    replica.quirk = None
    await fetch_closure(replica.url, TEAM, tag, deep=True)
    for one in CONTENTS[tag].manifests():
        kept = replica.storage.manifest(TEAM, str(one.digest))
        assert kept is not None
        assert (kept.media_type, kept.body) == (one.media_type, one.body)


async def push_all(source: PermissiveRegistry) -> None:
    """Push every content."""
    for tag, content in CONTENTS.items():
        await push(source.url, TEAM, tag, content)


@pytest.mark.parametrize("make", REPLICA_QUIRKS.values(), ids=REPLICA_QUIRKS)
async def test_a_copy_arrives_whatever_the_replica_does(make: Callable[[], Quirk]) -> None:
    async with run_permissive() as source, run_permissive(switches=Switches(page=2)) as replica:
        await push_all(source)
        quirk = make()
        for tag in CONTENTS:
            replica.quirk = quirk
            assert await copy(source, replica, tag) is Result.COPIED
            assert await copy(source, replica, tag) is Result.ALREADY_PRESENT
            await check_same(replica, tag)
        replica.quirk = quirk
        await check_lists(replica)
        assert quirk.acted > 0 or quirk.prefix


@pytest.mark.parametrize("make", SOURCE_QUIRKS.values(), ids=SOURCE_QUIRKS)
async def test_a_copy_arrives_whatever_the_primary_does(make: Callable[[], Quirk]) -> None:
    async with run_permissive(switches=Switches(page=2)) as source, run_permissive() as replica:
        await push_all(source)
        source.quirk = quirk = make()
        for tag in CONTENTS:
            assert await copy(source, replica, tag) is Result.COPIED
            await check_same(replica, tag)
        await check_lists(source)
        assert quirk.acted > 0


WISH = 50
"""Seconds for which a registry that limits its clients wants to be left alone: nothing else takes so long."""


@pytest.mark.parametrize(
    ("at_replica", "method", "kind"),
    [
        (True, "HEAD", "manifest"),
        (True, "HEAD", "blob"),
        (True, "POST", "upload"),
        (True, "PATCH", "upload"),
        (True, "PUT", "upload"),
        (True, "PUT", "manifest"),
        (False, "GET", "manifest"),
        (False, "GET", "blob"),
    ],
)
async def test_a_copy_arrives_where_a_kind_of_request_is_limited(at_replica: bool, method: str, kind: str) -> None:
    """In its only try, with the pause waited for."""
    clock = LeapingClock()
    async with run_permissive() as source, run_permissive() as replica:
        await push_all(source)
        limited = limits_once(method, kind, WISH)
        quirk = both(refuses(405, with_body), limited) if method == "PATCH" else limited
        (replica if at_replica else source).quirk = quirk
        results = [await patiently(copy(source, replica, tag, clock, tries=1), clock) for tag in CONTENTS]
        assert [result for result, _ in results] == [Result.COPIED] * len(CONTENTS)
        assert sum(waited for _, waited in results) == 1
        for tag in CONTENTS:
            await check_same(replica, tag)


async def test_a_layer_that_is_limited_costs_the_other_layers_of_its_image_nothing() -> None:
    clock, sizes, sent = LeapingClock(), [3 * MIB, 2 * MIB, MIB], list[int]()
    limited = limits_once("PUT", "upload", WISH, 2 * MIB)

    def note(asked: Asked) -> None:
        if with_body(asked) and asked.length >= MIB:
            sent.append(asked.length)

    async with run_permissive() as source, run_permissive() as replica:
        await push(source.url, TEAM, "image", make_image("siblings", sizes))
        replica.quirk = both(Quirk(before=note), limited)
        assert await patiently(copy(source, replica, "image", clock, tries=1), clock) == (Result.COPIED, True)
        assert sorted(sent) == sorted([*sizes, 2 * MIB])


async def patiently(copying: Coroutine[None, None, Result], clock: LeapingClock) -> tuple[Result, bool]:
    """Carry out a copy, with a leap over a pause that a registry wished for; say whether there was one."""
    task, leapt = asyncio.create_task(copying), False

    def goes_on() -> bool:
        return task.done() or clock.waits_for(WISH / 5, WISH)

    while not task.done():
        await eventually(goes_on, what="copied, or told to wait")
        if not task.done():
            clock.leap(WISH)
            leapt = True
    return await task, leapt


async def test_a_tag_that_is_immutable_stays_and_the_error_tells() -> None:
    """Harbor's: what it holds already is no trouble, another image is no use to try again soon."""
    kept = make_image("kept")
    async with run_permissive() as source, run_permissive() as replica:
        await push(source.url, TEAM, "v1", kept)
        replica.quirk = quirk = harbor_immutable()
        assert await copy(source, replica, "v1", tries=1) is Result.COPIED
        assert await copy(source, replica, "v1", tries=1) is Result.ALREADY_PRESENT
        assert quirk.acted == 0
        await push(source.url, TEAM, "v1", make_image("other"))
        with pytest.raises(RegistryError, match="PRECONDITION") as caught:
            await copy(source, replica, "v1", tries=1)
        assert (caught.value.reason, caught.value.temporary) == (Reason.CONFLICT, False)
        held = replica.storage.manifest(TEAM, "v1")
        assert held is not None
        assert held.body == kept.body


async def test_a_list_is_whole_where_none_goes_on_behind_a_name() -> None:
    """Harbor's; a page that is full may be all there is, or not."""
    async with run_permissive() as registry:
        await push_all(registry)
        registry.quirk = quirk = harbor_lists()
        await check_lists(registry, page=len(CONTENTS))
        assert quirk.acted > 0


async def test_an_image_that_a_policy_lets_nobody_read_is_replaced() -> None:
    """Harbor's, of what is vulnerable: what the tag names cannot be asked for, and the mended image gets there."""
    async with run_permissive() as source, run_permissive() as replica:
        await push_all(source)
        await push(replica.url, TEAM, "image", make_image("vulnerable"))
        replica.quirk = quirk = harbor_withholds()
        assert await copy(source, replica, "image", tries=1) is Result.COPIED
        assert quirk.acted > 0
        await check_same(replica, "image")


@pytest.mark.parametrize("listed", [True, False])
async def test_a_fallback_tag_that_is_the_digest_itself_names_no_referrers(listed: bool) -> None:
    """GitLab's; where tags are not listed each that may exist is asked for."""
    async with run_permissive() as source:
        await push_all(source)
        no_tags = refuses(403, lambda asked: asked.endpoint.kind == "tags", code="DENIED")
        source.quirk = quirk = gitlab() if listed else both(gitlab(), no_tags)
        async with open_registry(ReplicaSettings(name="primary", url=source.url), clock=SystemClock()) as reader:
            digests = [one.digest for content in CONTENTS.values() for one in content.manifests()]
            assert not await find_companions(reader, TEAM, digests, ManifestCache())
        assert (quirk.acted > 0) is not listed


async def test_where_a_fallback_tag_is_the_digest_itself_no_list_is_written_and_the_error_says_so() -> None:
    subject, signature = make_image("subject"), make_image("signature")
    async with run_permissive() as replica:
        await push(replica.url, TEAM, "v1", subject)
        replica.quirk = gitlab()
        async with open_registry(ReplicaSettings(name="eu", url=replica.url), clock=SystemClock()) as client:
            lists = ReferrerLists(client, SystemClock(), random.Random(0))
            referrer = RawManifest(signature.media_type, signature.digest, signature.body)
            with pytest.raises(ContentError, match="takes the tag of a list of referrers for the digest itself"):
                await lists.add(TEAM, subject.digest, [referrer])
        assert replica.storage.tags(TEAM) == ["v1"]


async def test_where_a_path_that_is_not_known_is_a_repository_that_is_not_known_a_list_is_written() -> None:
    """There is no referrers API, but its absence is told in the words for a repository that is not there."""
    subject, signature, second = make_image("subject"), make_image("signature"), make_image("second")
    async with run_permissive() as replica:
        await push(replica.url, TEAM, "v1", subject)
        replica.quirk = quirk = refuses(404, lambda asked: "/referrers/" in asked.request.path, code="NAME_UNKNOWN")
        async with open_registry(ReplicaSettings(name="eu", url=replica.url), clock=SystemClock()) as client:
            lists = ReferrerLists(client, SystemClock(), random.Random(0))
            for one in (signature, second):
                await push(replica.url, TEAM, None, one)
                await lists.add(TEAM, subject.digest, [RawManifest(one.media_type, one.digest, one.body)])
                assert one.digest in await lists.read(TEAM, subject.digest)
            assert await lists.read(TEAM, subject.digest) == {signature.digest, second.digest}
        assert replica.storage.tags(TEAM) == [str(fallback_tag(subject.digest)), "v1"]
        assert quirk.acted > 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
async def test_a_mount_that_is_refused_becomes_an_upload(status: int) -> None:
    async with run_permissive() as replica:
        replica.quirk = quirk = refuses(status, lambda asked: "mount" in asked.request.query)
        await mounted(replica)
        assert quirk.acted == 1


async def test_a_mount_that_is_answered_with_a_session_becomes_an_upload() -> None:
    async with run_permissive() as replica:
        replica.switches.no_mount = True
        await mounted(replica)


async def mounted(replica: PermissiveRegistry) -> None:
    """Try to mount a blob, send it in the session that is given instead, and look at it."""
    other, blob = Repository("team/other"), make_blob("mounted", 80_000)
    described = Descriptor(blob.media_type, blob.digest, blob.size)
    async with open_registry(ReplicaSettings(name="eu", url=replica.url), clock=SystemClock()) as client:

        async def body() -> AsyncIterator[bytes]:
            yield blob.read()

        await client.send_blob(other, described, body)
        session = await client.mount_blob(TEAM, described, other)
        assert session is not None
        await client.send_blob(TEAM, described, body, session)
        assert await client.has_blob(TEAM, described)
