"""kill -9 of the real daemon at random moments: no acknowledged event is lost, no tag names incomplete content.

The replica that is watched takes any manifest, so that the order of writes is the daemon's alone (G1, G2).
"""

import contextlib
import random
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import anyio
import pytest

from replicator.model import Digest
from tests.integration.events import post_push
from tests.integration.site import Site, arrival, run_site
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, make_image, push, push_blob
from tests.support.permissive import PermissiveRegistry, run_permissive

_SENDERS = 8
_REPOSITORY = "team/app"
_BASE = make_image("shared base", (400_000,)).layers[0]


@dataclass(slots=True)
class _Ledger:
    """What senders were told, and what the watcher saw."""

    acknowledged: dict[str, Digest] = field(default_factory=dict)
    refused: int = 0
    watched: int = 0
    stopping: bool = False


async def _send(site: Site, ledger: _Ledger, sender: int) -> None:
    """Push images of one sender, each under a tag of its own, and announce each until the daemon takes it or dies."""
    async with aiohttp.ClientSession() as session:
        number = 0
        while not ledger.stopping:
            number += 1
            tag = f"s{sender}-{number}"
            image = make_image(tag, (_BASE, 30_000, 2_000))
            await push(site.primary.url, _REPOSITORY, tag, image)
            try:
                status = await post_push(site.hook_url, _REPOSITORY, tag, image.digest, session=session)
            except (aiohttp.ClientError, OSError):
                ledger.refused += 1
                continue
            if status == 202:
                ledger.acknowledged[tag] = image.digest


async def _watch(lenient: PermissiveRegistry, ledger: _Ledger) -> None:
    """Look at every tag as soon as it is there: its content must be complete at that moment."""
    seen: set[str] = set()
    while not ledger.stopping:
        puts = len(lenient.requests)
        for tag in lenient.storage.tags(_REPOSITORY) or ():
            if tag not in seen:
                await fetch_closure(lenient.url, _REPOSITORY, tag)
                seen.add(tag)
                ledger.watched += 1

        def news(puts: int = puts) -> bool:
            return ledger.stopping or len(lenient.requests) > puts

        await eventually(news, within=120, what="the daemon asks for something")


async def _rounds(site: Site, ledger: _Ledger, dice: random.Random, rounds: int) -> None:
    for _ in range(rounds):
        await site.daemon.start()
        wanted = len(ledger.acknowledged) + dice.randrange(1, 25)

        def taken(wanted: int = wanted) -> bool:
            return len(ledger.acknowledged) >= wanted

        await eventually(taken, within=60, what="events are taken")
        site.daemon.kill9()
    ledger.stopping = True


async def _run(tmp_path: Path, rounds: int) -> _Ledger:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    ledger = _Ledger()
    async with contextlib.AsyncExitStack() as stack:
        lenient = await stack.enter_async_context(run_permissive(tmp_path / "lenient"))
        site = await stack.enter_async_context(
            run_site(tmp_path, replicas=("strict",), through={"lenient": lenient.url}, notifies=False, running=False)
        )
        # Distribution 2.8 refuses a manifest for a moment whenever one of its blobs is pushed a second time.
        await push_blob(site.primary.url, _REPOSITORY, _BASE)
        async with anyio.create_task_group() as group:
            for sender in range(_SENDERS):
                group.start_soon(_send, site, ledger, sender)
            group.start_soon(_watch, lenient, ledger)
            group.start_soon(_rounds, site, ledger, random.Random(seed), rounds)
        await site.daemon.start()
        for tag, digest in ledger.acknowledged.items():
            for url in (lenient.url, site.url("strict")):
                await arrival(url, _REPOSITORY, tag, digest, within=60)
                await fetch_closure(url, _REPOSITORY, tag)
    return ledger


@pytest.mark.timeout(300)
async def test_a_few_kills_lose_no_acknowledged_event_and_publish_nothing_incomplete(tmp_path: Path) -> None:
    """Two hundred are part of the long proof."""
    ledger = await _run(tmp_path, rounds=6)
    assert ledger.refused > 0, "the daemon was dead at times"
    assert ledger.watched > 0, "the watcher saw tags"


@pytest.mark.prove
@pytest.mark.timeout(3600)
async def test_two_hundred_kills(tmp_path: Path) -> None:
    ledger = await _run(tmp_path, rounds=200)
    print(f"200 kills: {len(ledger.acknowledged)} acknowledged, {ledger.refused} refused, {ledger.watched} watched")
