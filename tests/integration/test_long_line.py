"""A primary behind a line that slows each connection down: a big layer comes over several of them, once."""

from pathlib import Path

import pytest

from tests.integration.site import Site, run_site
from tests.support.eventually import eventually
from tests.support.faults import Answer, CutResponse, Fault
from tests.support.images import fetch_closure, make_image, push

_MIB = 1024 * 1024
_BLOBS = r"/blobs/sha256:"


def _ranges(site: Site) -> int:
    """Return how many parts of blobs are on their way now."""
    seen = site.lines["primary"].requests
    return sum("Range" in one.headers and not one.done for one in seen)


CUT = CutResponse(method="GET", path=_BLOBS, nth=6, times=4, after=300_000)
BUSY = Answer(method="GET", path=_BLOBS, nth=12, times=2, status=503)


@pytest.mark.parametrize("faults", [(), (CUT, BUSY)], ids=["calm", "cut"])
async def test_a_big_layer_comes_over_several_connections_where_each_is_slow(
    tmp_path: Path, faults: tuple[Fault, ...]
) -> None:
    image = make_image("long", (56 * _MIB,))
    async with run_site(tmp_path, replicas=("eu", "us"), proxied=("primary",), running=False) as site:
        line = site.lines["primary"]
        line.link.latency, line.link.rate_down = 0.04, 6.0 * _MIB
        await push(site.primary.url, "team/app", "v1", image)
        for fault in faults:
            line.add(fault)
        await site.daemon.start()
        await eventually(lambda: _ranges(site) >= 4, within=30, what="several connections are used")
        await site.arrived("team/app", "v1", image.digest, within=60)
        total = sum(blob.size for blob in image.blobs())
        read = site.daemon.metrics().value("replicator_source_read_bytes_total", source="primary")
        assert total <= read <= 1.02 * total
        for name in ("eu", "us"):
            await fetch_closure(site.url(name), "team/app", "v1", deep=True)
