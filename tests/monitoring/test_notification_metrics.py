"""What a Distribution tells of the events that wait in it, and that the alert about them is about that."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.images import push
from tests.support.ports import Port
from tests.support.registries import Notification, run_distribution3, run_registry
from tests.support.sink import Sink, run_sink

_PENDING = "registry_notifications_pending_total"
_EVENTS = "registry_notifications_events_total"
_STATUSES = "registry_notifications_status_total"


@asynccontextmanager
async def refusing_sink() -> AsyncIterator[tuple[Sink, Notification, str]]:
    """Yield a sink that answers 503, the endpoint for it, and an address for a debug listener."""
    port = Port()
    try:
        async with run_sink() as sink:
            sink.status = 503
            yield sink, Notification(url=f"{sink.url}/hook", name="replicator"), f"127.0.0.1:{port.number}"
    finally:
        port.release()


async def fetched(address: str, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
        assert answer.status == 200
        return await answer.text()


async def samples(address: str) -> dict[tuple[str, str], float]:
    """Return the notification metrics of a debug listener, by name and by `type` or `code`."""
    return {
        (sample.name, sample.labels.get("type", sample.labels.get("code", ""))): sample.value
        for family in text_string_to_metric_families(await fetched(address, "/metrics"))
        for sample in family.samples
        if sample.labels.get("endpoint") == "replicator"
    }


async def test_distribution_3_tells_prometheus_what_waits_what_failed_and_what_arrived(
    tmp_path: Path, repository: str
) -> None:
    async with (
        refusing_sink() as (sink, notification, debug),
        run_distribution3(tmp_path, notifications=[notification], debug=debug) as registry,
    ):
        await push(registry.url, repository, "1", make_image("waits", [100]))

        async def refused() -> bool:
            return (await samples(debug)).get((_EVENTS, "Failures"), 0) > 0

        await eventually(refused, what="a refusal is counted")
        stuck = await samples(debug)
        assert stuck[_PENDING, ""] > 0
        assert stuck[_STATUSES, "503 Service Unavailable"] > 0
        assert (_EVENTS, "Successes") not in stuck

        sink.status = 202

        async def delivered() -> bool:
            return (await samples(debug))[_PENDING, ""] == 0

        await eventually(delivered, what="nothing waits any more")
        assert (await samples(debug))[_EVENTS, "Successes"] > 0


async def test_distribution_2_has_these_numbers_beside_its_metrics_only(tmp_path: Path, repository: str) -> None:
    async with (
        refusing_sink() as (_, notification, debug),
        run_registry(tmp_path, notifications=[notification], debug=debug) as registry,
    ):
        await push(registry.url, repository, "1", make_image("waits", [100]))
        assert "registry_http_requests_total" in await fetched(debug, "/metrics")
        assert "notifications" not in await fetched(debug, "/metrics")

        async def waits() -> bool:
            document = json.loads(await fetched(debug, "/debug/vars"))
            (endpoint,) = document["registry"]["notifications"]["endpoints"]
            assert endpoint["name"] == "replicator"
            return bool(endpoint["Metrics"]["Pending"] > 0)

        await eventually(waits, what="an event waits: it is put in line a moment after the push was answered")
