"""SIGTERM ends the daemon in order: copies finish or are given back, nothing is lost, the exit code is 0."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import anyio.to_thread

from replicator.model import Digest
from tests.integration.events import post_push
from tests.integration.site import Site, run_site
from tests.support.eventually import eventually
from tests.support.faults import Hold
from tests.support.images import fetch_closure, make_image, push, tag_digest

_MIB = 1024 * 1024
_SLOW = 6.0 * _MIB
_LONG = {"shutdown": {"grace": "1m"}}
"""More than what is under way needs: where it is finished, nobody waits so long."""


def _events(site: Site, name: str) -> list[dict[str, Any]]:
    return [line for line in site.daemon.log_lines() if line.get("event") == name]


async def _until_it_streams(site: Site) -> None:
    await eventually(lambda: site.lines["eu"].sent("upload") > _MIB, what="the layer is on its way")


async def test_f06_a_copy_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    image = make_image("in flight", (8 * _MIB,))
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",), sections=_LONG) as site:
        site.lines["eu"].link.rate_up = _SLOW
        await push(site.primary.url, "team/app", "v1", image)
        await _until_it_streams(site)
        assert await site.daemon.terminate(within=90) == 0
        await fetch_closure(site.url("eu"), "team/app", "v1", deep=True)
        assert len(_events(site, "reference_replicated")) == 1


async def test_f07_a_copy_that_outlasts_the_grace_is_given_back_and_done_after_the_start(tmp_path: Path) -> None:
    image = make_image("too slow", (64 * _MIB,))
    async with run_site(
        tmp_path, replicas=("eu",), proxied=("eu",), sections={"shutdown": {"grace": "500ms"}}
    ) as site:
        site.lines["eu"].link.rate_up = _SLOW
        await push(site.primary.url, "team/app", "v1", image)
        await _until_it_streams(site)
        assert await site.daemon.terminate() == 0
        assert await tag_digest(site.url("eu"), "team/app", "v1") is None
        assert _events(site, "reference_failed") == [], "being stopped is no failure of the image"
        site.lines["eu"].link.rate_up = None
        await site.daemon.start()
        await site.arrived("team/app", "v1", image.digest)
        await fetch_closure(site.url("eu"), "team/app", "v1", deep=True)


async def test_f07_a_second_signal_ends_the_grace_at_once(tmp_path: Path) -> None:
    image = make_image("impatient", (64 * _MIB,))
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",), sections={"shutdown": {"grace": "1h"}}) as site:
        site.lines["eu"].link.rate_up = _SLOW
        await push(site.primary.url, "team/app", "v1", image)
        await _until_it_streams(site)
        site.daemon.process.signal(signal.SIGTERM)
        await eventually(lambda: len(_events(site, "daemon_stopping")) == 1, what="it drains")
        site.daemon.process.signal(signal.SIGTERM)
        assert await anyio.to_thread.run_sync(site.daemon.process.wait, 60.0) == 0


async def test_webhooks_are_taken_while_it_drains(tmp_path: Path) -> None:
    """What is acknowledged in the last second is done in the next life."""
    image, late = make_image("in flight"), make_image("late")
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",), sections=_LONG) as site:
        go_on = asyncio.Event()
        held = site.lines["eu"].add(Hold(method="PUT", path="/manifests/v1$", until=go_on))
        await push(site.primary.url, "team/app", "v1", image)
        await eventually(lambda: held.acted, what="the tag is on its way")
        site.daemon.process.signal(signal.SIGTERM)
        await eventually(lambda: len(_events(site, "daemon_stopping")) == 1, what="it drains")
        before = len(_events(site, "webhook_accepted"))
        await push(site.primary.url, "team/app", "late", late)
        await eventually(lambda: len(_events(site, "webhook_accepted")) > before, what="the event is taken")
        assert site.daemon.running, "it still has a copy under way"
        go_on.set()
        assert await anyio.to_thread.run_sync(site.daemon.process.wait, 60.0) == 0
        assert await tag_digest(site.url("eu"), "team/app", "v1") == image.digest
        assert await tag_digest(site.url("eu"), "team/app", "late") is None
        await site.daemon.start()
        await site.arrived("team/app", "late", late.digest)


async def test_an_upload_that_is_cut_by_the_end_of_the_grace_goes_on_in_the_next_life(tmp_path: Path) -> None:
    """The place of its session is kept, where the registry keeps the bytes."""
    image = make_image("half sent", (64 * _MIB,))
    sections = {"shutdown": {"grace": "200ms"}}
    async with run_site(
        tmp_path, replicas=("eu",), proxied=("eu",), kinds={"eu": "distribution3"}, sections=sections
    ) as site:
        site.lines["eu"].link.rate_up = 16.0 * _MIB
        await push(site.primary.url, "team/app", "v1", image)
        await eventually(lambda: site.lines["eu"].sent("upload") > 32 * _MIB, what="half of the layer is sent")
        assert await site.daemon.terminate() == 0
        site.lines["eu"].link.rate_up = None
        await site.daemon.start()
        await site.arrived("team/app", "v1", image.digest)
        await fetch_closure(site.url("eu"), "team/app", "v1", deep=True)
        resumptions = "replicator_upload_resumptions_total"
        assert site.daemon.metric(resumptions, replica="eu", result="resumed") == 1
        assert site.lines["eu"].sent("upload") < 1.1 * 64 * _MIB


class _Pushers:
    """People who push without a pause, until the daemon takes no more; `taken` is what it has acknowledged."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.taken: dict[str, Digest] = {}
        self.after_the_signal = 0
        self.signalled = False

    async def push_on(self, who: int) -> None:
        async with aiohttp.ClientSession() as session:
            number = 0
            while True:
                number += 1
                tag = f"v{who}-{number}"
                image = make_image(tag, (200_000,))
                await push(self._site.primary.url, f"team/app{who}", tag, image)
                try:
                    status = await post_push(
                        self._site.hook_url, f"team/app{who}", tag, image.digest, session=session
                    )
                except aiohttp.ClientError:
                    return  # the listener is closed: the sender keeps it
                if status == 202:
                    self.taken[f"team/app{who}:{tag}"] = image.digest
                    self.after_the_signal += self.signalled


async def test_a_stop_under_load_is_bounded_in_time_and_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Webhooks are answered until the very end; what could not be copied any more is owed in the next life."""
    async with run_site(tmp_path, proxied=("eu",), notifies=False, sections={"shutdown": {"grace": "2s"}}) as site:
        # What is under way when the signal comes takes 20 s, however few copies that are.
        site.lines["eu"].link.rate_up = 0.01 * _MIB
        pushers = _Pushers(site)
        async with anyio.create_task_group() as group:
            for who in range(4):
                group.start_soon(pushers.push_on, who)
            await eventually(lambda: len(pushers.taken) > 40, within=30, what="there is load")
            pushers.signalled = True
            began = time.monotonic()
            assert await site.daemon.terminate() == 0
            seconds = time.monotonic() - began
        assert 1.5 < seconds < 15.0, "the grace of 2 s is used, since the line is slow, and not the 20 s"
        assert pushers.after_the_signal > 5
        assert _events(site, "reference_failed") == []
        site.lines["eu"].link.rate_up = None
        await site.daemon.start()
        for name, digest in pushers.taken.items():
            repository, _, tag = name.partition(":")
            await site.arrived(repository, tag, digest, within=30.0)
        await site.settled()
        assert site.daemon.metric("replicator_replica_failing_updates") == 0


async def test_two_signals_one_right_after_the_other_end_in_order_too(tmp_path: Path) -> None:
    for _ in range(2):
        async with run_site(tmp_path, replicas=("eu",)) as site:
            site.daemon.process.signal(signal.SIGTERM)
            site.daemon.process.signal(signal.SIGTERM)
            assert await anyio.to_thread.run_sync(site.daemon.process.wait, 60.0) == 0
            assert _events(site, "daemon_stopped")
