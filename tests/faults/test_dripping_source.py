"""The primary gives a layer a few bytes now and then: that image alone waits, and arrives when the line is well.

The number is that of docs/faults.md.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.events import post_push
from tests.integration.site import Site, run_site
from tests.support.eventually import eventually
from tests.support.faults import Installed, Throttle
from tests.support.images import Image, fetch_closure, make_image, push, tag_digest
from tests.support.proxy import Proxy

_TEAM = "team/app"
_MIB = 1024 * 1024
_DRIPS = make_image("drips", (_MIB, 1_000))


@dataclass(frozen=True, slots=True)
class _Scene:
    site: Site
    line: Proxy
    dripping: Installed

    async def push(self, tag: str, image: Image) -> None:
        await push(self.site.primary.url, _TEAM, tag, image)
        assert await post_push(self.site.hook_url, _TEAM, tag, image.digest) == 202

    async def others_go_on(self) -> None:
        """Push one more image, and see it arrive on both replicas while the first is on its way."""
        other = make_image("other", (_MIB, 2_000))
        await self.push("other", other)
        await self.site.arrived(_TEAM, "other", other.digest)
        for name in self.site.replicas:
            assert await tag_digest(self.site.url(name), _TEAM, "drips") is None
            assert self.site.daemon.metrics().value("replicator_replica_pending_updates", replica=name) == 1

    async def arrives(self, within: float) -> None:
        await self.site.arrived(_TEAM, "drips", _DRIPS.digest, within=within)
        for name in self.site.replicas:
            await fetch_closure(self.site.url(name), _TEAM, "drips", deep=True)


@contextlib.asynccontextmanager
async def _dripping(folder: Path) -> AsyncIterator[_Scene]:
    """Run a site of which the primary gives the layer of an image 256 bytes every four seconds."""
    async with run_site(folder, proxied=("primary",), notifies=False) as site:
        line = site.lines["primary"]
        fault = Throttle(method="GET", path=f"/blobs/{_DRIPS.layers[0].digest}", times=None, down=64)
        scene = _Scene(site, line, line.add(fault))
        await scene.push("drips", _DRIPS)
        await eventually(lambda: scene.dripping.acted, what="the layer drips")
        yield scene


async def test_f35_a_source_that_drips_one_layer_holds_nobody_else_back(tmp_path: Path) -> None:
    async with _dripping(tmp_path) as scene:
        await scene.others_go_on()
        scene.line.clear()
        await scene.line.drop_connections()
        await scene.arrives(within=20)


@pytest.mark.prove
@pytest.mark.timeout(600)
async def test_f35_a_source_that_drips_is_a_stall_after_a_minute_and_is_asked_again(tmp_path: Path) -> None:
    """Nobody cuts the line: the daemon itself gives the read up, and asks for the rest; again, if need be."""
    async with _dripping(tmp_path) as scene:
        await scene.others_go_on()
        await eventually(lambda: scene.dripping.acted >= 2, within=200, what="the read is given up")
        asked = [one for one in scene.line.requests if one.target.endswith(str(_DRIPS.layers[0].digest))]
        ranges = [one.headers.get("Range", "") for one in asked if one.method == "GET"]
        assert ranges[0] == ""
        assert ranges[1].startswith("bytes="), "it goes on where it was"
        scene.line.clear()
        # The read that has begun goes on dripping for its minute.
        await scene.arrives(within=200)
        assert not [one for one in scene.site.daemon.log_lines() if one.get("event") == "reference_failed"]
