"""A replica that is down costs one row for each of its tags, however often they are pushed (G4, G9)."""

from pathlib import Path

import aiohttp
import anyio

from tests.integration.events import push_event
from tests.integration.site import HOOK_SECRET, run_site
from tests.support.images import make_image, push

_EVENTS = 10_000
_TAGS = 100
_SENDERS = 8
_GROWTH = 16 * 1024 * 1024


async def test_ten_thousand_events_of_a_hundred_tags_owe_a_hundred_rows_and_no_memory(tmp_path: Path) -> None:
    image = make_image("one")
    nowhere = {"down": "http://127.0.0.1:9"}
    async with run_site(tmp_path, replicas=(), through=nowhere, notifies=False) as site:
        await push(site.primary.url, "team/app", "t0", image)
        documents = [{"events": [push_event("team/app", f"t{n % _TAGS}", image.digest)]} for n in range(_TAGS)]
        headers = {"Authorization": f"Bearer {HOOK_SECRET}"}

        async with aiohttp.ClientSession(headers=headers) as session:

            async def send(first: int, count: int) -> None:
                for number in range(first, first + count):
                    async with session.post(site.hook_url, json=documents[number % _TAGS]) as answer:
                        assert answer.status == 202

            await send(0, 1_000)
            before = site.daemon.rss()
            each = (_EVENTS - 1_000) // _SENDERS
            async with anyio.create_task_group() as group:
                for sender in range(_SENDERS):
                    group.start_soon(send, sender * each, each)
        metrics = site.daemon.metrics()
        assert metrics.value("replicator_replica_pending_updates", replica="down") == _TAGS
        accepted = metrics.value("replicator_webhook_events_total", endpoint="primary", result="accepted")
        coalesced = metrics.value("replicator_webhook_events_total", endpoint="primary", result="coalesced")
        assert (accepted, accepted + coalesced) == (_TAGS, 1_000 + each * _SENDERS)
        assert site.daemon.rss() - before < _GROWTH
