"""Replicas that are down, busy, forgetful or closed: their lane waits, the others go on, all arrives after healing.

Numbers are those of docs/faults.md.
"""

import datetime as dt
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.events import post_push
from tests.integration.site import Site, run_site
from tests.support.altered import clock, leap
from tests.support.eventually import eventually
from tests.support.faults import Answer
from tests.support.images import fetch_closure, make_image, push, tag_digest
from tests.support.registries import DockerRegistry

_ALTERED = (sys.executable, "-m", "tests.support.altered")
_TEAM = "team/app"
_HOUR = 3600.0


def _owed(site: Site, replica: str = "eu") -> float:
    return site.daemon.metric("replicator_replica_pending_updates", replica=replica)


def _rows(site: Site, replica: str = "eu") -> list[dict[str, Any]]:
    document = json.loads(site.daemon.get(f"/api/v1/status?owed=1&replica={replica}"))
    return list(document["rows"])


async def test_f25_bursts_of_5xx_open_the_breaker_of_that_replica_alone(tmp_path: Path) -> None:
    image, later = make_image("burst"), make_image("later")
    async with run_site(tmp_path, proxied=("eu",)) as site:
        line = site.lines["eu"]
        statuses = (500, 502, 503)
        bursts = [line.add(Answer(status=one, nth=at, times=None)) for at, one in enumerate(statuses, 1)]
        await push(site.primary.url, _TEAM, "v1", image)
        await site.arrived(_TEAM, "v1", image.digest, on=("us",))

        def is_open() -> bool:
            return site.daemon.metric("replicator_lane_state", replica="eu", state="open") == 1

        await eventually(is_open, within=20, what="the lane of eu is taken for down")
        await push(site.primary.url, _TEAM, "v2", later)
        await site.arrived(_TEAM, "v2", later.digest, on=("us",))
        assert bursts[0].acted >= 3
        assert await tag_digest(site.url("eu"), _TEAM, "v1") is None
        line.clear()
        await site.arrived(_TEAM, "v1", image.digest, within=30)
        await site.arrived(_TEAM, "v2", later.digest, within=30)
        await fetch_closure(site.url("eu"), _TEAM, "v1", deep=True)
        await eventually(lambda: _owed(site) == 0, what="nothing is owed")


@pytest.mark.parametrize("wish", ["seconds", "date", "absurd"])
async def test_f26_a_429_is_obeyed_up_to_a_quarter_of_an_hour(tmp_path: Path, wish: str) -> None:
    """From outside: when the row is due again, by the status of the daemon; the pause itself is not waited for."""
    far = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=600)
    value = {
        "seconds": "600",
        "date": far.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "absurd": str(10 * 365 * 24 * 3600),
    }[wish]
    image = make_image("busy")
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",)) as site:
        refused = site.lines["eu"].add(Answer(status=429, headers={"Retry-After": value}, times=None))
        await push(site.primary.url, _TEAM, "v1", image)
        await eventually(lambda: refused.acted, what="it was refused")

        def due() -> float:
            return min((row["due_at"] or 0.0 for row in _rows(site)), default=0.0) - time.time()

        await eventually(lambda: due() > 100, what="it is due after the pause")
        assert due() < 15 * 60 + 60, "however long a registry wishes"
        assert await tag_digest(site.url("eu"), _TEAM, "v1") is None


async def test_f40_a_region_that_was_down_for_six_hours_catches_up(tmp_path: Path) -> None:
    """The clock of the daemon leaps, as if the time had passed; lag is what an observer would compute."""
    ahead = tmp_path / "ahead"
    environ = clock(ahead)
    images = [make_image(f"while away {number}", (50_000,)) for number in range(12)]
    async with run_site(tmp_path, proxied=("eu",), program=_ALTERED, environ=environ) as site:
        line = site.lines["eu"]
        await line.stop()
        await push(site.primary.url, _TEAM, "v0", images[0])
        await site.arrived(_TEAM, "v0", images[0].digest, on=("us",))

        def lag(hours: float) -> float:
            name = "replicator_replica_synced_through_timestamp_seconds"
            return time.time() + hours * _HOUR - site.daemon.metric(name, replica="eu")

        for hours in (2.0, 4.0, 6.0):
            leap(ahead, hours * _HOUR)
            assert hours * _HOUR <= lag(hours) < hours * _HOUR + 300, "it grows as the time does"
        for number, image in enumerate(images[1:], 1):
            await push(site.primary.url, _TEAM, f"v{number}", image)
        await site.arrived(_TEAM, "v11", images[11].digest, on=("us",))
        before = len(line.requests)
        await line.start()
        for number, image in enumerate(images):
            await site.arrived(_TEAM, f"v{number}", image.digest, within=60)
        await eventually(lambda: _owed(site) == 0, within=30, what="nothing is owed")
        assert len(line.requests) - before < 20 * len(images), "no herd"
        assert lag(6.0) < 300


async def test_f41_a_replica_whose_content_was_collected_gets_it_again(tmp_path: Path) -> None:
    """The daemon believes the layers to be there; a refused manifest makes it look at each."""
    first = make_image("kept", (300_000, 4_000))
    second = make_image("next", (first.layers[0], 5_000))
    async with run_site(tmp_path, replicas=("eu",)) as site:
        await push(site.primary.url, _TEAM, "v1", first)
        await site.arrived(_TEAM, "v1", first.digest)
        await eventually(lambda: _owed(site) == 0, what="nothing is owed")
        eu = site.replicas["eu"]
        await eu.stop()
        shutil.rmtree(eu.root / "docker")
        await eu.start()
        await push(site.primary.url, _TEAM, "v2", second)
        await site.arrived(_TEAM, "v2", second.digest, within=20)
        await fetch_closure(site.url("eu"), _TEAM, "v2", deep=True)


async def test_f41_a_replica_that_is_read_only_or_full_is_waited_for(tmp_path: Path) -> None:
    first, second = make_image("read-only"), make_image("quota")
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",)) as site:
        eu = site.replicas["eu"]
        assert isinstance(eu, DockerRegistry)
        await eu.stop()
        eu.options["read_only"] = True
        await eu.start()
        await push(site.primary.url, _TEAM, "v1", first)
        failed = ("reference_failed", "reference_parked")

        def failures() -> int:
            return sum(len(site.daemon.events(name)) for name in failed)

        await eventually(failures, what="it is refused")
        await eu.stop()
        eu.options["read_only"] = False
        await eu.start()
        await _retried(site, "v1", first.digest)
        body = json.dumps({"errors": [{"code": "DENIED", "message": "quota exceeded"}]}).encode()
        full = Answer(method="POST", status=403, headers={"Content-Type": "application/json"}, body=body, times=None)
        with site.lines["eu"].during(full):
            await push(site.primary.url, _TEAM, "v2", second)
            parked = await eventually(
                lambda: [line for line in site.daemon.events("reference_parked") if line["reference"] == "v2"],
                what="what will not mend itself is parked, with the word of the registry",
            )
            assert "quota exceeded" in str(parked[0]["error"]) or "DENIED" in str(parked[0]["error"])
        await _retried(site, "v2", second.digest)


async def _retried(site: Site, tag: str, digest: Any) -> None:
    """Post the event again, as an operator would retry, and wait for the tag."""
    assert await post_push(site.hook_url, _TEAM, tag, digest) == 202
    await site.arrived(_TEAM, tag, digest, within=20)
    await fetch_closure(site.url("eu"), _TEAM, tag, deep=True)
