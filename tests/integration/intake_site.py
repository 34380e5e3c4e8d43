"""The receiver with a real store behind it, on a port of its own, and deliveries to it byte by byte."""

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from replicator.clock import SystemClock
from replicator.intake.deliveries import Means
from replicator.intake.doors import open_doors
from replicator.intake.listener import listening
from replicator.intake.ports import IntentSink
from replicator.intake.receiver import build_receiver
from replicator.observability.logs import configure_logs
from replicator.observability.metrics import Metrics, Scope
from replicator.routing import Router
from replicator.settings.registries import PrimarySettings, ReplicaSettings
from replicator.settings.schema import Endpoint, Log, Rule, Settings, Webhooks
from replicator.store.sqlite import SqliteStore

DIGEST = "sha256:" + "5e" * 32


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """A receiver that runs, and what can be asked of it."""

    port: int
    store: SqliteStore
    metrics: Metrics
    log: io.StringIO = field(default_factory=io.StringIO)
    refused: list[float] = field(default_factory=list)

    async def send(self, body: bytes, path: str = "/open", *, method: str = "POST", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = {"Host": "hooks.test", "Content-Length": str(len(body)), "Connection": "close", **named}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return await self.talk(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)

    async def talk(self, raw: bytes) -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(raw)
            return await answer_from(reader)
        finally:
            writer.close()
            await writer.wait_closed()

    def count(self, name: str, **labels: str) -> float:
        page = self.metrics.exposition("")[0].decode()
        families = text_string_to_metric_families(page)
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def events(self, endpoint: str = "open") -> dict[str, int]:
        page = self.metrics.exposition("")[0].decode().splitlines()
        # The parser takes its time with the whole page, and tests ask again and again.
        lines = "\n".join(line for line in page if "replicator_webhook_events" in line)
        samples = [sample for family in text_string_to_metric_families(lines) for sample in family.samples]
        return {
            sample.labels["result"]: int(sample.value)
            for sample in samples
            if sample.labels.get("endpoint") == endpoint and sample.value
        }

    async def owed(self) -> list[str]:
        return sorted(str(row.key) for row in await self.store.rows(limit=10_000) if row.owed)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


async def answer_from(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split(" ")[1]), headers, await reader.readexactly(int(headers.get("content-length", 0))))


def push(
    tag: str | None = "v1", digest: str | None = DIGEST, repository: str = "team/app", **more: Any
) -> dict[str, Any]:
    target = {"repository": repository, "tag": tag, "digest": digest}
    return {"id": "e-1", "action": "push", "target": target, **more}


def body_of(*events: Any) -> bytes:
    return json.dumps({"events": list(events)}).encode()


@asynccontextmanager
async def running(
    tmp_path: Path,
    doors: Sequence[Endpoint],
    *,
    sink: Callable[[SqliteStore], IntentSink] = lambda store: store,
    body_seconds: float = 5.0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Running]:
    """Serve `doors`; what they take for team/** is owed to the replicas eu and us."""
    clock = SystemClock()
    settings = Settings(
        version=1,
        primary=PrimarySettings(url="https://registry.test"),
        replicas=(
            ReplicaSettings(name="eu", url="https://eu.test"),
            ReplicaSettings(name="us", url="https://us.test"),
        ),
        rules=(Rule(repositories=("team/**",)),),
        webhooks=Webhooks(endpoints=tuple(doors)),
    )
    metrics = Metrics(Scope.of(settings, version="0"), clock=clock)
    log = io.StringIO()
    configure_logs(Log(level="debug", format="json"), log, clock=clock)
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(tmp_path / "state" / "replicator.db", clock=clock, observer=metrics)
        stack.push_async_callback(store.close)
        refused: list[float] = []
        means = Means(
            sink=sink(store),
            router=Router(settings),
            metrics=metrics,
            clock=clock,
            refused=lambda: refused.append(clock.now()),
        )
        opened = open_doors(doors, means)
        application = build_receiver(lambda: opened, clock=clock, body_seconds=body_seconds)
        port = await stack.enter_async_context(listening(application, "127.0.0.1", 0, tls=tls, grace=5.0))
        yield Running(port, store, metrics, log, refused)
