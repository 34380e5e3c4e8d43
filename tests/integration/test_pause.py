"""Pausing a replica of a real site: by command, over a reload and a restart, with and without a daemon."""

import json
from pathlib import Path

from tests.integration.commands import command
from tests.integration.site import Site, run_site
from tests.support.content import make_image
from tests.support.images import push

IMAGE = make_image("paused", [3_000, 300])


def states(site: Site) -> dict[str, str]:
    """Return the state of each lane as the API says it."""
    return {one["name"]: one["state"] for one in json.loads(site.daemon.get("/api/v1/status"))["replicas"]}


async def test_a_paused_replica_stays_so_until_it_is_resumed(tmp_path: Path) -> None:
    async with run_site(tmp_path) as site:
        paused = await command(site, "pause", "eu")
        assert (paused.exit_code, paused.stdout) == (0, "eu is paused\n")
        assert states(site) == {"eu": "paused", "us": "running"}
        await push(site.primary.url, "team/app", "v1", IMAGE)
        await site.arrived("team/app", "v1", IMAGE.digest, on=["us"])
        await site.daemon.reload()
        assert states(site) == {"eu": "paused", "us": "running"}
        site.daemon.kill9()
        without = json.loads((await command(site, "pause", "eu", "--json")).stdout)
        assert (without["replica"], without["changed"]) == ("eu", False)
        shown = await command(site, "status")
        assert "stopped, paused" in shown.stdout
        await site.daemon.start()
        assert states(site) == {"eu": "paused", "us": "running"}
        assert site.daemon.metric("replicator_lane_state", replica="eu", state="paused") == 1
        assert site.daemon.metric("replicator_replica_pending_updates", replica="eu") == 1
        assert (await command(site, "resume", "eu")).stdout == "eu is resumed\n"
        await site.arrived("team/app", "v1", IMAGE.digest)
        assert states(site) == {"eu": "running", "us": "running"}
        wrong = await command(site, "pause", "none")
        assert (wrong.exit_code, "there are eu, us" in wrong.stderr) == (2, True)
