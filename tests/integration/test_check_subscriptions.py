"""`check` asks real servers of NATS whether events could be fetched, and says in one line what is in the way."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import trustme
import yaml
from click.testing import CliRunner
from nats.js.api import AckPolicy, ConsumerConfig

from replicator.cli.feed_probe import FeedFinding, look_at
from replicator.cli.main import main
from tests.integration.nats_site import NAME, SUBJECT, subscription
from tests.support.daemon import Daemon
from tests.support.logging_state import logging_as_before
from tests.support.nats import NatsServer, keep, publisher, run_nats
from tests.support.ports import Port
from tests.support.registries import run_registry

PASSWORD = "canary-4b1d5a7e90"


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    with logging_as_before():
        yield


def _login(tmp_path: Path, password: str = PASSWORD) -> dict[str, str]:
    (tmp_path / "password").write_text(password)
    return {"username": "hook", "password_file": str(tmp_path / "password")}


async def _refused(server: NatsServer | str, **more: Any) -> FeedFinding:
    finding = await look_at(subscription(server, **more))
    assert not finding.ok
    assert finding.advice
    assert PASSWORD not in repr(finding)
    return finding


async def test_plain_nats_is_well_and_keeps_nothing(tmp_path: Path) -> None:
    async with run_nats(tmp_path) as server:
        finding = await look_at(subscription(server))
        assert (finding.ok, finding.server, finding.stream, finding.consumer) == (True, server.host, "", "")
        assert finding.remark.startswith("no stream keeps the subject")
        assert (await look_at(subscription(server, stream=None))).remark == "", "that was chosen"


async def test_a_stream_is_found_and_nothing_is_made_or_taken(tmp_path: Path) -> None:
    async with run_nats(tmp_path, jetstream=True) as server, publisher(server) as zot:
        jetstream = await keep(zot, SUBJECT)
        await jetstream.publish(SUBJECT, b"{}")
        finding = await look_at(subscription(server))
        assert (finding.ok, finding.stream, finding.consumer) == (True, "events", "made at the start")
        assert await jetstream.consumers_info("events") == []
        mine = ConsumerConfig(durable_name="replicator", ack_policy=AckPolicy.EXPLICIT, filter_subject=SUBJECT)
        await jetstream.add_consumer("events", config=mine)
        finding = await look_at(subscription(server))
        assert (finding.ok, finding.consumer, finding.remark) == (True, "there", "")
        info = await jetstream.consumer_info("events", "replicator")
        assert (info.num_pending, info.num_ack_pending) == (1, 0)
        other = ConsumerConfig(durable_name="other", ack_policy=AckPolicy.NONE, filter_subject=SUBJECT)
        await jetstream.add_consumer("events", config=other)
        assert "is another one's" in (await _refused(server, durable="other")).problem
        missing = await _refused(server, stream="nowhere")
        assert "stream not found" in missing.problem
        assert missing.advice.startswith("make the stream")


async def test_what_the_server_refuses_is_told_with_what_to_do(tmp_path: Path) -> None:
    user = f'{{user: hook, password: {PASSWORD}, permissions: {{subscribe: "_INBOX.>"}}}}'
    async with run_nats(tmp_path, config=f"authorization {{ users: [ {user} ] }}") as server:
        stranger = await _refused(server, credentials=_login(tmp_path, "wrong"))
        assert stranger.problem.startswith("the server refuses the credentials")
        assert "under credentials:" in stranger.advice
        narrow = await _refused(server, credentials=_login(tmp_path), stream=None)
        assert narrow.problem.startswith("the server does not allow it")
        assert "rights" in narrow.advice
        plain = await _refused(server, credentials=_login(tmp_path), tls={})
        assert plain.problem == "the server does not speak TLS"
    port = Port()
    gone = await _refused(f"nats://127.0.0.1:{port.number}")
    port.release()
    assert gone.problem.startswith("cannot connect")
    assert "runs" in gone.advice


async def test_a_refusal_is_waited_for_however_late_the_server_gets_to_it() -> None:
    """It answers each ping at once, and tells of a subscription just before the answer to the first ping after it."""
    refused = b"-ERR 'Permissions Violation for Subscription to \"zot.events\"'\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        owed = b""
        writer.write(b'INFO {"server_id": "slow", "version": "2.9.0", "max_payload": 1048576, "headers": true}\r\n')
        while line := await reader.readline():
            if line.startswith(b"SUB"):
                owed = refused
            elif line.startswith(b"PING"):
                writer.write(owed + b"PONG\r\n")
                owed = b""
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        finding = await _refused(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", stream=None)
    assert finding.problem.startswith("the server does not allow it")


async def test_a_certificate_that_is_not_trusted_is_told_as_that(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    file, ca = tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(file)
    stranger.cert_pem.write_to_path(ca)
    async with run_nats(tmp_path, config=f"tls {{ cert_file: {file}, key_file: {file} }}") as server:
        finding = await _refused(f"tls://{server.host}", tls={"ca_file": str(ca)})
        assert finding.problem.startswith("the certificate is not trusted")
        assert "ca_file" in finding.advice


async def test_the_command_says_it_in_one_line_and_ends_by_it(tmp_path: Path) -> None:
    port = Port()
    async with run_registry(tmp_path, name="primary") as primary, run_nats(tmp_path) as server:
        config: dict[str, Any] = {
            "version": 1,
            "primary": {"url": primary.url},
            "replicas": [{"name": "eu", "url": primary.url, "repository_prefix": "eu/"}],
            "webhooks": {"subscriptions": [{"name": NAME, "url": server.url, "subject": SUBJECT}]},
            "store": {"url": f"sqlite:///{tmp_path / 'state' / 'replicator.db'}"},
        }
        daemon = Daemon(tmp_path, config)
        arguments = ["-c", str(daemon.config), "check"]
        told = await anyio.to_thread.run_sync(CliRunner().invoke, main, arguments)
        assert told.exit_code == 0, told.output
        assert f"subscription zot: {server.url}, {SUBJECT}, zot: ok, no stream\n" in told.output
        assert "No webhook endpoint" not in told.output
        url = config["store"]["url"]
        assert f"store: {url}: ok, SQLite, tables made at the start\n" in told.output
        gone = f"nats://127.0.0.1:{port.number}"
        config["webhooks"]["subscriptions"][0]["url"] = gone
        daemon.config.write_text(yaml.safe_dump(config))
        told = await anyio.to_thread.run_sync(CliRunner().invoke, main, [*arguments, "--json"])
        assert told.exit_code == 1
        document = json.loads(told.stdout)
        assert (document["store"]["ok"], document["store"]["url"]) == (True, url)
        (one,) = document["subscriptions"]
        assert (document["ok"], one["ok"], one["url"]) == (False, False, [gone])
    await daemon.discard()
    port.release()
