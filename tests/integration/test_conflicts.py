"""Somebody pushes to a replica: on real registries it is overwritten and counted, or kept until he is done."""

from pathlib import Path
from typing import Any

from tests.integration.commands import command
from tests.integration.site import Site, run_site
from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.images import push, tag_digest

OLD, NEW, FOREIGN = make_image("old"), make_image("new"), make_image("foreign")
RULES: list[dict[str, Any]] = [{"replicas": ["eu"], "conflicts": "keep"}, {"replicas": ["us"]}]


def conflicts(site: Site, replica: str) -> float:
    return site.daemon.metric("replicator_conflicts_total", replica=replica)


async def test_a_foreign_tag_is_kept_here_and_overwritten_there(tmp_path: Path) -> None:
    async with run_site(tmp_path, sections={"rules": RULES}) as site:
        await push(site.primary.url, "team/app", "v1", OLD)
        await site.arrived("team/app", "v1", OLD.digest, within=30)
        await site.settled()
        for replica in ("eu", "us"):
            await push(site.url(replica), "team/app", "v1", FOREIGN)
        await push(site.primary.url, "team/app", "v1", NEW)
        await site.arrived("team/app", "v1", NEW.digest, within=30, on=["us"])
        await eventually(lambda: conflicts(site, "us") == 1, what="the overwritten one is counted")
        await eventually(
            lambda: site.daemon.metric("replicator_replica_parked_updates", replica="eu") == 1,
            within=20,
            what="the kept one is parked",
        )
        assert await tag_digest(site.url("eu"), "team/app", "v1") == FOREIGN.digest
        assert (conflicts(site, "eu"), conflicts(site, "us")) == (1, 1)
        assert site.daemon.metric("replicator_replica_failing_updates", replica="eu", reason="conflict") == 1
        await push(site.url("eu"), "team/app", "v1", NEW)  # whoever pushed there makes it equal
        assert (await command(site, "retry", "team/app:v1")).exit_code == 0
        await eventually(
            lambda: site.daemon.metric("replicator_replica_pending_updates", replica="eu") == 0,
            within=20,
            what="it is settled",
        )
        assert conflicts(site, "eu") == 1
