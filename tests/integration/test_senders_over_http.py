"""Every sender's sample over real HTTP into the real store, and the handshakes that some senders want answered."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from replicator.clock import SystemClock
from replicator.intake.deliveries import Means
from replicator.intake.doors import open_doors
from replicator.intake.formats.known import FORMATS
from replicator.intake.listener import listening
from replicator.intake.receiver import build_receiver
from replicator.model import ChangeKind
from replicator.observability.logs import configure_logs
from replicator.observability.metrics import Metrics, Scope
from replicator.routing import Router
from replicator.settings.credentials import EndpointAuth
from replicator.settings.generic import GenericFormat
from replicator.settings.registries import PrimarySettings, ReplicaSettings
from replicator.settings.schema import Endpoint, Log, Settings, Webhooks
from replicator.settings.secrets import Secret
from replicator.store.sqlite import SqliteStore
from tests.support.logging_state import logging_as_before
from tests.support.webhook_samples import samples

TOKEN = "example-token"
ORIGIN = {"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Rate": "120"}


@dataclass(frozen=True)
class Receiver:
    """A receiver that runs, with an endpoint for each format."""

    url: str
    session: aiohttp.ClientSession
    store: SqliteStore
    log: io.StringIO

    async def send(
        self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, Mapping[str, str], bytes]:
        async with self.session.request(method, f"{self.url}/{path}", data=body, headers=headers) as answer:
            return answer.status, answer.headers, await answer.read()

    async def owed(self) -> list[str]:
        return sorted(str(row.key) for row in await self.store.rows(limit=100) if row.owed)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.getvalue().splitlines()]


def endpoints(tmp_path: Path) -> Iterator[Endpoint]:
    (tmp_path / "token").write_text(TOKEN)
    auth = EndpointAuth(bearer_token_file=(Secret.of_file(tmp_path / "token"),))
    for name in FORMATS:
        yield Endpoint.model_validate({"path": f"/{name}", "format": name, "auth": None})
    yield Endpoint(path="/locked", name="locked", format="eventgrid", auth=auth)
    yield Endpoint(
        path="/generic",
        name="generic",
        format="generic",
        generic=GenericFormat(repository="data.repository", tag="data.tag", digest="data.digest"),
        auth=None,
    )


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    clock, log = SystemClock(), io.StringIO()
    doors = tuple(endpoints(tmp_path))
    settings = Settings(
        version=1,
        primary=PrimarySettings(url="https://registry.test"),
        replicas=(ReplicaSettings(name="eu", url="https://eu.test"),),
        webhooks=Webhooks(endpoints=doors),
    )
    metrics = Metrics(Scope.of(settings, version="0"), clock=clock)
    async with AsyncExitStack() as stack:
        stack.enter_context(logging_as_before())
        configure_logs(Log(level="debug", format="json"), log, clock=clock)
        store = await SqliteStore.open(tmp_path / "state" / "replicator.db", clock=clock, observer=metrics)
        stack.push_async_callback(store.close)
        opened = open_doors(doors, Means(sink=store, router=Router(settings), metrics=metrics, clock=clock))
        application = build_receiver(lambda: opened, clock=clock)
        port = await stack.enter_async_context(listening(application, "127.0.0.1", 0, grace=5.0))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Receiver(f"http://127.0.0.1:{port}", session, store, log)


async def test_every_sample_is_answered_2xx_and_its_pushes_are_owed(receiver: Receiver) -> None:
    for sample in (one for one in samples().values() if one.format):
        decoded = FORMATS[sample.format].decode(sample.body, sample.headers, limit=1 << 20)
        status, headers, body = await receiver.send(sample.format, sample.body, sample.headers)
        pushes = sum(change.kind is ChangeKind.PUSH for change in decoded.changes)
        assert status == (202 if pushes else 200), sample
        assert headers["Content-Type"].startswith("application/json")
        if decoded.reply is None:
            counts = json.loads(body)
            assert counts["accepted"] + counts["coalesced"] == pushes, sample
            assert counts["unreadable"] == 0, sample
    assert "eu docker-local/team/app:1.4.2" in await receiver.owed()
    assert await receiver.store.unreadable() == ()


async def test_a_described_sender_is_understood(receiver: Receiver) -> None:
    sample = samples()["standard-webhooks-example"]
    assert (await receiver.send("generic", sample.body, sample.headers))[0] == 202
    assert await receiver.owed() == ["eu team/app:1.4.2"]


@pytest.mark.parametrize("path", ["eventgrid", "auto"])
async def test_event_grids_validation_gets_its_code_back(receiver: Receiver, path: str) -> None:
    sample = samples()["eventgrid-subscription-validation"]
    status, headers, body = await receiver.send(path, sample.body, sample.headers)
    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(body) == {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}
    assert "webhook_handshake" in receiver.events()


async def test_the_offered_url_is_never_contacted(receiver: Receiver) -> None:
    contacted: list[str] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        contacted.append((await reader.readline()).decode())
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as trap:
        port = trap.sockets[0].getsockname()[1]
        (event,) = json.loads(samples()["eventgrid-subscription-validation"].body)
        event["data"]["validationUrl"] = f"http://127.0.0.1:{port}/validate"
        body = json.dumps([event]).encode()
        assert (await receiver.send("eventgrid", body))[0] == 200
        confirmation = json.loads(samples()["sns-subscription-confirmation"].body)
        confirmation["SubscribeURL"] = confirmation["SigningCertURL"] = f"http://127.0.0.1:{port}/confirm"
        assert (await receiver.send("sns", json.dumps(confirmation).encode()))[0] == 200
        hub = json.loads(samples()["dockerhub-push"].body) | {"callback_url": f"http://127.0.0.1:{port}/hook"}
        assert (await receiver.send("dockerhub", json.dumps(hub).encode()))[0] == 202
        asking = {**ORIGIN, "WebHook-Request-Callback": f"http://127.0.0.1:{port}/callback"}
        assert (await receiver.send("eventgrid", method="OPTIONS", headers=asking))[0] == 200
    assert contacted == []


async def test_a_validation_without_the_secret_is_refused(receiver: Receiver) -> None:
    sample = samples()["eventgrid-subscription-validation"]
    status, _, body = await receiver.send("locked", sample.body, sample.headers)
    assert status == 401
    assert b"512d38b6" not in body
    status, _, body = await receiver.send(
        "locked", sample.body, {**sample.headers, "Authorization": f"Bearer {TOKEN}"}
    )
    assert (status, json.loads(body)) == (200, {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"})


@pytest.mark.parametrize("path", ["eventgrid", "auto", "locked"])
async def test_the_question_of_cloud_events_is_answered(receiver: Receiver, path: str) -> None:
    status, headers, body = await receiver.send(path, method="OPTIONS", headers=ORIGIN)
    assert (status, body) == (200, b"")
    assert headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    assert headers["WebHook-Allowed-Rate"] == "*"
    assert headers["Allow"] == "POST"
    assert "webhook_handshake" in receiver.events()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("eventgrid", {}),
        ("eventgrid", {"WebHook-Request-Origin": "evil.example"}),
        ("distribution", ORIGIN),
        ("zot", ORIGIN),
    ],
)
async def test_nobody_else_is_given_consent(receiver: Receiver, path: str, headers: dict[str, str]) -> None:
    status, answered, _ = await receiver.send(path, method="OPTIONS", headers=headers)
    assert status == 405
    assert "WebHook-Allowed-Origin" not in answered


async def test_a_header_that_is_no_text_does_not_lose_the_delivery(receiver: Receiver) -> None:
    body = samples()["gitea-package-created"].body
    head = f"POST /gitea HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(receiver.url.rpartition(":")[2]))
    writer.write(head + b"X-Gitea-Event: package\r\nX-Gitea-Delivery: \xff\xfe\r\n\r\n" + body)
    assert (await reader.readline()).split()[1] == b"202"
    writer.close()
    assert await receiver.owed() == ["eu team/app:1.4.2"]
