"""How fast deliveries are acknowledged: HTTP, authentication, decoding, routing and the synced commit together.

`python -m tests.bench.bench_intake [--seconds N]` prints one line for each number of senders. Senders run in a
process of their own, each on one kept connection with one delivery in flight, as Distribution sends them.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from replicator.clock import SystemClock
from replicator.intake.deliveries import Means
from replicator.intake.doors import open_doors
from replicator.intake.listener import listening
from replicator.intake.receiver import build_receiver
from replicator.observability.logs import configure_logs
from replicator.observability.metrics import Metrics, Scope
from replicator.routing import Router
from replicator.settings.credentials import EndpointAuth
from replicator.settings.registries import PrimarySettings, ReplicaSettings
from replicator.settings.schema import Endpoint, Log, Settings, Webhooks
from replicator.settings.secrets import Secret
from replicator.store.sqlite import SqliteStore

SENDERS = (1, 8, 64)
SECRET = "bench-secret"


def delivery(sender: int, number: int) -> bytes:
    """Return one event of the size and shape that Distribution sends, a new digest each time."""
    digest = f"sha256:{sender:032x}{number:032x}"
    event = {
        "id": f"{sender:08x}-{number:08x}",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime()),
        "action": "push",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": 1108,
            "length": 1108,
            "repository": f"team{sender % 10}/app",
            "url": f"https://registry.test/v2/team{sender % 10}/app/manifests/{digest}",
            "tag": f"v{number % 1000}",
        },
        "request": {
            "id": "r",
            "addr": "192.0.2.1:40000",
            "host": "registry.test",
            "method": "PUT",
            "useragent": "x" * 90,
        },
        "actor": {"name": "ci"},
        "source": {"addr": "registry-0:5000", "instanceID": "i"},
    }
    body = json.dumps({"events": [event]}, indent=3).encode()
    head = (
        f"POST /hook HTTP/1.1\r\nHost: hooks\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send(port: int, sender: int, until: float) -> list[float]:
    """Deliver one after the other until that time and return how long each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    number = 0
    while (started := time.perf_counter()) < until:
        writer.write(delivery(sender, number))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 202 " not in head:
            raise SystemExit(f"not acknowledged: {head!r}")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        took.append(time.perf_counter() - started)
        number += 1
    writer.close()
    return took


def run_senders(port: int, senders: int, seconds: float, results: Connection) -> None:
    """Run all senders in this process."""

    async def everybody() -> list[float]:
        until = time.perf_counter() + seconds
        lists = await asyncio.gather(*(send(port, sender, until) for sender in range(senders)))
        return [each for took in lists for each in took]

    results.send(asyncio.run(everybody()))


@asynccontextmanager
async def intake(folder: Path, replicas: int) -> AsyncIterator[tuple[int, Metrics]]:
    """Run the real receiver on the real store; yields the port."""
    clock = SystemClock()
    auth = EndpointAuth(bearer_token_file=(Secret.of_text(SECRET),))
    settings = Settings(
        version=1,
        primary=PrimarySettings(url="https://registry.test"),
        replicas=tuple(ReplicaSettings(name=f"r{each}", url=f"https://r{each}.test") for each in range(replicas)),
        webhooks=Webhooks(endpoints=(Endpoint(path="/hook", name="hook", auth=auth),)),
    )
    metrics = Metrics(Scope.of(settings, version="bench"), clock=clock)
    async with AsyncExitStack() as stack:
        log = stack.enter_context(os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        configure_logs(Log(format="json"), log, clock=clock)
        store = await SqliteStore.open(folder / "replicator.db", clock=clock, observer=metrics)
        stack.push_async_callback(store.close)
        means = Means(sink=store, router=Router(settings), metrics=metrics, clock=clock)
        doors = open_doors(settings.webhooks.endpoints, means)
        application = build_receiver(lambda: doors, clock=clock)
        yield await stack.enter_async_context(listening(application, "127.0.0.1", 0)), metrics


async def measure(senders: int, seconds: float, replicas: int) -> str:
    """Return one line of figures."""
    with tempfile.TemporaryDirectory() as folder:
        async with intake(Path(folder), replicas) as (port, _):
            ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
            process = multiprocessing.get_context("spawn").Process(
                target=run_senders, args=(port, senders, seconds, theirs)
            )
            process.start()
            theirs.close()
            cpu = time.process_time()
            took = sorted(await asyncio.to_thread(ours.recv))
            cpu = time.process_time() - cpu
            await asyncio.to_thread(process.join)
    centiles = statistics.quantiles(took, n=100)
    return (
        f"{senders:3} senders, {replicas} replicas: {len(took) / seconds:7.0f} events/s, "
        f"p50 {centiles[49] * 1e3:6.2f} ms, p99 {centiles[98] * 1e3:6.2f} ms, max {took[-1] * 1e3:6.1f} ms, "
        f"{cpu / len(took) * 1e6:4.0f} us of CPU an event"
    )


def main() -> None:
    """Measure each number of senders in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--replicas", type=int, default=2)
    arguments = parser.parse_args()
    for senders in SENDERS:
        print(asyncio.run(measure(senders, arguments.seconds, arguments.replicas)))


if __name__ == "__main__":
    main()
