"""The admin listener over real HTTP: probes, metrics, who may ask, status, waits and changes."""

import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from replicator.admin.client import ApiFailed, NoDaemon, open_client
from replicator.admin.openapi import DOCUMENT
from replicator.admin.server import BODY_MAX, AdminPorts, build_admin, names_of, serve_admin
from replicator.admin.status import Listing, StatusQuery
from replicator.admin.syncs import SyncRequests
from replicator.admin.verdicts import Where
from replicator.admin.wait import WaitLimits
from replicator.clock import SystemClock
from replicator.errors import Reason, RegistryError, SettingsError, StoreError
from replicator.heard import Unheeded
from replicator.model import Digest, IntentKey, Priority, Recorded, Tag
from replicator.observability.metrics import Metrics, Scope
from replicator.settings.secrets import Secret
from replicator.store.outcome import Parked
from replicator.store.sweeps import Sweeps
from replicator.sync.syncs import Syncs, Used
from tests.integration.admin_listener import Listener, listening
from tests.unit.admin.scene import APP, settings

V1 = Tag("v1")
NEW = Digest.of(b"new")
TOKEN = "right-token-canary"


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Listener]:
    """Run a listener on loopback without a token."""
    async with listening(tmp_path) as running:
        yield running


async def test_probes_say_that_it_works(listener: Listener) -> None:
    for path in ("/healthz", "/readyz"):
        began = time.monotonic()
        status, document = await listener.ask(path)
        assert (status, document["status"], document["problem"]) == (200, "ok", "")
        assert 0 <= document["store_seconds"] <= time.monotonic() - began + 0.001, "of the time that it took to ask"


async def test_not_ready_while_intake_is_closed_but_alive(listener: Listener) -> None:
    listener.open_for_webhooks = False
    assert (await listener.ask("/healthz"))[0] == 200
    status, document = await listener.ask("/readyz")
    assert (status, document["problem"]) == (503, "the webhook listener is not open")


async def test_a_dead_store_fails_both_probes(listener: Listener) -> None:
    await listener.scene.store.close()
    for path in ("/healthz", "/readyz"):
        status, document = await listener.ask(path)
        assert (status, document["status"]) == (503, "failing")
    status, document = await listener.ask("/api/v1/status")
    assert (status, document["error"]["code"]) == (503, "store_unavailable")


async def test_a_failing_replica_leaves_it_ready(listener: Listener) -> None:
    await listener.scene.event(V1, NEW)
    await listener.scene.end("eu", V1, Parked(at=4e9, reason=Reason.NETWORK, message="down"))
    assert (await listener.ask("/readyz"))[0] == 200


async def test_metrics_are_read_from_the_store_at_each_scrape(listener: Listener) -> None:
    async def page(accept: str) -> tuple[str, str]:
        async with listener.session.get(f"{listener.url}/metrics", headers={"Accept": accept}) as response:
            assert response.status == 200
            return response.headers["Content-Type"], await response.text()

    kind, text = await page("*/*")
    assert kind.startswith("text/plain")
    assert 'replicator_replica_pending_updates{replica="eu"} 0.0' in text
    await listener.scene.event(V1, NEW)
    kind, text = await page("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert 'replicator_replica_pending_updates{replica="eu"} 1.0' in text
    assert text.endswith("# EOF\n")
    await listener.scene.store.close()
    _, after = await page("*/*")
    assert 'replicator_replica_pending_updates{replica="eu"} 1.0' in after


@pytest.mark.parametrize(
    ("host", "token", "headers", "status"),
    [
        ("127.0.0.1", None, {}, 200),
        ("127.0.0.1", None, {"Host": "localhost"}, 200),
        ("127.0.0.1", None, {"Host": "rebound.example.com"}, 403),
        ("0.0.0.0", None, {}, 403),
        ("0.0.0.0", None, {"Authorization": "Bearer guess"}, 403),
        ("0.0.0.0", TOKEN, {}, 401),
        ("0.0.0.0", TOKEN, {"Authorization": "Bearer wrong"}, 401),
        ("0.0.0.0", TOKEN, {"Authorization": f"Bearer {TOKEN}"}, 200),
        ("127.0.0.1", TOKEN, {}, 401),
        ("127.0.0.1", TOKEN, {"Authorization": f"Bearer {TOKEN}", "Host": "admin.example.com"}, 200),
    ],
)
async def test_who_may_ask(
    tmp_path: Path, host: str, token: str | None, headers: dict[str, str], status: int
) -> None:
    """The API by the table; probes and metrics in every row."""
    async with listening(tmp_path, host=host, token=Secret.of_text(token) if token else None) as listener:
        for path in ("/api/v1/status", "/api/v1/openapi.json"):
            found, document = await listener.ask(path, headers=headers)
            assert found == status
            assert ("error" in document) == (status != 200)
            assert TOKEN not in str(document)
        for path in (
            "/api/v1/wait?ref=a:b",
            "/api/v1/changes",
            "/api/v1/none",
            "/%61pi/v1/status",
            "/api/v1/status?x=1",
        ):
            found, _ = await listener.ask(path, headers=headers)
            assert (found in {401, 403}) == (status != 200)
        for path in ("/healthz", "/readyz", "/metrics"):
            async with listener.session.get(f"{listener.url}{path}", headers=headers) as response:
                assert response.status == 200


async def test_a_401_says_how_to_log_in(tmp_path: Path) -> None:
    async with (
        listening(tmp_path, token=Secret.of_text(TOKEN)) as listener,
        listener.session.get(f"{listener.url}/api/v1/status") as response,
    ):
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_an_unreadable_token_opens_nothing(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    async with listening(tmp_path, token=Secret.of_file(file)) as listener:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await listener.ask("/api/v1/status", headers=headers))[0] == 200
        file.unlink()
        status, document = await listener.ask("/api/v1/status", headers=headers)
        assert (status, document["error"]["code"]) == (503, "token_unreadable")


async def test_status_has_every_field_the_document_promises(listener: Listener) -> None:
    await listener.scene.event(V1, NEW)
    await listener.scene.end("us", V1, Parked(at=4e9, reason=Reason.QUOTA, message="full"))
    status, document = await listener.ask("/api/v1/status?owed=1")
    assert status == 200
    schemas = DOCUMENT["components"]["schemas"]
    assert set(document) == set(schemas["Status"]["properties"])
    for replica in document["replicas"]:
        assert set(replica) == set(schemas["Replica"]["properties"])
    assert set(document["totals"]) == set(schemas["Totals"]["properties"])
    for row in document["rows"]:
        assert set(row) == set(schemas["Row"]["properties"])
    eu, us = document["replicas"]
    assert (eu["name"], eu["state"], eu["inflight"], eu["last_success"]) == ("eu", "running", 2, 1.7e9)
    assert (us["state"], us["parked"], us["failing"], us["last_error"]) == ("open", 1, {"quota": 1}, "no route")
    assert document["totals"] == {
        "lag_seconds": max(eu["lag_seconds"], us["lag_seconds"]),
        "owed": 2, "parked": 1, "ignored": 0, "failing": 1, "inflight": 2,
    }  # fmt: skip  # one row


async def test_status_of_one_replica_and_of_parked_rows(listener: Listener) -> None:
    await listener.scene.event(V1, NEW)
    await listener.scene.end("us", V1, Parked(at=4e9, reason=Reason.QUOTA, message="full"))
    _, document = await listener.ask("/api/v1/status?replica=us&parked=1")
    assert [item["name"] for item in document["replicas"]] == ["us"]
    assert [(row["replica"], row["state"]) for row in document["rows"]] == [("us", "parked")]
    _, document = await listener.ask("/api/v1/status?replica=eu&parked=1")
    assert document["rows"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/status?replica=none",
        "/api/v1/status?owed=yes",
        "/api/v1/status?owed=1&limit=0",
        "/api/v1/status?owed=1&limit=1001",
        "/api/v1/status?owed=1&limit=1e2",
        "/api/v1/status?owed=1&limit=" + "9" * 5000,
        "/api/v1/status?owed=1&after=x",
        "/api/v1/status?after=owed+eu+team/app:v1",
        "/api/v1/status?owde=1",
        "/api/v1/status?owed=1&owed=0",
        "/api/v1/wait",
        "/api/v1/wait?ref=team/app",
        "/api/v1/wait?ref=Team/app:v1",
        "/api/v1/wait?ref=team/app:v1&replica=none",
        "/api/v1/wait?ref=team/app:v1&timeout=soon",
        "/api/v1/wait?ref=team/app:v1&timeout=nan",
        "/api/v1/wait?ref=team/app:v1&timeout=5w",
        "/api/v1/wait?ref=" + "a" * 8000,
        "/api/v1/wait?ref=team/app:v1&" + "&".join(["replica=eu"] * 300),
    ],
)
async def test_a_wrong_query_is_refused_with_what_would_be_right(listener: Listener, path: str) -> None:
    status, document = await listener.ask(path)
    assert (status, document["error"]["code"]) == (400, "bad_request")
    assert len(document["error"]["message"]) < 400


async def test_a_query_that_steers_terminals_is_shown_escaped(listener: Listener) -> None:
    _, document = await listener.ask("/api/v1/wait?ref=team%1b[31m/app:v1%0d%0a")
    assert "\x1b" not in document["error"]["message"]
    assert "\n" not in document["error"]["message"]


async def test_wait_answers_each_verdict_with_its_status(listener: Listener) -> None:
    scene = listener.scene
    status, document = await listener.ask("/api/v1/wait?ref=other/app:v1")
    assert (status, document["error"]["code"]) == (409, "no_rule")
    status, document = await listener.ask("/api/v1/wait?ref=eu/app:v1&replica=us")
    assert (status, document["error"]["code"]) == (409, "no_rule")
    status, document = await listener.ask("/api/v1/wait?ref=team/app:v1")
    assert (status, document["error"]["code"]) == (404, "no_such_reference")
    scene.primary.names[V1] = NEW
    status, document = await listener.ask("/api/v1/wait?ref=registry.example.com/team/app:v1&timeout=0&replica=eu")
    assert (status, document["error"]["code"], document["complete"]) == (408, "pending", False)
    assert document["digest"] == str(NEW)
    await scene.settle("eu", V1, NEW)
    began = time.monotonic()
    status, document = await listener.ask("/api/v1/wait?ref=team/app:v1&timeout=0s&replica=eu&replica=eu")
    assert status == 200
    assert 0 <= document.pop("seconds") <= time.monotonic() - began + 0.1
    assert document == {
        "ref": "team/app:v1",
        "digest": str(NEW),
        "complete": True,
        "replicas": [{"replica": "eu", "complete": True, "waiting_for": ""}],
    }


async def test_a_long_poll_ends_when_the_copy_does(listener: Listener) -> None:
    scene = listener.scene
    scene.primary.names[V1] = NEW
    answers: list[tuple[int, Any]] = []

    async def wait() -> None:
        answers.append(await listener.ask("/api/v1/wait?ref=team/app:v1&timeout=1h"))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        for replica in ("eu", "us"):
            await scene.until_owed(f"{replica} {APP}:v1")
            await scene.settle(replica, V1, NEW)
    assert answers[0][0] == 200


async def test_callers_that_hang_up_leave_no_waits_behind(listener: Listener) -> None:
    """Else abandoned waits would use up the places of others: all places are taken here, then given up."""
    listener.scene.primary.names[V1] = NEW
    await listener.scene.event(V1, NEW)
    path = f"{listener.url}/api/v1/wait?ref=team/app:v1"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as crowd:

        async def wait() -> None:
            while True:
                async with crowd.get(f"{path}&timeout=1h") as response:
                    # The question below takes a place too, for a moment, and may so turn one of the crowd away.
                    assert response.status == 503, "nothing has been copied"

        async def busy() -> bool:
            return (await listener.ask("/api/v1/wait?ref=team/app:v1&timeout=0"))[0] == 503

        async with anyio.create_task_group() as group:
            for _ in range(WaitLimits().open_waits):
                group.start_soon(wait)
            with anyio.fail_after(20):
                while not await busy():
                    await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    with anyio.fail_after(20):
        while await busy():
            await anyio.lowlevel.checkpoint()


async def test_a_stopping_daemon_ends_its_waits(tmp_path: Path) -> None:
    answers: list[tuple[int, Any]] = []

    async def wait(url: str) -> None:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            answers.append((response.status, await response.json()))

    async with anyio.create_task_group() as group, listening(tmp_path) as listener:
        listener.scene.primary.names[V1] = NEW
        group.start_soon(wait, f"{listener.url}/api/v1/wait?ref=team/app:v1&timeout=1h")
        await listener.scene.until_owed(f"eu {APP}:v1")
    assert [(status, document["error"]["code"]) for status, document in answers] == [(503, "stopping")]


async def test_a_change_is_recorded_by_the_rules(listener: Listener) -> None:
    status, document = await listener.tell({"ref": "team/app:v1"})
    assert (status, document) == (
        202,
        {
            "ref": "team/app:v1",
            "changes": [{"replica": "eu", "result": "accepted"}, {"replica": "us", "result": "accepted"}],
        },
    )
    status, document = await listener.tell({"ref": "team/app:v1", "replicas": ["us"], "priority": "high"})
    assert document["changes"] == [{"replica": "us", "result": str(Recorded.COALESCED)}]
    row = await listener.scene.store.row(IntentKey("us", APP, V1))
    assert row is not None
    assert row.priority is Priority.HIGH


async def test_a_change_of_a_digest_is_due_now(listener: Listener) -> None:
    """The hold for untagged pushes is for children of an index; a person means it."""
    await listener.tell({"ref": f"team/app@{NEW}", "replicas": ["eu"]})
    assert [lease.key for lease in await listener.scene.store.lease("eu", 10, 60)] == [IntentKey("eu", APP, NEW)]


@pytest.mark.parametrize("document", [{"ref": "other/app:v1"}, {"ref": "eu/app:v1", "replicas": ["eu", "us"]}])
async def test_a_change_that_no_rule_sends_there_is_refused_whole(
    listener: Listener, document: dict[str, object]
) -> None:
    status, answer = await listener.tell(document)
    assert (status, answer["error"]["code"]) == (409, "no_rule")
    assert await listener.scene.owed() == set()


@pytest.mark.parametrize(
    "document",
    [
        [],
        "team/app:v1",
        {},
        {"ref": 1},
        {"ref": "team/app"},
        {"ref": "team/app:v1", "replicas": "eu"},
        {"ref": "team/app:v1", "replicas": [1]},
        {"ref": "team/app:v1", "replicas": ["none"]},
        {"ref": "team/app:v1", "priority": "urgent"},
        {"ref": "team/app:v1", "priority": 0},
        {"ref": "team/app:v1", "force": True},
    ],
)
async def test_a_wrong_change_is_refused(listener: Listener, document: object) -> None:
    status, answer = await listener.tell(document)
    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert await listener.scene.owed() == set()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"ref": "team/app:v1"}', {"Content-Type": "text/plain"}, 415),
        (b'{"ref": "team/app:v1"}', {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"\x1f\x8b", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        (b"{", {"Content-Type": "application/json"}, 400),
        (b'{"ref": "team/app:v1", "ref": "team/app:v2"}', {"Content-Type": "application/json"}, 400),
        (b"[" * 5000, {"Content-Type": "application/json"}, 400),
        (b" " * (BODY_MAX + 1), {"Content-Type": "application/json"}, 413),
    ],
)
async def test_a_wrong_body_is_refused(listener: Listener, body: bytes, headers: dict[str, str], status: int) -> None:
    """A form or plain text above all: those a foreign page in a browser may send unasked."""
    found, _ = await listener.ask("/api/v1/changes", method="POST", data=body, headers=headers)
    assert found == status
    assert await listener.scene.owed() == set()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/none", 404),
        ("GET", "/index.html", 404),
        ("POST", "/api/v1/status", 405),
        ("GET", "/api/v1/changes", 405),
    ],
)
async def test_unknown_paths_and_methods_answer_in_json(
    listener: Listener, method: str, path: str, status: int
) -> None:
    found, document = await listener.ask(path, method=method)
    assert found == status
    assert document["error"]["message"]


async def test_an_explanation_has_every_field_that_the_document_promises(listener: Listener) -> None:
    scene, schemas = listener.scene, DOCUMENT["components"]["schemas"]
    scene.primary.names[V1] = NEW
    await scene.event(V1, NEW)
    await listener.tell({"ref": "team/app:v1"})
    await scene.end("eu", V1, Parked(at=4e9, reason=Reason.QUOTA, message="full"))
    await scene.store.keep_unreadable("primary", "not JSON", b'{"repository": "team/app"')
    await scene.store.keep_unreadable("primary", "not JSON", b'{"repository": "team/other"')
    scene.holdings.held = {("us", NEW)}
    status, document = await listener.ask("/api/v1/explain?ref=team/app:v1")
    assert (status, set(document)) == (200, set(schemas["Explained"]["properties"]))
    (told,) = document["events"]
    assert set(told) == set(schemas["Heard"]["properties"])
    assert (told["endpoint"], told["kind"], told["owed"], told["merged"]) == ("", "push", 0, 2)
    assert set(schemas["Heard"]["properties"]["unheeded"]["enum"]) == {*Unheeded, None}
    assert document["primary"] == {"digest": str(NEW), "error": ""}
    assert [(one["endpoint"], one["reason"]) for one in document["unread"]] == [("primary", "not JSON")]
    eu, us = document["replicas"]
    assert (eu["verdict"], us["verdict"], document["ok"]) == ("parked", "there", False)
    for one, name in ((eu, "ExplainedReplica"), (eu["queue"], "Queued"), (eu["look"], "Look")):
        assert set(one) == set(schemas[name]["properties"])
    assert set(eu["look"]["missing"][0]) == set(schemas["Missing"]["properties"])
    assert set(schemas["ExplainedReplica"]["properties"]["verdict"]["enum"]) == set(Where)
    _, only = await listener.ask("/api/v1/explain?ref=team/app:v1&replica=us")
    assert ([one["replica"] for one in only["replicas"]], only["ok"]) == (["us"], True)
    _, ruled = await listener.ask("/api/v1/explain?ref=eu/app:v1")
    assert set(ruled["replicas"][1]["refused"][0]) == set(schemas["RefusedRule"]["properties"])
    scene.primary.errors = [RegistryError("down", registry="primary", reason=Reason.NETWORK)]
    _, blind = await listener.ask("/api/v1/explain?ref=team/app:v2&replica=us")
    assert (blind["primary"]["error"], blind["replicas"][0]["verdict"]) == ("down", "unknown")
    assert (await listener.ask("/api/v1/explain?ref=team/app"))[0] == 400


async def test_the_page_shows_the_status_and_takes_nothing_from_elsewhere(listener: Listener) -> None:
    await listener.scene.event(V1, NEW)
    await listener.scene.end("eu", V1, Parked(at=4e9, reason=Reason.QUOTA, message="no <b>room</b>"))
    async with listener.session.get(f"{listener.url}/") as response:
        text = await response.text()
        assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for shown in ("team/app:v1", "no &lt;b&gt;room&lt;/b&gt;", "no route", "open"):
        assert shown in text
    async with listener.session.get(f"{listener.url}/", headers={"Host": "rebound.example.com"}) as response:
        assert response.status == 403


def nothing_used() -> Used:
    raise AssertionError("routes alone begin no sync")


async def test_the_document_describes_every_route(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        ports = AdminPorts(
            store=listener.scene.store,
            lanes=listener,
            source=listener.scene.primary,
            presence=listener.scene.holdings,
            comparisons=Sweeps(listener.scene.store),
            looks=listener.scene.holdings,
            routes=listener.scene.router,
            metrics=Metrics(Scope(replicas=("eu", "us")), clock=SystemClock()),
            intake_open=lambda: True,
            clock=SystemClock(),
        )
        syncing = SyncRequests(syncs=Syncs(nothing_used, anyio.Event), names=lambda: names_of(settings()))
        app = build_admin(settings, ports, syncing.routes())
        served = {
            (route.method.lower(), route.resource.canonical)
            for route in app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        }
        _, document = await listener.ask("/api/v1/openapi.json")
    assert served == {(method, path) for path, methods in document["paths"].items() for method in methods}


async def test_the_client_reads_what_the_server_says(tmp_path: Path) -> None:
    async with listening(tmp_path, token=Secret.of_text(TOKEN)) as listener:
        await listener.scene.event(V1, NEW)
        listener.scene.primary.names[V1] = NEW
        async with open_client("0.0.0.0", listener.port, Secret.of_text(TOKEN)) as client:
            document = await client.status(StatusQuery(listing=Listing.OWED, replica="eu", limit=1))
            assert [row["reference"] for row in document["rows"]] == ["v1"]
            waited = await client.wait("team/app:v1", ["eu"], 0)
            assert (waited["complete"], waited["error"]["code"]) == (False, "pending")
            with pytest.raises(ApiFailed, match="is not a replica"):
                await client.wait("team/app:v1", ["none"], 0)
        async with open_client("127.0.0.1", listener.port, Secret.of_text("wrong-canary")) as client:
            with pytest.raises(ApiFailed, match="401"):
                await client.status(StatusQuery())


async def test_the_client_tells_no_daemon_from_a_stranger() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        async with open_client("127.0.0.1", silent.getsockname()[1], None) as client:
            with pytest.raises(NoDaemon):
                await client.status(StatusQuery())

    async def stranger(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as server, anyio.create_task_group() as group:
        group.start_soon(server.serve, stranger)
        port = server.extra(anyio.abc.SocketAttribute.local_port)
        async with open_client("127.0.0.1", port, None) as client:
            with pytest.raises(ApiFailed, match="not the answer of replicator"):
                await client.status(StatusQuery())
        group.cancel_scope.cancel()


async def test_an_address_in_use_is_a_settings_error(tmp_path: Path) -> None:
    async with listening(tmp_path) as listener:
        app = aiohttp.web.Application()
        with pytest.raises(SettingsError, match=r"admin\.listen"):
            async with serve_admin(app, "127.0.0.1", listener.port):
                raise AssertionError("two listeners on one port")


async def test_a_change_that_cannot_be_kept_is_a_503(listener: Listener) -> None:
    await listener.scene.store.close()
    status, document = await listener.tell({"ref": "team/app:v1"})
    assert (status, document["error"]["code"]) == (503, "store_unavailable")
    with pytest.raises(StoreError):
        await listener.scene.store.tick()
