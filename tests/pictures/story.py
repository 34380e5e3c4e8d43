"""What happens while Prometheus watches: pushes all the time, and a replica that is slow, then away, then back."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from tests.integration.site import Site, run_site
from tests.pictures.catalogue import CUT_OFF, STEADY
from tests.pictures.chart import Span
from tests.support.content import Image, make_blob, make_image
from tests.support.images import push
from tests.support.prometheus import Prometheus, run_prometheus

QUIET, GOOD, SLOW, AWAY, BACK = 20.0, 45.0, 30.0, 50.0, 45.0
"""Seconds: nothing happens, at both ends; pushes while all is well, the line is slow, away, and back again."""
PACE = 1.25
"""Seconds from one push to the next."""
OBJECTIVE = "30s"
ROUND_TRIP = 0.02
RATE, CRAWL = 300_000.0, 8_000.0
"""Bytes per second of each connection: of a good line, and while the line is slow."""

_KIB = 1024
_TEAMS = ("shop/cart", "shop/search", "shop/mail")
_BASES = tuple(make_blob(f"base {number}", 1500 * _KIB) for number in range(2))


@dataclass(frozen=True, slots=True)
class Told:
    """A story that is over: from `start` to `end` (Unix seconds), and what was so meanwhile."""

    start: float
    end: float
    spans: tuple[Span, ...]


@asynccontextmanager
async def watched_site(folder: Path) -> AsyncIterator[tuple[Site, Prometheus]]:
    """Run a primary, two replicas with a line to each, the daemon, and a Prometheus that scrapes it often."""
    async with run_site(
        folder,
        replicas=(CUT_OFF, STEADY),
        proxied=(CUT_OFF, STEADY),
        sections={"objective": {"lag": OBJECTIVE}},
    ) as site:
        for line in site.lines.values():
            line.link.latency, line.link.rate_up = ROUND_TRIP, RATE
        targets = {"replicator": site.daemon.admin_url.removeprefix("http://")}
        async with run_prometheus(folder, targets, interval="2s") as prometheus:
            await prometheus.scraped()
            yield site, prometheus


async def tell(site: Site, prometheus: Prometheus) -> Told:
    """Let it happen, in three and a half minutes.

    Fails unless both replicas have everything in the end, and when a scrape was missed: curves would have holes.
    """
    line = site.lines[CUT_OFF]
    start = time.time()
    await anyio.sleep(QUIET)
    async with anyio.create_task_group() as group:
        group.start_soon(_push_on, site.primary.url)
        await anyio.sleep(GOOD)
        slow = time.time() - start
        line.link.rate_up = CRAWL
        await anyio.sleep(SLOW)
        away = time.time() - start
        await line.stop()
        await anyio.sleep(AWAY)
        line.link.rate_up = RATE
        await line.start()
        back = time.time() - start
        await anyio.sleep(BACK)
        group.cancel_scope.cancel()
    await anyio.sleep(QUIET)
    await prometheus.scraped()
    await prometheus.until("sum(replicator_replica_pending_updates) == 0")
    since = f"[{time.time() - start:.0f}s]"
    if await prometheus.value(f"min_over_time(up{since})") < 1:
        slowest = await prometheus.value(f"max_over_time(scrape_duration_seconds{since})")
        raise AssertionError(f"the machine is too busy to draw from: a scrape was missed, after {slowest:.1f} s")
    spans = (Span(slow, away, f"{CUT_OFF}\nslow"), Span(away, back, f"{CUT_OFF}\naway"))
    return Told(start, time.time(), spans)


async def _push_on(primary: str) -> None:
    """Push until cancelled: new images of three teams, and now and then one that is there under another name."""
    begun, number = time.monotonic(), 0
    while True:
        team = _TEAMS[number % len(_TEAMS)]
        image = _image(number)
        if number % 5 == 4:
            # The same image for another audience: on the replicas its layers can be mounted.
            await push(primary, "public/release", f"v{number - 1}", _image(number - 1))
        else:
            await push(primary, team, f"v{number}", image)
        if number % 4 == 3:
            # A build that was run again: nothing new.
            await push(primary, "shop/base", "v1", make_image("base", [_BASES[0]]))
        number += 1
        await anyio.sleep(max(0.0, begun + number * PACE - time.monotonic()))


def _image(number: int) -> Image:
    sizes = (300 * _KIB, 800 * _KIB, 500 * _KIB)
    return make_image(f"image {number}", [_BASES[number % len(_BASES)], sizes[number % len(sizes)]])
