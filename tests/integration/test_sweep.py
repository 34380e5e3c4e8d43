"""What no webhook told is found by comparing, and copied; what nobody needs is not asked for."""

from pathlib import Path

from tests.integration.site import Site, run_site
from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.images import push

OFTEN = {"sweep": {"every": "1s", "full_every": "2s"}}
TAGS_ONLY = {"sweep": {"every": "1s", "full_every": "1h"}}


def found(site: Site, kind: str, replica: str = "eu") -> float:
    return site.daemon.metric("replicator_reconcile_differences_total", replica=replica, kind=kind)


async def swept(site: Site, *, full: bool = False) -> None:
    """Return when everything was compared at a time later than now."""
    name = "replicator_source_verified_timestamp_seconds" if full else "replicator_source_listed_timestamp_seconds"
    before = site.daemon.metric(name)
    await eventually(lambda: site.daemon.metric(name) > before, within=20, what="all was compared once more")


async def test_what_was_there_before_is_filled_and_is_no_lag(tmp_path: Path) -> None:
    images = {name: make_image(name) for name in ("one", "two", "three")}
    async with run_site(tmp_path, running=False, notifies=False, sections=TAGS_ONLY) as site:
        for name, image in images.items():
            await push(site.primary.url, f"team/{name}", "v1", image)
        await site.daemon.start()
        for name, image in images.items():
            await site.arrived(f"team/{name}", "v1", image.digest, within=30)
        await eventually(
            lambda: site.daemon.metric("replicator_lane_state", replica="eu", state="running") == 1,
            within=20,
            what="nothing is left to fill",
        )
        assert (found(site, "backfill"), found(site, "missing"), found(site, "stale")) == (3, 0, 0)
        metrics = site.daemon.metrics()
        assert metrics.value("replicator_update_lag_seconds_count") == 0, "what was there before is no lag"
        assert metrics.value("replicator_sweep_requests_total", op="manifest_stat") == 0


async def test_a_push_of_which_the_webhook_was_lost_is_found(tmp_path: Path) -> None:
    first, moved, other = make_image("first"), make_image("moved"), make_image("other")
    async with run_site(tmp_path, notifies=False, sections=OFTEN) as site:
        await push(site.primary.url, "team/app", "v1", first)
        await site.arrived("team/app", "v1", first.digest, within=30)
        await swept(site)
        await push(site.primary.url, "team/app", "v2", other)
        await site.arrived("team/app", "v2", other.digest, within=30)
        await eventually(lambda: found(site, "missing") == 1, what="a tag that no webhook told of is counted")
        await push(site.primary.url, "team/app", "v1", moved)
        await site.arrived("team/app", "v1", moved.digest, within=30)
        await eventually(lambda: found(site, "stale") == 1, what="a tag that moved untold is counted")
        assert found(site, "backfill") == 1
