"""One id leads from a webhook over each try to the replica, in log lines and in what Prometheus keeps of them."""

import uuid
from pathlib import Path

from tests.integration.site import Site, run_site
from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.faults import Answer
from tests.support.images import push
from tests.support.prometheus import run_prometheus

IMAGE = make_image("correlated", [3_000])


def lines_of(site: Site, delivery: str) -> list[tuple[object, ...]]:
    """Return event, replica, reference and attempt of all lines about one delivery, by replica."""
    found = [line for line in site.daemon.log_lines() if line.get("delivery") == delivery]
    lines = [tuple(line.get(name) for name in ("event", "replica", "reference", "attempt")) for line in found]
    return sorted(lines, key=lambda line: str(line[1] or ""))


async def test_every_line_of_a_change_has_the_id_that_its_sender_gave_it(tmp_path: Path) -> None:
    async with run_site(tmp_path, proxied=["eu"]) as site:
        site.lines["eu"].add(Answer(method="PUT", path="/manifests/v1", times=2, status=503))
        target = {"replicator": site.daemon.admin_url.removeprefix("http://")}
        async with run_prometheus(tmp_path, target, interval="200ms") as prometheus:
            await push(site.primary.url, "team/app", "v1", IMAGE)
            await site.arrived("team/app", "v1", IMAGE.digest)
            accepted = await eventually(
                lambda: [line for line in site.daemon.log_lines() if line.get("event") == "webhook_accepted"],
                what="the webhook is in the log",
            )
            delivery = accepted[0]["delivery"]
            assert delivery == accepted[0]["event_id"] == str(uuid.UUID(delivery))
            expected = [
                ("webhook_accepted", None, "v1", None),
                ("reference_failed", "eu", "v1", 1),
                ("reference_failed", "eu", "v1", 2),
                ("reference_replicated", "eu", "v1", 3),
                ("reference_replicated", "us", "v1", 1),
            ]
            await eventually(lambda: lines_of(site, delivery) == expected, what=f"lines of {delivery}")
            leases = [line["lease"] for line in site.daemon.log_lines() if line.get("replica") == "eu"]
            assert len(set(leases)) == 3

            await prometheus.scraped()
            for replica in ("eu", "us"):
                kept = await prometheus.exemplars(f'replicator_update_lag_seconds_bucket{{replica="{replica}"}}')
                assert [one["labels"] for one in kept] == [{"trace_id": delivery}]
            commits = await prometheus.exemplars("replicator_store_commit_duration_seconds_bucket")
            assert {"trace_id": delivery} in [one["labels"] for one in commits]
