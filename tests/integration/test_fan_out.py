"""One read of the primary feeds every replica that keeps up; one that does not holds nobody back (G6, G7)."""

import time
from pathlib import Path

from tests.integration.site import run_site
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, make_image, push

_MIB = 1024 * 1024
_FOUR = ("eu", "us", "ap", "sa")


async def test_four_replicas_due_together_read_the_primary_once(tmp_path: Path) -> None:
    """All four lines have the same rate: who keeps up is not left to how two cores are shared out."""
    image = make_image("wide", (24 * _MIB, 9 * _MIB, 100_000))
    async with run_site(tmp_path, replicas=_FOUR, proxied=_FOUR, running=False) as site:
        for line in site.lines.values():
            line.link.rate_up = 12.0 * _MIB
        await push(site.primary.url, "team/app", "v1", image)
        await site.daemon.start()
        await site.arrived("team/app", "v1", image.digest, within=60)
        total = sum(blob.size for blob in image.blobs())
        read = site.daemon.metrics().value("replicator_source_read_bytes_total", source="primary")
        assert total <= read <= 1.02 * total
        for name in _FOUR:
            await fetch_closure(site.url(name), "team/app", "v1", deep=True)


async def test_a_throttled_replica_leaves_the_shared_read_and_arrives_by_itself(tmp_path: Path) -> None:
    """250 kB/s take minutes for this image; the others do not notice, and what it needs alone is read once more."""
    image = make_image("throttled", (40 * _MIB,))
    quick = ("eu", "us", "ap")
    async with run_site(tmp_path, replicas=(*quick, "slow"), proxied=("slow",), running=False) as site:
        line = site.lines["slow"]
        line.link.rate_up = 250_000.0
        await push(site.primary.url, "team/app", "v1", image)
        await site.daemon.start()
        await site.arrived("team/app", "v1", image.digest, within=30, on=quick)
        assert line.sent("upload") < image.layers[0].size / 2, "the slow replica is still at it"
        line.link.rate_up = None
        await site.arrived("team/app", "v1", image.digest, within=60, on=("slow",))
        read = site.daemon.metrics().value("replicator_source_read_bytes_total", source="primary")
        assert read <= 2.02 * image.layers[0].size
        await fetch_closure(site.url("slow"), "team/app", "v1", deep=True)


async def test_f36_a_stopped_and_a_silent_replica_hold_nobody_back_and_catch_up_alone(tmp_path: Path) -> None:
    async with run_site(tmp_path, replicas=("eu", "us", "stopped", "silent"), proxied=("silent",)) as site:
        stopped, hole = site.replicas["stopped"], site.lines["silent"]
        first = make_image("first")
        await push(site.primary.url, "team/app", "v1", first)
        await site.arrived("team/app", "v1", first.digest)
        await stopped.stop()
        hole.link.black_hole = True
        await hole.drop_connections()
        began = time.time()
        superseded = make_image("superseded", (700_000,))
        last = make_image("last", (600_000,))
        for image in (superseded, last):
            await push(site.primary.url, "team/app", "v1", image)
            await site.arrived("team/app", "v1", image.digest, within=20, on=("eu", "us"))

        def lags() -> dict[str, float]:
            now = time.time()  # before it is read, which takes its time on a busy machine
            metrics = site.daemon.metrics()
            return {
                name: now - metrics.value("replicator_replica_synced_through_timestamp_seconds", replica=name)
                for name in ("eu", "us", "stopped", "silent")
            }

        await eventually(lambda: min(lags()["stopped"], lags()["silent"]) >= 2, what="the lag of both grows")
        grown = lags()
        assert grown["stopped"] <= time.time() - began + 1
        await eventually(lambda: max(lags()["eu"], lags()["us"]) < 1, what="the others have no lag")
        assert min(lags()["stopped"], lags()["silent"]) >= 2

        await stopped.start()
        hole.link.black_hole = False
        await hole.drop_connections()
        await site.arrived("team/app", "v1", last.digest, within=60)
        for name in ("stopped", "silent"):
            sent = site.daemon.metrics().value("replicator_copied_bytes_total", replica=name)
            both = sum(blob.size for image in (first, last) for blob in image.blobs())
            assert sent < both + superseded.layers[0].size, "a superseded image is not sent"
        await eventually(lambda: max(lags().values()) < 1, what="no lag is left")
