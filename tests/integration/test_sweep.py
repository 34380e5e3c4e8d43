"""What no webhook told is found by comparing, and copied; what nobody needs is not asked for."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.site import Site, run_site
from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.faults import Answer, Installed
from tests.support.images import push, tag_digest
from tests.support.registries import Kind

OFTEN = {"sweep": {"every": "1s", "full_every": "2s"}}
TAGS_ONLY = {"sweep": {"every": "1s", "full_every": "1h"}}


def found(site: Site, kind: str, replica: str = "eu") -> float:
    return site.daemon.metric("replicator_reconcile_differences_total", replica=replica, kind=kind)


async def swept(site: Site, *, full: bool = False) -> None:
    """Return when everything was compared at a time later than now."""
    name = "replicator_source_verified_timestamp_seconds" if full else "replicator_source_listed_timestamp_seconds"
    before = site.daemon.metric(name)
    await eventually(lambda: site.daemon.metric(name) > before, within=20, what="all was compared once more")


async def met_by_a_sweep(met: Installed) -> None:
    await eventually(lambda: met.acted > 0, within=30, what=f"{met.fault} is met")


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


async def test_f19_a_push_of_which_the_webhook_was_lost_is_found(tmp_path: Path) -> None:
    first, moved, other = make_image("first"), make_image("moved"), make_image("other")
    async with run_site(tmp_path, running=False, notifies=False, sections=OFTEN) as site:
        # Before the start: a sweep that met the repository between its first blob and its tag would miss the tag.
        await push(site.primary.url, "team/app", "v1", first)
        await site.daemon.start()
        await site.arrived("team/app", "v1", first.digest, within=30)
        await swept(site)
        await push(site.primary.url, "team/app", "v2", other)
        await site.arrived("team/app", "v2", other.digest, within=30)
        await eventually(lambda: found(site, "missing") == 1, what="a tag that no webhook told of is counted")
        await push(site.primary.url, "team/app", "v1", moved)
        await site.arrived("team/app", "v1", moved.digest, within=30)
        await eventually(lambda: found(site, "stale") == 1, what="a tag that moved untold is counted")
        assert found(site, "backfill") == 1


async def test_a_new_replica_and_a_wider_rule_are_filled(tmp_path: Path) -> None:
    kept, scratch = make_image("kept"), make_image("scratch")
    rules: list[dict[str, Any]] = [{"repositories": ["team/**"], "tags": ["v*"]}]
    async with run_site(tmp_path, running=False, notifies=False, sections={**TAGS_ONLY, "rules": rules}) as site:
        await push(site.primary.url, "team/app", "v1", kept)
        await push(site.primary.url, "team/app", "nightly", scratch)
        both = site.config["replicas"]
        site.daemon.write_config(site.config | {"replicas": both[:1]})
        await site.daemon.start()
        await site.arrived("team/app", "v1", kept.digest, within=30, on=["eu"])
        await swept(site)
        site.daemon.write_config(site.config)
        assert (await site.daemon.reload())["event"] == "config_reloaded"
        await site.arrived("team/app", "v1", kept.digest, within=30, on=["us"])
        assert await tag_digest(site.url("eu"), "team/app", "nightly") is None
        site.daemon.write_config(site.config | {"rules": [{"repositories": ["team/**"]}]})
        assert (await site.daemon.reload())["event"] == "config_reloaded"
        await site.arrived("team/app", "nightly", scratch.digest, within=30)
        assert (found(site, "backfill"), found(site, "missing")) == (2, 0), "no webhook was lost"


async def test_what_was_pushed_while_nothing_ran_is_found_after_the_restart(tmp_path: Path) -> None:
    """Also where the last push that a webhook told of came a moment before a kill: who was active is known by it."""
    first, second, third = make_image("first"), make_image("second"), make_image("third")
    slow = {"sweep": {"every": "1h", "full_every": "24h"}}
    async with run_site(tmp_path, sections=slow, running=False) as site:
        await push(site.primary.url, "team/app", "latest", first)
        await site.daemon.start()
        await site.arrived("team/app", "latest", first.digest, within=30)
        await eventually(
            lambda: site.daemon.metric("replicator_sweep_repositories") == 1, within=20, what="it was compared"
        )
        await push(site.primary.url, "team/app", "latest", second)
        await site.arrived("team/app", "latest", second.digest, within=30)
        await site.settled()  # what is owed still at the kill is copied by the lane, and no sweep need find it
        site.daemon.kill9()
        await site.primary.stop()
        await site.primary.start()
        await push(site.primary.url, "team/app", "latest", third)
        await site.primary.stop()  # and with it the event, which is only in its memory
        await site.primary.start()
        await site.daemon.start()
        await site.arrived("team/app", "latest", third.digest, within=30)
        assert found(site, "stale") == 1


FAULTS = [
    Answer(path="/tags/list", times=None, status=401),
    Answer(path="/tags/list", times=None, status=403),
    Answer(path="/tags/list", times=None, status=404),
    Answer(path="/tags/list", times=None, status=503),
    Answer(path="/tags/list", times=None, status=200, body=b"<html>maintenance</html>"),
    Answer(path="/tags/list", times=None, status=200, body=b'{"tags": ["v1"'),
    Answer(path="/v2/_catalog", times=None, status=200, body=b'{"repositories": []}'),
]


async def test_no_answer_that_is_not_the_whole_truth_leads_to_a_conclusion(tmp_path: Path) -> None:
    image, later = make_image("one"), make_image("later")
    async with run_site(
        tmp_path, running=False, proxied=["primary"], replicas=("eu",), notifies=False, sections=OFTEN
    ) as site:
        await push(site.primary.url, "team/app", "v1", image)  # before the start, as above: nothing is missed
        await site.daemon.start()
        await site.arrived("team/app", "v1", image.digest, within=30)
        line = site.lines["primary"]
        for fault in FAULTS:
            with line.during(fault) as met:
                await met_by_a_sweep(met)
            await swept(site)
            assert (found(site, "extra"), found(site, "stale"), found(site, "missing")) == (0, 0, 0), fault
        await push(site.primary.url, "team/app", "v2", later)
        await site.arrived("team/app", "v2", later.digest, within=30)
        assert await tag_digest(site.url("eu"), "team/app", "v1") == image.digest


@pytest.mark.parametrize("kind", ["distribution2", "oci"])
async def test_comparing_digests_tells_nobody_of_a_pull_and_asks_the_replica_nothing(
    tmp_path: Path, kind: Kind
) -> None:
    image = make_image("one")
    kinds: dict[str, Kind] = {"primary": kind}
    async with run_site(
        tmp_path, running=False, replicas=("eu",), kinds=kinds, proxied=["eu"], notifies=False, sections=OFTEN
    ) as site:
        await push(site.primary.url, "team/app", "v1", image)  # before the start, as above: no second look is due
        await site.daemon.start()
        await site.arrived("team/app", "v1", image.digest, within=30)
        await site.settled()
        before = len(site.lines["eu"].requests)
        asked = site.daemon.metric("replicator_sweep_requests_total", op="manifest_stat")
        await swept(site, full=True)
        await swept(site, full=True)  # of which one at least began after what was asked was read
        metrics = site.daemon.metrics()
        assert metrics.value("replicator_sweep_requests_total", op="manifest_stat") > asked
        if kind == "distribution2":
            answered = metrics.value(
                "replicator_http_requests_total", peer="primary", op="manifest_stat", code_class="3xx"
            )
            assert answered > 0, "304: Distribution makes no event of it"
        assert len(site.lines["eu"].requests) == before


async def test_a_tag_that_the_primary_lost_is_counted_once_and_stays(tmp_path: Path) -> None:
    image, other = make_image("one"), make_image("other")
    async with run_site(tmp_path, replicas=("eu",), kinds={"primary": "oci"}, notifies=False, sections=OFTEN) as site:
        await push(site.primary.url, "team/app", "v1", image)
        await push(site.primary.url, "team/app", "v2", other)
        for tag, one in (("v1", image), ("v2", other)):
            await site.arrived("team/app", tag, one.digest, within=30)
        async with (
            aiohttp.ClientSession() as session,
            session.delete(f"{site.primary.url}/v2/team/app/manifests/v1") as answer,
        ):
            assert answer.status == 202
        await eventually(lambda: found(site, "extra") == 1, within=20, what="it is counted")
        await swept(site)
        await swept(site)
        assert found(site, "extra") == 1
        assert await tag_digest(site.url("eu"), "team/app", "v1") == image.digest
