"""SIGTERM ends the daemon in order: copies finish or are given back, nothing is lost, the exit code is 0."""

import signal
from pathlib import Path
from typing import Any

import anyio.to_thread

from tests.integration.site import Site, run_site
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, make_image, push, tag_digest

_MIB = 1024 * 1024
_SLOW = 6.0 * _MIB


def _events(site: Site, name: str) -> list[dict[str, Any]]:
    return [line for line in site.daemon.log_lines() if line.get("event") == name]


async def _until_it_streams(site: Site) -> None:
    await eventually(lambda: site.lines["eu"].sent("upload") > _MIB, what="the layer is on its way")


async def test_a_copy_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    image = make_image("in flight", (8 * _MIB,))
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",)) as site:
        site.lines["eu"].link.rate_up = _SLOW
        await push(site.primary.url, "team/app", "v1", image)
        await _until_it_streams(site)
        assert await site.daemon.terminate() == 0
        await fetch_closure(site.url("eu"), "team/app", "v1", deep=True)
        assert len(_events(site, "reference_replicated")) == 1


async def test_a_copy_that_outlasts_the_grace_is_given_back_and_done_after_the_start(tmp_path: Path) -> None:
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


async def test_a_second_signal_ends_the_grace_at_once(tmp_path: Path) -> None:
    image = make_image("impatient", (64 * _MIB,))
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",), sections={"shutdown": {"grace": "1h"}}) as site:
        site.lines["eu"].link.rate_up = _SLOW
        await push(site.primary.url, "team/app", "v1", image)
        await _until_it_streams(site)
        site.daemon.process.signal(signal.SIGTERM)
        await eventually(lambda: len(_events(site, "daemon_stopping")) == 1, what="it drains")
        site.daemon.process.signal(signal.SIGTERM)
        assert await anyio.to_thread.run_sync(site.daemon.process.wait, 10.0) == 0


async def test_webhooks_are_taken_while_it_drains(tmp_path: Path) -> None:
    """What is acknowledged in the last second is done in the next life."""
    image, late = make_image("in flight", (8 * _MIB,)), make_image("late")
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",)) as site:
        site.lines["eu"].link.rate_up = _SLOW
        await push(site.primary.url, "team/app", "v1", image)
        await _until_it_streams(site)
        site.daemon.process.signal(signal.SIGTERM)
        await eventually(lambda: len(_events(site, "daemon_stopping")) == 1, what="it drains")
        before = len(_events(site, "webhook_accepted"))
        await push(site.primary.url, "team/app", "late", late)
        await eventually(lambda: len(_events(site, "webhook_accepted")) > before, what="the event is taken")
        assert await anyio.to_thread.run_sync(site.daemon.process.wait, 20.0) == 0
        assert await tag_digest(site.url("eu"), "team/app", "late") is None
        await site.daemon.start()
        await site.arrived("team/app", "late", late.digest)
