"""Lag as a real Prometheus sees it: idle, behind, stuck, parked, over a kill -9, caught up (reliability 1.1)."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.site import Site, run_site
from tests.support.content import Image, make_image
from tests.support.faults import Answer, Hang
from tests.support.images import push
from tests.support.prometheus import Prometheus, run_prometheus

REPO, TAG = "team/app", "v1"
UPLOADS = "/blobs/uploads/"
FIRST, SECOND, THIRD = (make_image(f"lag {n}", [200_000, 3_000]) for n in range(3))
STAMP_ERROR = 0.01
"""Prometheus keeps milliseconds, and may move the stamp of a scrape by two of them."""


def synced(replica: str) -> str:
    return f'replicator_replica_synced_through_timestamp_seconds{{replica="{replica}"}}'


@dataclass(frozen=True)
class Watched:
    """A site with the replicas `eu`, behind a line, and `us`, and the Prometheus that scrapes its daemon."""

    site: Site
    prometheus: Prometheus

    async def is_caught_up(self, replica: str) -> float:
        """Return the time up to which the replica has everything, which is that of the scrape itself."""
        called = time.time()
        found = await self.prometheus.until(f"{synced(replica)} > {called!r}", within=30)
        assert found.value <= time.time()
        (owed,) = await self.prometheus.query(f'replicator_replica_pending_updates{{replica="{replica}"}}')
        assert owed.value == 0
        return found.value

    async def lags_since(self, since: float) -> None:
        """Check that scrapes from now on find `eu` lagging by all the time since `since`, and `us` by nothing."""
        for _ in range(2):
            await self.prometheus.scraped()
            assert await self.prometheus.value(synced("eu")) == since
            assert await self.prometheus.value('replicator_replica_pending_updates{replica="eu"}') == 1
        await self.is_caught_up("us")

    async def push(self, image: Image) -> None:
        """Move the tag at the primary, which tells the daemon."""
        await push(self.site.primary.url, REPO, TAG, image)


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    async with (
        run_site(folder, proxied=["eu"], sections={"objective": {"lag": "1s"}}) as site,
        run_prometheus(
            folder, {"replicator": site.daemon.admin_url.removeprefix("http://")}, interval="200ms"
        ) as prometheus,
    ):
        yield Watched(site, prometheus)


async def test_lag_is_the_age_of_the_oldest_change_that_the_replica_lacks_whatever_happens(tmp_path: Path) -> None:
    async with watched(tmp_path) as scene:
        site, prometheus, line = scene.site, scene.prometheus, scene.site.lines["eu"]
        # Idle: nothing is owed, so every reading is as late as the scrape.
        assert await scene.is_caught_up("eu") < await scene.is_caught_up("eu")

        # Behind: the replica takes the upload and does not answer.
        line.add(Hang(path=UPLOADS, times=None))
        before = time.time()
        await scene.push(FIRST)
        after = time.time()
        found = await prometheus.until('replicator_replica_pending_updates{replica="eu"} == 1')
        since = await prometheus.value(synced("eu"))
        assert found.value == 1
        assert before - STAMP_ERROR <= since <= after
        await prometheus.until('replicator_replica_pending_bytes{replica="eu"} > 200000')
        await scene.lags_since(since)
        assert await prometheus.value('sum(replicator_replica_failing_updates{replica="eu"})') == 0

        # Stuck: each try fails. Neither tries nor a newer push to the same tag make the lag younger.
        line.clear()
        line.add(Answer(path=UPLOADS, times=None, status=503))
        line.release()
        await prometheus.until('replicator_replica_failing_updates{replica="eu",reason="5xx"} == 1')
        await prometheus.until('replicator_attempts_total{replica="eu",result="retry"} > 2')
        await scene.push(SECOND)
        await scene.lags_since(since)
        await prometheus.until('replicator_updates_deadline_missed_total{replica="eu"} == 1')

        # Parked: no try soon can help.
        line.clear()
        line.add(Answer(path=UPLOADS, times=None, status=403))
        await prometheus.until('replicator_replica_parked_updates{replica="eu"} == 1')
        await prometheus.until('replicator_attempts_total{replica="eu",result="parked"} > 0')
        await scene.lags_since(since)

        # Dead: there is no lag to tell, which is why an alert on its absence is shipped.
        site.daemon.kill9()
        await prometheus.until("up == 0")
        assert await prometheus.query(synced("eu")) == []

        # Restarted: nothing is forgotten, and what was counted as missed is not counted anew.
        await site.daemon.start()
        await scene.lags_since(since)
        assert await prometheus.value('replicator_replica_parked_updates{replica="eu"}') == 1

        # Caught up.
        line.clear()
        healed = time.time()
        await scene.push(THIRD)
        await site.arrived(REPO, TAG, THIRD.digest, within=30)
        assert await scene.is_caught_up("eu") > healed
        assert await prometheus.value('replicator_updates_deadline_missed_total{replica="eu"}') == 0
        await prometheus.until('replicator_update_lag_seconds_count{replica="eu"} == 1')
        lag = await prometheus.value('replicator_update_lag_seconds_sum{replica="eu"}')
        assert healed < since + lag < time.time()
        await _history_is_consistent(prometheus, since, healed)


async def _history_is_consistent(prometheus: Prometheus, since: float, healed: float) -> None:
    """Check every sample ever scraped: fresh, then the oldest owed change and nothing else, then fresh again."""
    (eu,) = await prometheus.query(f"{synced('eu')}[1h]")
    first = next(n for n, (_, value) in enumerate(eu.samples) if value == since)
    last = max(n for n, (_, value) in enumerate(eu.samples) if value == since)
    assert {value for _, value in eu.samples[first : last + 1]} == {since}
    assert all(0 <= stamp - value + STAMP_ERROR < 5 or value >= stamp for stamp, value in eu.samples[:first])
    assert all(value > healed for _, value in eu.samples[last + 1 :])
    assert last - first > 10
