"""Whatever a registry does differently, a copy arrives the same: every quirk, the same contents (registry quirks)."""

from collections.abc import AsyncIterator, Callable

import pytest

from replicator.clock import SystemClock
from replicator.errors import RegistryError
from replicator.model import Descriptor, Repository, Tag, parse_repository
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.client import open_registry
from replicator.replication.one_shot import Order, copy_reference
from replicator.replication.shared_reads import SharedReads
from replicator.settings.registries import ReplicaSettings
from replicator.store.outcome import Result
from tests.support.content import Content, make_blob, make_image, make_index
from tests.support.images import fetch_closure, push
from tests.support.permissive import PermissiveRegistry, run_permissive
from tests.support.quirks import REPLICA_QUIRKS, SOURCE_QUIRKS, Quirk, refuses

MIB = 1024 * 1024
TEAM = parse_repository("team/app")
LAYER = make_blob("again", 70_000)
CONTENTS: dict[str, Content] = {
    "image": make_image("plain", [100_000, 3_000]),
    "large": make_image("large", [9 * MIB + 7]),
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


async def copy(source: PermissiveRegistry, replica: PermissiveRegistry, tag: str) -> Result:
    """Copy one tag with clients that know nothing yet."""
    clock = SystemClock()
    metrics = Metrics(Scope(replicas=("eu",)), clock=clock)
    async with (
        open_registry(ReplicaSettings(name="primary", url=source.url), clock=clock) as reader,
        open_registry(ReplicaSettings(name="eu", url=replica.url), clock=clock) as writer,
        SharedReads(clock=clock, on_read=metrics.source_bytes_read, pause=0) as reads,
    ):
        order = Order(repository=TEAM, reference=Tag(tag), published=Tag(tag))
        for left in reversed(range(TRIES)):
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


async def copy_all(source: PermissiveRegistry, replica: PermissiveRegistry) -> None:
    """Copy every content, and look at the replica without its quirk: complete, and byte for byte the same."""
    for tag, content in CONTENTS.items():
        await push(source.url, TEAM, tag, content)
    odd = [(one, one.quirk) for one in (source, replica)]
    for tag, content in CONTENTS.items():
        for registry, quirk in odd:
            registry.quirk = quirk
        assert await copy(source, replica, tag) is Result.COPIED
        assert await copy(source, replica, tag) is Result.ALREADY_PRESENT
        for registry, _ in odd:
            registry.quirk = None
        await fetch_closure(replica.url, TEAM, tag, deep=True)
        for one in content.manifests():
            kept = replica.storage.manifest(TEAM, str(one.digest))
            assert kept is not None
            assert (kept.media_type, kept.body) == (one.media_type, one.body)


@pytest.mark.parametrize("make", REPLICA_QUIRKS.values(), ids=REPLICA_QUIRKS)
async def test_a_copy_arrives_whatever_the_replica_does(make: Callable[[], Quirk]) -> None:
    async with run_permissive() as source, run_permissive() as replica:
        replica.quirk = quirk = make()
        await copy_all(source, replica)
        assert quirk.acted > 0 or quirk.prefix


@pytest.mark.parametrize("make", SOURCE_QUIRKS.values(), ids=SOURCE_QUIRKS)
async def test_a_copy_arrives_whatever_the_primary_does(make: Callable[[], Quirk]) -> None:
    async with run_permissive() as source, run_permissive() as replica:
        pushed = {tag: await push(source.url, TEAM, tag, content) for tag, content in CONTENTS.items()}
        source.quirk = quirk = make()
        for tag, digest in pushed.items():
            assert await copy(source, replica, tag) is Result.COPIED
            await fetch_closure(replica.url, TEAM, tag, deep=True)
            assert replica.storage.manifest(TEAM, tag) == source.storage.manifest(TEAM, str(digest))
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
