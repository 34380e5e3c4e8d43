"""Sweeps over a real registry of many repositories: what they ask, that nobody is told of pulls, how much memory."""

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from replicator.clock import SystemClock
from replicator.model import Change, ChangeKind, Digest, Repository, Tag
from replicator.routing import Router
from replicator.settings.load import load
from replicator.store.encoding import pack_digest, pack_reference
from replicator.store.session import Session
from replicator.store.sqlite import SqliteStore
from tests.integration.site import Site, run_site
from tests.integration.sweep_scene import CLEAN
from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.images import push
from tests.support.registries import DockerRegistry

IMAGE = make_image("one of many")
SWEEP = {"every": "1h", "full_every": "24h"}
SOON = {"every": "60s", "full_every": "24h"}


def repository(number: int) -> Repository:
    return Repository(f"many/app-{number:04}")


def tag(number: int) -> Tag:
    return Tag(f"v{number:03}")


def crowd(primary: DockerRegistry, repositories: int, tags: int) -> None:
    """Fill the registry's storage by copies of the files that one push made."""
    folder = primary.root / "docker/registry/v2/repositories/many"
    first = folder / "app-0000/_manifests/tags"
    for number in range(1, tags):
        shutil.copytree(first / tag(0), first / tag(number))
    for number in range(1, repositories):
        subprocess.run(["cp", "-a", folder / "app-0000", folder / f"app-{number:04}"], check=True)


async def know(site: Site, repositories: int, tags: int) -> None:
    """Have the store know that the replica holds everything."""
    settings = load(site.daemon.config, {})
    change = Change(kind=ChangeKind.PUSH, repository=repository(0), reference=tag(0))
    (fingerprint,) = {one.fingerprint for one in Router(settings).route(change, 0.0)}

    def fill(session: Session, number: int) -> None:
        where, policy = session.repository(repository(number)), session.policy(fingerprint)
        digest = pack_digest(Digest.parse(str(IMAGE.digest)))

        def rows() -> Iterator[tuple[Any, ...]]:
            for one in range(tags):
                yield where, pack_reference(tag(one)), digest, policy

        assert isinstance(session.connection, sqlite3.Connection)
        session.connection.executemany(CLEAN, rows())

    store = await SqliteStore.open(settings.store.sqlite_path, clock=SystemClock())
    for number in range(repositories):
        await store.submit(partial(fill, number=number))
    await store.close()


def asked(site: Site, operation: str) -> float:
    return site.daemon.metric("replicator_sweep_requests_total", op=operation)


async def passes(folder: Path, repositories: int, tags: int) -> None:
    sections = {"sweep": SWEEP}
    async with run_site(folder, replicas=("eu",), proxied=["eu"], running=False, sections=sections) as site:
        assert isinstance(site.primary, DockerRegistry)
        await push(site.primary.url, repository(0), tag(0), IMAGE)
        await anyio.to_thread.run_sync(crowd, site.primary, repositories, tags)
        await know(site, repositories, tags)
        total, clock = repositories * tags, SystemClock()
        began = clock.monotonic()
        await site.daemon.start()
        await eventually(lambda: asked(site, "tags_list") > repositories / 10, within=300, what="it compares")
        before = site.daemon.rss()
        await eventually(lambda: asked(site, "manifest_stat") >= total, within=3_000, what="all digests are compared")
        took, grown = clock.monotonic() - began, site.daemon.rss() - before
        print(
            f"{repositories} x {tags}: all digests by {asked(site, 'manifest_stat'):.0f} HEADs and "
            f"{asked(site, 'tags_list'):.0f} lists in {took:.0f} s, {grown >> 10} KiB more memory"
        )
        assert asked(site, "manifest_stat") + asked(site, "tags_list") <= total + 1.02 * repositories, "1.02 a tag"
        # But for the one push nobody was told of anything: not of pulls above all.
        assert site.daemon.metric("replicator_webhook_events_total") < 20
        assert site.daemon.metric("replicator_replica_pending_updates") == 0
        assert grown < 24 << 20
        await site.daemon.terminate()
        site.daemon.write_config({**site.config, "sweep": SOON})
        await site.daemon.start()
        await eventually(lambda: asked(site, "tags_list") >= repositories, within=600, what="all tags are compared")
        print(f"all tags by {asked(site, 'tags_list'):.0f} lists, {asked(site, 'manifest_stat'):.0f} HEADs")
        assert asked(site, "tags_list") <= 1.2 * repositories
        assert asked(site, "manifest_stat") == 0
        contents = [
            one for one in site.lines["eu"].requests if "/manifests/" in one.target or "/blobs/" in one.target
        ]
        assert contents == [], "replicas are asked nothing"


@pytest.mark.prove
async def test_a_thousand_repositories_of_a_hundred_tags_on_a_distribution_are_compared(tmp_path: Path) -> None:
    await passes(tmp_path, 1_000, 100)
