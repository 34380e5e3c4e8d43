"""Byte counters grow while a blob is on its way, whichever end is slow, not when it has arrived."""

from itertools import pairwise
from pathlib import Path

import pytest

from tests.integration.site import run_site
from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.images import push, tag_digest

MIB = 1024 * 1024
IMAGE = make_image("slow", [24 * MIB])
RATE = 2.0 * MIB
"""Bytes per second until enough was seen: the blob takes 12 s, and is far more than sockets hold."""
ENOUGH = 4


@pytest.mark.parametrize("slow", ["primary", "eu"])
async def test_bytes_are_counted_as_they_are_read_and_sent(tmp_path: Path, slow: str) -> None:
    (layer,) = IMAGE.layers

    def partly(counts: tuple[float, ...]) -> int:
        """Return how many different parts of the layer were counted."""
        return len({count for count in counts if 0 < count < layer.size})

    readings: list[tuple[float, float]] = []
    async with run_site(tmp_path, replicas=("eu",), proxied=[slow]) as site:
        link = site.lines[slow].link
        link.rate_down = link.rate_up = RATE
        await push(site.primary.url, "team/slow", "v1", IMAGE)

        async def read_until_it_is_there() -> bool:
            page = site.daemon.metrics()
            read = page.value("replicator_source_read_bytes_total", source="primary")
            sent = page.value("replicator_copied_bytes_total", replica="eu")
            if page.value("replicator_inflight_transfers", replica="eu"):
                readings.append((read, sent))
            if min(map(partly, zip(*readings, strict=True)), default=0) >= ENOUGH:
                link.rate_down = link.rate_up = None
            done = page.value("replicator_updates_completed_total", replica="eu", result="copied")
            return bool(done)

        await eventually(read_until_it_is_there, within=30, what="the image is copied")
        assert await tag_digest(site.url("eu"), "team/slow", "v1") == IMAGE.digest
        whole = layer.size + IMAGE.config.size
        assert site.daemon.metric("replicator_source_read_bytes_total", source="primary") == whole
        assert site.daemon.metric("replicator_copied_bytes_total", replica="eu") == whole
    for counts in zip(*readings, strict=True):
        assert all(earlier <= later for earlier, later in pairwise(counts))
        assert partly(counts) >= ENOUGH, counts
