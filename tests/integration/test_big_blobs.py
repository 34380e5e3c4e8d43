"""Memory does not grow with the size of a blob (G9): what is buffered is bounded, whatever streams through."""

from pathlib import Path

import pytest

from tests.integration.site import Site, run_site
from tests.support.images import fetch_closure, make_image, push

_MIB = 1024 * 1024
_ALLOWED = 60 * _MIB


def _peak(site: Site) -> int:
    """Return the highest resident memory of the daemon since its start, bytes (VmHWM)."""
    for line in Path(f"/proc/{site.daemon.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM in /proc")


async def _copy(folder: Path, sizes: tuple[int, ...], *, replicas: tuple[str, ...], fast: bool = True) -> int:
    """Copy one image to all replicas and return by how many bytes the daemon's peak is above its idle memory."""
    image = make_image(f"big-{sizes}", sizes)
    async with run_site(folder, replicas=replicas, running=False, fast=fast) as site:
        await push(site.primary.url, "team/big", "v1", image)
        await site.daemon.start()
        idle = site.daemon.rss()
        await site.arrived("team/big", "v1", image.digest, within=900)
        peak = _peak(site)
        total = sum(blob.size for blob in image.blobs())
        read = site.daemon.metrics().value("replicator_source_read_bytes_total", source="primary")
        print(
            f"{total / _MIB:.0f} MiB to {len(replicas)}: idle {idle / _MIB:.0f} MiB, peak {peak / _MIB:.0f} MiB, "
            f"read from the primary {read / total:.3f} x"
        )
        for name in replicas:
            await fetch_closure(site.url(name), "team/big", "v1", deep=True)
    return peak - idle


async def test_a_large_layer_streams_in_bounded_memory(tmp_path: Path) -> None:
    assert await _copy(tmp_path, (384 * _MIB,), replicas=("eu", "us")) <= _ALLOWED


@pytest.mark.prove
@pytest.mark.timeout(1200)
async def test_two_gibibytes_to_four_replicas_stay_within_sixty_mebibytes(tmp_path: Path) -> None:
    assert await _copy(tmp_path, (2048 * _MIB,), replicas=("eu", "us", "ap", "sa"), fast=False) <= _ALLOWED


@pytest.mark.prove
@pytest.mark.timeout(1800)
async def test_ten_gigabytes_in_one_blob_arrive(tmp_path: Path) -> None:
    assert await _copy(tmp_path, (10_000_000_000,), replicas=("eu",), fast=False) <= _ALLOWED
