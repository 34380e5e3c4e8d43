"""Whatever a registry does differently, what belongs to an image arrives with it: every quirk that it meets."""

from collections.abc import Callable
from functools import partial

import pytest
from aiohttp import web

from replicator import referrers
from replicator.clock import SystemClock
from replicator.errors import RegistryError
from replicator.model import Digest, RawManifest, Tag, parse_repository
from replicator.observability.metrics import Metrics, Scope
from replicator.policy import Policy
from replicator.registry.client import open_registry
from replicator.replication.one_shot import CopyReport, Order, copy_reference
from replicator.replication.shared_reads import SharedReads
from replicator.settings.registries import ReplicaSettings
from replicator.store.outcome import Result
from tests.support.content import Content, make_image
from tests.support.field_quirks import REPLICA_QUIRKS, SOURCE_QUIRKS, gitlab
from tests.support.images import fetch_closure, push
from tests.support.permissive import PermissiveRegistry, run_permissive
from tests.support.permissive_storage import StoredManifest
from tests.support.permissive_uploads import Switches
from tests.support.quirks import Asked, Quirk, refuses

TEAM = parse_repository("team/app")
TAG = Tag("v1")
APP = make_image("app", [4_000])
SIGNATURE = make_image(
    "signature",
    [300],
    extra={
        "subject": {"mediaType": APP.media_type, "digest": str(APP.digest), "size": len(APP.body)},
        "artifactType": "application/x.signature",
        "annotations": {"by": "us"},
    },
)
BY_COSIGN = make_image("by cosign", [200])
LIST_TAG, COSIGN_TAG = referrers.fallback_tag(APP.digest), referrers.cosign_tags(APP.digest)[0]
TRIES = 3
OF_LONG_BODIES = frozenset(
    {
        "acr: a long PUT is reset",
        "acr: long bodies are 413",
        "chunks of 5 MiB at least",
        "distribution: a page of more than 2 is 400",
        "gar: no chunks",
        "ghcr: PATCH above 4 MiB is 416",
        "gitea: only the first write is a stream",
        "ghcr: a PATCH replaces what came before",
        "nginx: 413 is a page",
    }
)
"""Rows that what is small does not meet."""


def listing() -> StoredManifest:
    """Return the list that a client keeps where there is no API."""
    made = referrers.merge(
        None, [referrers.entry_of(RawManifest(SIGNATURE.media_type, SIGNATURE.digest, SIGNATURE.body))]
    )
    assert made is not None
    return StoredManifest(made.media_type, made.digest, made.body)


async def push_all(source: PermissiveRegistry) -> None:
    """Push the image and what belongs to it, as clients do."""
    await push(source.url, TEAM, TAG, APP)
    await push(source.url, TEAM, None, SIGNATURE)
    await push(source.url, TEAM, COSIGN_TAG, BY_COSIGN)
    source.storage.put_manifest(TEAM, listing(), LIST_TAG)


async def copy(source: PermissiveRegistry, replica: PermissiveRegistry) -> CopyReport:
    """Copy the image with clients that know nothing yet, and with what belongs to it."""
    clock = SystemClock()
    metrics = Metrics(Scope(replicas=("eu",)), clock=clock)
    order = Order(repository=TEAM, reference=TAG, published=TAG, policy=Policy(referrers=True))
    async with (
        open_registry(ReplicaSettings(name="primary", url=source.url), clock=clock) as reader,
        open_registry(ReplicaSettings(name="eu", url=replica.url), clock=clock) as writer,
        SharedReads(clock=clock, on_read=metrics.source_bytes_read, pause=0) as reads,
    ):
        for left in reversed(range(TRIES)):
            try:
                return await copy_reference(
                    order, source=reader, replica=writer, reads=reads, metrics=metrics, clock=clock
                )
            except RegistryError as error:
                if not (error.temporary and left):
                    raise
        raise AssertionError("no try succeeded")


async def check_same(replica: PermissiveRegistry, *there: Content, listed: bool = True) -> None:
    """Look whether the replica, without its quirk, has all of it complete and byte for byte."""
    replica.quirk = None
    for one in there:
        await fetch_closure(replica.url, TEAM, str(one.digest), deep=True)
        kept = replica.storage.manifest(TEAM, str(one.digest))
        assert kept is not None
        assert (kept.media_type, kept.body) == (one.media_type, one.body)
    tags = {TAG: APP.digest, **({COSIGN_TAG: BY_COSIGN.digest} if BY_COSIGN in there else {})}
    assert {tag: named(replica, tag) for tag in tags} == tags
    assert (replica.storage.manifest(TEAM, LIST_TAG) == listing()) is listed


def named(registry: PermissiveRegistry, tag: str) -> Digest | None:
    found = registry.storage.manifest(TEAM, tag)
    return None if found is None else found.digest


@pytest.mark.parametrize("row", sorted(REPLICA_QUIRKS.keys() - OF_LONG_BODIES))
async def test_what_belongs_to_an_image_arrives_whatever_the_replica_does(row: str) -> None:
    async with run_permissive() as source, run_permissive() as replica:
        await push_all(source)
        replica.quirk = quirk = REPLICA_QUIRKS[row]()
        report = await copy(source, replica)
        assert (report.result, report.set_aside) == (Result.COPIED, ())
        again = await copy(source, replica)
        assert (again.result, again.set_aside) == (Result.ALREADY_PRESENT, ())
        assert quirk.acted > 0 or quirk.prefix
        await check_same(replica, APP, SIGNATURE, BY_COSIGN)


@pytest.mark.parametrize("row", sorted(SOURCE_QUIRKS))
async def test_what_belongs_to_an_image_arrives_whatever_the_primary_does(row: str) -> None:
    async with run_permissive(switches=Switches(page=2)) as source, run_permissive() as replica:
        await push_all(source)
        source.quirk = SOURCE_QUIRKS[row]()
        report = await copy(source, replica)
        assert (report.result, report.set_aside) == (Result.COPIED, ())
        await check_same(replica, APP, SIGNATURE, BY_COSIGN)


def asks_who_refers(asked: Asked) -> bool:
    """Say whether a request is one to the referrers API."""
    return asked.endpoint.kind == "referrers"


def page_for_people() -> Quirk:
    """Return the quirk of those who answer what they do not know with a page."""
    return Quirk(
        before=lambda asked: (
            web.Response(text="<html>hello</html>", content_type="text/html") if asks_who_refers(asked) else None
        )
    )


NO_API: dict[str, Callable[[], Quirk]] = {
    **{f"{status}": partial(refuses, status, asks_who_refers) for status in (400, 404, 405, 501)},
    "404 NAME_UNKNOWN": lambda: refuses(404, asks_who_refers, code="NAME_UNKNOWN"),
    "404 with a page": lambda: refuses(404, asks_who_refers, html=True),
    "a redirect": lambda: refuses(302, asks_who_refers, html=True),
    "200 with a page": page_for_people,
}
"""How a registry says that it has no referrers API."""


@pytest.mark.parametrize("make", NO_API.values(), ids=NO_API)
@pytest.mark.parametrize("at_replica", [True, False], ids=["replica", "primary"])
async def test_lists_are_kept_however_the_api_is_said_not_to_be_there(
    make: Callable[[], Quirk], at_replica: bool
) -> None:
    async with run_permissive() as source, run_permissive() as replica:
        await push_all(source)
        (replica if at_replica else source).quirk = quirk = make()
        for result in (Result.COPIED, Result.ALREADY_PRESENT):
            report = await copy(source, replica)
            assert (report.result, report.set_aside) == (result, ())
        assert quirk.acted > 0
        await check_same(replica, APP, SIGNATURE, BY_COSIGN)


async def test_a_primary_that_refuses_to_say_who_refers_gives_the_image_and_the_copy_tells() -> None:
    async with run_permissive() as source, run_permissive() as replica:
        await push_all(source)
        source.quirk = refuses(403, asks_who_refers, code="DENIED")
        report = await copy(source, replica)
        assert report.result is Result.COPIED
        (told,) = {problem.partition(": ")[0] for problem in report.set_aside if str(APP.digest)[7:] in problem}
        assert told == LIST_TAG
        await check_same(replica, APP, SIGNATURE, BY_COSIGN)


async def test_a_replica_that_takes_the_tag_of_a_list_for_the_digest_has_all_but_the_list() -> None:
    async with run_permissive() as source, run_permissive() as replica:
        await push_all(source)
        replica.quirk = gitlab()
        report = await copy(source, replica)
        assert report.result is Result.COPIED
        (told,) = report.set_aside
        assert "for the digest itself" in told
        await check_same(replica, APP, BY_COSIGN, listed=False)
