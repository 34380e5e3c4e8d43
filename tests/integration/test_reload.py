"""SIGHUP: the new configuration counts as a whole or not at all, and what is under way goes on."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import anyio

from replicator.worlds import FORMER_MAX
from tests.integration.events import post_push
from tests.integration.site import Site, arrival, run_site
from tests.support.eventually import eventually
from tests.support.faults import Hang
from tests.support.images import fetch_closure, make_image, push, tag_digest
from tests.support.ports import Port
from tests.support.registries import run_registry

_MIB = 1024 * 1024
_SUCCESSFUL = "replicator_config_last_reload_successful"
_LOADED_AT = "replicator_config_last_reload_success_timestamp_seconds"


def _changed(site: Site, **sections: Any) -> None:
    site.daemon.write_config(deepcopy(site.config) | sections)


def _settled(site: Site) -> float:
    """Return the references that are equal now, by copies or because they were found there."""
    results = ("copied", "already_present")
    return sum(site.daemon.metric("replicator_updates_completed_total", result=result) for result in results)


def _ignored(site: Site) -> float:
    return site.daemon.metric("replicator_webhook_events_total", endpoint="primary", result="ignored")


def _replicas(site: Site) -> list[dict[str, Any]]:
    return [dict(one) for one in site.config["replicas"]]


async def test_a_copy_under_way_is_finished_and_a_new_rule_takes_effect(tmp_path: Path) -> None:
    slow, ruled_out = make_image("slow", (8 * _MIB,)), make_image("other")
    rules = [{"repositories": ["team/**"]}]
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",), sections={"rules": rules}) as site:
        site.lines["eu"].link.rate_up = 0.25 * _MIB  # half a minute, until the line is freed below
        await push(site.primary.url, "team/app", "v1", slow)
        await eventually(lambda: site.lines["eu"].sent("upload") > _MIB / 8, what="the layer is on its way")
        await push(site.primary.url, "other/app", "before", ruled_out)
        await eventually(lambda: _ignored(site) >= 1, what="the former rules left out what was pushed before")
        _changed(site, rules=[{"repositories": ["**"]}])
        line = await site.daemon.reload()
        assert (line["event"], line["changed"], line["added"], line["removed"]) == (
            "config_reloaded",
            ["rules"],
            [],
            [],
        )
        assert await tag_digest(site.url("eu"), "team/app", "v1") is None, "it is still under way"
        site.lines["eu"].link.rate_up = None
        await push(site.primary.url, "other/app", "after", ruled_out)
        await site.arrived("other/app", "after", ruled_out.digest)
        await site.arrived("team/app", "v1", slow.digest)
        await fetch_closure(site.url("eu"), "team/app", "v1", deep=True)
        assert await tag_digest(site.url("eu"), "other/app", "before") is None
        assert site.daemon.metric("replicator_copied_bytes_total", replica="eu") < 10 * _MIB, "sent once"
        await eventually(lambda: site.daemon.metric("replicator_leases_held") == 0, what="all leases are over")


async def test_every_push_made_while_it_reloads_arrives(tmp_path: Path) -> None:
    images = [make_image(f"image {number}") for number in range(40)]
    async with run_site(tmp_path) as site, anyio.create_task_group() as group:

        async def push_all() -> None:
            for number, image in enumerate(images):
                await push(site.primary.url, "team/app", f"v{number}", image)

        group.start_soon(push_all)
        for number in range(6):
            _changed(site, objective={"lag": f"{number + 1}m"})
            assert (await site.daemon.reload())["event"] == "config_reloaded"
        for number, image in enumerate(images):
            await site.arrived("team/app", f"v{number}", image.digest, within=20.0)
        assert site.daemon.metric("replicator_objective_lag_seconds") == 360
        # A tag is seen a moment before its copy is settled; one given back in that moment is found there by the next.
        await eventually(
            lambda: _settled(site) >= 80,
            what="all copies are counted, by whichever world made or found them",
        )
        assert site.daemon.events("reference_failed") == []


async def test_a_copy_given_back_while_its_tag_is_being_answered_is_found_there_and_counted_once(
    tmp_path: Path,
) -> None:
    """Of too many worlds with copies under way the oldest gives its own back: here between a put and its answer."""
    images = [make_image(f"image {number}") for number in range(FORMER_MAX + 1)]
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",)) as site:
        site.lines["eu"].add(Hang(method="PUT", path="/manifests/v[0-9]$", times=len(images)))
        for number, image in enumerate(images):
            assert _settled(site) == 0, "nobody told the daemon that they are there"
            await push(site.primary.url, "team/app", f"v{number}", image)
            await site.arrived("team/app", f"v{number}", image.digest)
            _changed(site, objective={"lag": f"{number + 1}m"})
            assert (await site.daemon.reload())["event"] == "config_reloaded"
        await eventually(lambda: _settled(site) == 1, what="the oldest copy is settled by the world in use")
        assert site.daemon.metric("replicator_updates_completed_total", result="already_present") == 1
        assert site.daemon.metric("replicator_leases_held") == FORMER_MAX
        assert site.daemon.events("reference_failed") == []
        await fetch_closure(site.url("eu"), "team/app", "v0", deep=True)


async def test_f42_a_bad_file_keeps_the_old_configuration_and_every_mistake_is_told(tmp_path: Path) -> None:
    image = make_image("image")
    async with run_site(tmp_path, replicas=("eu",)) as site:
        assert site.daemon.metric(_SUCCESSFUL) == 1
        loaded_at = site.daemon.metric(_LOADED_AT)
        assert loaded_at > 0
        _changed(site, retry={"first": "soon"}, objective={"lagg": "1m"}, rules=[{"replicas": ["nowhere"]}])
        line = await site.daemon.reload()
        assert line["event"] == "config_refused"
        assert [key for key in ("retry.first", "objective.lagg", "nowhere") if key not in str(line["mistakes"])] == []
        assert len(line["mistakes"]) == 3
        assert (site.daemon.metric(_SUCCESSFUL), site.daemon.metric(_LOADED_AT)) == (0, loaded_at)
        await push(site.primary.url, "team/app", "v1", image)
        await site.arrived("team/app", "v1", image.digest)
        _changed(site, objective={"lag": "1m"})
        assert (await site.daemon.reload())["event"] == "config_reloaded"
        assert site.daemon.metric(_SUCCESSFUL) == 1
        assert site.daemon.metric(_LOADED_AT) > loaded_at


async def test_a_replica_that_is_added_gets_what_is_pushed_from_then_on(tmp_path: Path) -> None:
    image = make_image("image")
    async with run_site(tmp_path, replicas=("eu",)) as site, run_registry(tmp_path, name="late") as late:
        _changed(site, replicas=[*_replicas(site), {"name": "late", "url": late.url}])
        line = await site.daemon.reload()
        assert line["added"] == ["late"]
        await push(site.primary.url, "team/app", "v1", image)
        await arrival(late.url, "team/app", "v1", image.digest)
        await site.arrived("team/app", "v1", image.digest)
        await site.settled()
        status = json.loads(site.daemon.get("/api/v1/status"))
        assert {one["name"]: one["state"] for one in status["replicas"]} == {"eu": "running", "late": "running"}
        assert site.daemon.metric("replicator_updates_completed_total", replica="late", result="copied") == 1


async def test_what_a_removed_replica_is_owed_is_kept_and_is_no_lag(tmp_path: Path) -> None:
    """Its rows are told of once, leave the metrics, and count again from their own time when it comes back."""
    image = make_image("image")
    async with run_site(tmp_path) as site:
        await site.replicas["us"].stop()
        await push(site.primary.url, "team/app", "v1", image)
        await site.arrived("team/app", "v1", image.digest, on=["eu"])
        pending = "replicator_replica_pending_updates"
        await eventually(lambda: site.daemon.metric(pending, replica="us") >= 1, what="us is owed something")
        await eventually(lambda: site.daemon.metric(pending, replica="eu") == 0, what="eu is owed nothing")
        _changed(site, replicas=[one for one in _replicas(site) if one["name"] != "us"])
        assert (await site.daemon.reload())["removed"] == ["us"]
        await eventually(lambda: site.daemon.events("replica_not_configured"), what="it is told")
        (line,) = site.daemon.events("replica_not_configured")
        assert (line["replica"], line["owed"] >= 1) == ("us", True)
        assert 'replica="us"' not in site.daemon.get("/metrics").decode()
        assert 'peer="us"' not in site.daemon.get("/metrics").decode()
        totals = json.loads(site.daemon.get("/api/v1/status"))["totals"]
        assert (totals["owed"], totals["lag_seconds"]) == (0, 0)
        await site.replicas["us"].start()
        _changed(site)
        assert (await site.daemon.reload())["added"] == ["us"]
        await site.arrived("team/app", "v1", image.digest)


async def test_a_copy_to_a_removed_replica_is_finished(tmp_path: Path) -> None:
    image = make_image("in flight", (8 * _MIB,))
    async with run_site(tmp_path, proxied=("us",)) as site:
        site.lines["us"].link.rate_up = 4.0 * _MIB
        await push(site.primary.url, "team/app", "v1", image)
        await eventually(lambda: site.lines["us"].sent("upload") > _MIB, what="the layer is on its way")
        _changed(site, replicas=[one for one in _replicas(site) if one["name"] != "us"])
        await site.daemon.reload()
        await arrival(site.url("us"), "team/app", "v1", image.digest)
        assert 'replica="us"' not in site.daemon.get("/metrics").decode()


async def test_rows_of_a_replica_that_is_gone_after_a_restart_do_not_disturb(tmp_path: Path) -> None:
    """They cross the objective like any other, and must not count for a name that metrics do not have."""
    image = make_image("image")
    async with run_site(tmp_path) as site:
        await site.replicas["us"].stop()
        await push(site.primary.url, "team/app", "v1", image)
        await site.arrived("team/app", "v1", image.digest, on=["eu"])
        _changed(site, replicas=[one for one in _replicas(site) if one["name"] != "us"], objective={"lag": "10ms"})
        await site.daemon.restart()
        await eventually(lambda: site.daemon.events("replica_not_configured"), what="it is told")
        await push(site.primary.url, "team/app", "v2", image)
        await site.arrived("team/app", "v2", image.digest, on=["eu"])
        assert site.daemon.running


async def test_addresses_and_the_store_wait_for_a_restart(tmp_path: Path) -> None:
    image, port = make_image("image"), Port()
    try:
        async with run_site(tmp_path, replicas=("eu",)) as site:
            webhooks = site.config["webhooks"] | {"listen": f"127.0.0.1:{port.number}", "untagged_hold": "2s"}
            _changed(site, webhooks=webhooks, store={"url": f"sqlite:///{tmp_path / 'elsewhere' / 'replicator.db'}"})
            assert (await site.daemon.reload())["changed"] == ["webhooks"]
            await eventually(lambda: site.daemon.events("config_needs_restart"), what="it is told")
            (line,) = site.daemon.events("config_needs_restart")
            assert line["keys"] == ["webhooks.listen", "store.url"]
            await push(site.primary.url, "team/app", "v1", image)
            await site.arrived("team/app", "v1", image.digest)
            assert not (tmp_path / "elsewhere").exists()
    finally:
        port.release()


async def test_endpoints_come_and_go(tmp_path: Path) -> None:
    image = make_image("image")
    async with run_site(tmp_path, replicas=("eu",), notifies=False) as site:
        await push(site.primary.url, "team/app", "v1", image)
        endpoint = site.config["webhooks"]["endpoints"][0] | {"path": "/webhooks/moved", "name": "moved"}
        _changed(site, webhooks=site.config["webhooks"] | {"endpoints": [endpoint]})
        await site.daemon.reload()
        assert await post_push(site.hook_url, "team/app", "v1", image.digest) == 404
        moved = site.hook_url.rpartition("/")[0] + "/moved"
        assert await post_push(moved, "team/app", "v1", image.digest) == 202
        await site.arrived("team/app", "v1", image.digest)
        assert site.daemon.metric("replicator_webhook_events_total", endpoint="moved", result="accepted") == 1
        assert 'endpoint="primary"' not in site.daemon.get("/metrics").decode()
