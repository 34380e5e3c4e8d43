"""A large layer over a line that breaks, and under kill -9: bytes that the replica has are not sent again (G10)."""

from pathlib import Path

import pytest
import yaml

from tests.integration.site import Site, run_site
from tests.support.eventually import eventually
from tests.support.faults import CutRequest
from tests.support.images import fetch_closure, make_image, push
from tests.support.registries import Kind

_MIB = 1024 * 1024
_IN_FLIGHT = 10 * _MIB
"""What a cut may lose of bytes read: what sockets and the line's own buffers held, whatever the layer's size."""
_NAME = "replicator_upload_resumptions_total"


def _sent(site: Site) -> int:
    return site.lines["eu"].sent("upload")


def _read_over_one_connection(config: Path) -> None:
    """Leave no connections to split a read, as a slow machine makes the daemon try: a cut loses what came ahead."""
    whole = yaml.safe_load(config.read_text())
    whole["primary"]["max_connections"] = 2
    config.write_text(yaml.safe_dump(whole))


async def _after_cuts(
    folder: Path, size: int, kind: Kind, *, within: float, source: float | None = None
) -> tuple[float, float]:
    """Cut the upload of one layer at 10, 50 and 90 % and return the bytes sent and read, per byte of it.

    `source` is how fast the primary gives it (bytes a second): where it is the faster side, a cut also loses what
    was read ahead, up to a window of 32 MiB.
    """
    image = make_image(f"cut-{size}", (size,))
    proxied = ("eu", "primary")
    async with run_site(folder, replicas=("eu",), proxied=proxied, kinds={"eu": kind}, running=False) as site:
        site.lines["primary"].link.rate_down = source
        _read_over_one_connection(site.daemon.config)
        await site.daemon.start()
        line = site.lines["eu"]
        line.add(CutRequest(method="PUT", path=image.layers[0].digest.encoded, after=size // 10))
        for nth, share in ((3, 0.4), (4, 0.4)):
            # The first two PATCHes prove that the registry resumes.
            line.add(CutRequest(method="PATCH", path="uploads", after=int(size * share), nth=nth))
        await push(site.primary.url, "team/big", "v1", image)
        await site.arrived("team/big", "v1", image.digest, within=within)
        await fetch_closure(site.url("eu"), "team/big", "v1", deep=True)
        metrics = site.daemon.metrics()
        assert metrics.value(_NAME, replica="eu", result="restarted") == 0
        assert metrics.value(_NAME, replica="eu", result="resumed") == 3
        read = metrics.value("replicator_source_read_bytes_total", source="primary")
        return _sent(site) / size, read / size


async def _after_kill9(folder: Path, size: int, kind: Kind, *, rate: float, within: float) -> float:
    """Kill the daemon at 10, 50 and 90 % of one layer and return the bytes sent, per byte of it."""
    image = make_image(f"killed-{size}", (size,))
    async with run_site(folder, replicas=("eu",), proxied=("eu",), kinds={"eu": kind}) as site:
        site.lines["eu"].link.rate_up = rate
        await push(site.primary.url, "team/big", "v1", image)
        for share in (0.1, 0.5, 0.9):

            def came_so_far(share: float = share) -> bool:
                return _sent(site) > share * size

            await eventually(came_so_far, within=within, what=f"{share:.0%} sent")
            site.daemon.kill9()
            await site.daemon.start()
        await site.arrived("team/big", "v1", image.digest, within=within)
        await fetch_closure(site.url("eu"), "team/big", "v1", deep=True)
        assert site.daemon.metrics().value(_NAME, replica="eu", result="restarted") == 0
        assert site.daemon.metrics().value(_NAME, replica="eu", result="resumed") == 1
        return _sent(site) / size


async def test_a_layer_that_is_cut_three_times_goes_on(tmp_path: Path) -> None:
    size = 96 * _MIB
    sent, read = await _after_cuts(tmp_path, size, "distribution3", within=60, source=24.0 * _MIB)
    assert sent <= 1.05
    assert read * size <= size + 3 * _IN_FLIGHT


async def test_after_kill9_the_upload_goes_on(tmp_path: Path) -> None:
    size = 96 * _MIB
    assert await _after_kill9(tmp_path, size, "distribution3", rate=48 * _MIB, within=60) <= 1.05


async def test_where_cut_uploads_are_lost_the_blob_starts_again_and_is_read_once_more(tmp_path: Path) -> None:
    size = 64 * _MIB
    image = make_image("lost", (size,))
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",)) as site:
        layer = image.layers[0].digest.encoded
        site.lines["eu"].add(CutRequest(method="PUT", path=layer, after=size // 2))
        await push(site.primary.url, "team/big", "v1", image)
        await site.arrived("team/big", "v1", image.digest, within=60)
        await fetch_closure(site.url("eu"), "team/big", "v1", deep=True)
        metrics = site.daemon.metrics()
        assert metrics.value(_NAME, replica="eu", result="restarted") == 1
        assert metrics.value("replicator_attempts_total", replica="eu", result="retry") == 0
        read = metrics.value("replicator_source_read_bytes_total", source="primary")
        assert read <= 2 * sum(blob.size for blob in image.blobs())


@pytest.mark.prove
@pytest.mark.timeout(900)
async def test_a_gibibyte_that_is_cut_or_killed_is_sent_once(tmp_path: Path) -> None:
    size = 1024 * _MIB
    sent, read = await _after_cuts(tmp_path, size, "distribution3", within=300)
    killed = await _after_kill9(tmp_path, size, "distribution3", rate=200 * _MIB, within=300)
    print(f"1 GiB: cut at 10, 50, 90 %: sent {sent:.4f} x, read {read:.4f} x; kill -9 there: {killed:.4f} x")
    assert sent <= 1.05
    assert killed <= 1.05
