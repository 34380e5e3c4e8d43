"""Deliveries over real HTTP into the real store: every answer of DESIGN 2.3, and what stands behind it."""

import asyncio
import base64
import errno
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from replicator.clock import SystemClock
from replicator.correlation import delivery_id
from replicator.errors import SettingsError, StoreError
from replicator.heard import Heard, Unheeded
from replicator.intake.listener import listening
from replicator.intake.receiver import LARGE_AT_ONCE, build_receiver
from replicator.model import Digest, Intent, IntentKey, Recorded, Tag, parse_repository
from replicator.settings.credentials import BasicAuth, EndpointAuth, HeaderAuth
from replicator.settings.schema import Endpoint
from replicator.settings.secrets import Secret
from replicator.store.sqlite import SqliteStore
from tests.integration.intake_site import DIGEST, Running, answer_from, body_of, push, running
from tests.support.eventually import eventually
from tests.support.logging_state import logging_as_before

CANARY = "canary-4b1d5a7e90"
MAX_BODY = 64 << 10
APP = parse_repository("team/app")
BEARER = {"Authorization": f"Bearer {CANARY}"}


class Out:
    """A sink whose disk is full until it is mended."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.full = True

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        self._check()
        return await self._store.record(intents, heard)

    def overhear(self, heard: Sequence[Heard]) -> None:
        self._store.overhear(heard)

    async def keep_unreadable(self, endpoint: str, reason: str, body: bytes) -> None:
        self._check()
        await self._store.keep_unreadable(endpoint, reason, body)

    def _check(self) -> None:
        if self.full:
            raise StoreError("no space left on device")


class Slow:
    """A sink whose commit ends only when the test says so."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        self.entered.set()
        await self.go_on.wait()
        return await self._store.record(intents, heard)

    def overhear(self, heard: Sequence[Heard]) -> None:
        self._store.overhear(heard)

    async def keep_unreadable(self, endpoint: str, reason: str, body: bytes) -> None:
        await self._store.keep_unreadable(endpoint, reason, body)


def refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


class Buggy:
    """A sink with a mistake in it."""

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        raise ZeroDivisionError(f"{len(intents)} intents of {len(heard)} events and {CANARY}")

    def overhear(self, heard: Sequence[Heard]) -> None:
        raise NotImplementedError

    async def keep_unreadable(self, endpoint: str, reason: str, body: bytes) -> None:
        raise NotImplementedError


def endpoints(tmp_path: Path) -> tuple[Endpoint, ...]:
    token = tmp_path / "token"
    token.write_text(f"{CANARY}\n")
    missing = Secret.of_file(tmp_path / "missing")
    secret = Secret.of_file(token)
    pair = BasicAuth(username="hook", password_file=(secret,))
    return (
        Endpoint(path="/open", name="open", auth=None, max_body=MAX_BODY),
        Endpoint(path="/big", name="big", auth=None, max_body=8 << 20),
        Endpoint(path="/hosted", name="hosted", auth=None, hosts=("registry.test", "alias.test:5000")),
        Endpoint(path="/bearer", name="bearer", auth=EndpointAuth(bearer_token_file=(secret,)), max_body=MAX_BODY),
        Endpoint(path="/basic", name="basic", auth=EndpointAuth(basic=pair)),
        Endpoint(
            path="/header", name="header", auth=EndpointAuth(header=HeaderAuth(name="X-Hook", value_file=(secret,)))
        ),
        Endpoint(path="/locked", name="locked", auth=EndpointAuth(bearer_token_file=(missing,))),
    )


@pytest.fixture
async def intake(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, endpoints(tmp_path)) as here:
        yield here


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with logging_as_before():
        yield


async def test_a_push_is_owed_to_every_replica_before_it_is_answered(intake: Running) -> None:
    answer = await intake.send(body_of(push()))
    assert (answer.status, answer.json()) == (202, {"accepted": 1, "coalesced": 0, "ignored": 0, "unreadable": 0})
    assert await intake.owed() == ["eu team/app:v1", "us team/app:v1"]
    assert intake.events() == {"accepted": 1}
    assert intake.count("replicator_updates_total", kind="tag") == 2
    assert intake.count("replicator_webhook_ack_duration_seconds_count", endpoint="open") == 1


async def test_nothing_is_answered_before_the_commit(tmp_path: Path) -> None:
    sinks: list[Slow] = []

    def slow(store: SqliteStore) -> Slow:
        sinks.append(Slow(store))
        return sinks[0]

    async with running(tmp_path, endpoints(tmp_path), sink=slow) as here:
        sending = asyncio.create_task(here.send(body_of(push())))
        await sinks[0].entered.wait()
        # What would answer too early has every chance to while a second request goes there and back.
        assert (await here.send(body_of())).status == 200
        assert not sending.done()
        sinks[0].go_on.set()
        assert (await sending).status == 202


async def test_the_digest_and_the_time_of_the_event_reach_the_row(intake: Running) -> None:
    now = SystemClock().now()
    then = "2001-01-01T00:00:00Z"
    await intake.send(body_of(push("now"), push("old", timestamp=then)))
    row = await intake.store.row(IntentKey("eu", parse_repository("team/app"), Tag("now")))
    assert row is not None
    assert row.want == Digest.parse(DIGEST)
    assert row.dirty_since == pytest.approx(now, abs=30)
    assert intake.count("replicator_delivery_delay_seconds_count", endpoint="open") == 1


async def test_the_same_delivery_a_thousand_times_is_one_row_a_replica(intake: Running) -> None:
    body = body_of(push())
    lines = f"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    reader, writer = await asyncio.open_connection("127.0.0.1", intake.port)
    statuses = set()
    for _ in range(1_000):
        writer.write(lines)
        statuses.add((await answer_from(reader)).status)
    writer.close()
    assert statuses == {202}
    assert len(await intake.store.rows()) == 2
    assert intake.events() == {"accepted": 1, "coalesced": 999}
    assert intake.count("replicator_updates_total") == 2


async def test_a_batch_is_recorded_as_one(intake: Running) -> None:
    answer = await intake.send(body_of(push("a"), push("b"), push("a"), {"action": "pull"}, {"action": 3}))
    assert answer.status == 202
    assert answer.json() == {"accepted": 2, "coalesced": 1, "ignored": 1, "unreadable": 1}
    assert len(await intake.owed()) == 4
    assert len(await intake.store.unreadable()) == 1


@pytest.mark.parametrize(
    "event",
    [
        {"action": "pull"},
        {"action": "mount"},
        push(repository="elsewhere/app"),
        {"action": "delete", "target": {"repository": "team/app", "tag": "v1"}},
        push(tag="sha256-" + "ab" * 32),
    ],
)
async def test_what_asks_for_nothing_is_answered_2xx_and_counted(intake: Running, event: Any) -> None:
    answer = await intake.send(body_of(event))
    assert (answer.status, answer.json()["ignored"]) == (200, 1)
    assert intake.events() == {"ignored": 1}
    assert await intake.store.rows() == ()


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", body_of({"action": "push", "target": {"repository": "../x"}})]
)
async def test_what_cannot_be_read_is_answered_2xx_counted_and_kept(intake: Running, body: bytes) -> None:
    answer = await intake.send(body)
    assert (answer.status, answer.json()["unreadable"]) == (200, 1)
    assert intake.events() == {"unparsable": 1}
    (kept,) = await intake.store.unreadable()
    assert (kept.endpoint, kept.body) == ("open", body)
    assert kept.reason


async def test_kept_bodies_are_bounded(intake: Running) -> None:
    for number in range(120):
        assert (await intake.send(b"nonsense %d" % number)).status == 200
    kept = await intake.store.unreadable()
    assert len(kept) == 100
    assert kept[0].body == b"nonsense 119"


@pytest.mark.parametrize("host", ["registry.test", "REGISTRY.test", "registry.test:443", "alias.test:5000", "", None])
async def test_events_of_the_configured_hosts_count(intake: Running, host: str | None) -> None:
    answer = await intake.send(body_of(push(request={"host": host})), "/hosted")
    assert answer.json()["accepted"] == 1


@pytest.mark.parametrize(
    "host", ["other.test", "registry.test:8080", "alias.test", "registry.test.evil", "127.0.0.1"]
)
async def test_events_that_name_another_host_are_ignored_and_counted(intake: Running, host: str) -> None:
    answer = await intake.send(body_of(push(request={"host": host})), "/hosted")
    assert (answer.status, answer.json()["ignored"]) == (200, 1)
    assert intake.events("hosted") == {"ignored": 1}
    assert await intake.store.rows() == ()
    (told,) = await intake.store.events(APP, Tag("v1"), 10)
    assert (told.endpoint, told.unheeded, told.owed) == ("hosted", Unheeded.OTHER_HOST, 0)


async def test_what_told_of_a_reference_is_remembered_with_what_came_of_it(intake: Running) -> None:
    other = push(repository="other/app")
    await intake.send(body_of(push(id="e-1"), other), "/open")
    await intake.send(body_of(push(id="e-2", action="delete"), push(id="e-3")), "/open")
    told = await intake.store.events(APP, Tag("v1"), 10)
    kinds = [(one.kind.value, one.owed, one.merged, one.unheeded) for one in told]
    assert kinds == [("delete", 0, 0, Unheeded.NO_RULE), ("push", 0, 2, None), ("push", 2, 0, None)]
    assert [one.delivery for one in told] == [delivery_id("e-2"), delivery_id("e-2"), delivery_id("e-1")]
    assert {(one.digest, one.endpoint) for one in told if one.owed or one.merged} == {(Digest.parse(DIGEST), "open")}
    (elsewhere,) = await intake.store.events(parse_repository("other/app"), Tag("v1"), 10)
    assert (elsewhere.delivery, elsewhere.unheeded) == (delivery_id("e-1"), Unheeded.NO_RULE)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/bearer", BEARER),
        ("/basic", {"Authorization": "Basic " + base64.b64encode(f"hook:{CANARY}".encode()).decode()}),
        ("/header", {"X-Hook": CANARY}),
    ],
)
async def test_the_right_secret_opens_and_a_wrong_one_is_told_401(
    intake: Running, path: str, headers: dict[str, str]
) -> None:
    name = path.strip("/")
    assert (await intake.send(body_of(push()), path, **headers)).status == 202
    refusals = [
        await intake.send(body_of(push()), path, **{key: value[:-1] for key, value in headers.items()}),
        await intake.send(body_of(push()), path),
        await intake.send(b"nonsense", path, **dict.fromkeys(headers, "")),
    ]
    assert [answer.status for answer in refusals] == [401] * 3
    assert len({(answer.body, *sorted(set(answer.headers) - {"date"})) for answer in refusals}) == 1
    assert intake.events(name) == {"accepted": 1, "unauthorized": 3}


async def test_a_header_sent_twice_does_not_open(intake: Running) -> None:
    body = body_of(push())
    twice = f"X-Hook: {CANARY}\r\n" * 2
    head = f"POST /header HTTP/1.1\r\nHost: x\r\n{twice}Content-Length: {len(body)}\r\n\r\n"
    assert (await intake.talk(head.encode() + body)).status == 401


async def test_the_body_of_a_stranger_is_not_waited_for(intake: Running) -> None:
    head = f"POST /bearer HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY}\r\n\r\n"
    assert (await intake.talk(head.encode())).status == 401


async def test_f42_without_any_readable_secret_the_sender_is_asked_to_come_again(intake: Running) -> None:
    answer = await intake.send(body_of(push()), "/locked", **BEARER)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert intake.events("locked") == {"unavailable": 1}
    assert [line["event"] for line in intake.lines() if line["level"] == "warning"] == ["webhook_secret_unreadable"]
    assert len(intake.refused) == 1, "sweeps look for what is missed so"
    assert (await intake.send(body_of(push()), "/bearer")).status == 401
    assert len(intake.refused) == 1, "who shows no secret is a stranger"


async def test_a_declared_length_over_the_limit_is_refused_at_once(intake: Running) -> None:
    head = f"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
    assert (await intake.talk(head.encode())).status == 413
    assert intake.events() == {"too_large": 1}


async def test_a_body_of_exactly_the_limit_is_read(intake: Running) -> None:
    body = body_of(push())
    assert (await intake.send(body + b" " * (MAX_BODY - len(body)))).status == 202
    assert (await intake.send(body + b" " * (MAX_BODY - len(body) + 1))).status == 413


async def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(intake: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", intake.port)
    writer.write(b"POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    # The end of the body never comes: the answer must not wait for it.
    writer.write(chunk * (MAX_BODY // 0x1000 + 1))
    assert (await answer_from(reader)).status == 413
    writer.close()
    assert intake.events() == {"too_large": 1}


async def test_a_chunked_body_within_the_limit_is_read(intake: Running) -> None:
    body = body_of(push())
    head = b"POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    assert (await intake.talk(head + chunks)).status == 202


async def test_bytes_beyond_the_declared_length_are_no_part_of_the_body(intake: Running) -> None:
    body = body_of(push("short"))
    head = f"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    await intake.talk(head.encode() + body + body_of(push("smuggled")))
    assert not [key for key in await intake.owed() if "smuggled" in key]
    assert await intake.store.unreadable() == ()


async def test_a_body_that_never_comes_is_not_waited_for_without_end(tmp_path: Path) -> None:
    async with running(tmp_path, endpoints(tmp_path), body_seconds=0.05) as here:
        assert (await here.talk(b"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")).status == 408
        assert here.events() == {"unparsable": 1}
        assert (await here.send(body_of(push()))).status == 202


async def test_a_sender_that_hangs_up_in_its_body_leaves_no_trace_in_the_store(intake: Running) -> None:
    body = body_of(push())
    _, writer = await asyncio.open_connection("127.0.0.1", intake.port)
    writer.write(f"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) + 1}\r\n\r\n".encode() + body)
    await writer.drain()
    writer.close()
    assert (await intake.send(body_of(push("other")))).status == 202
    assert await intake.owed() == ["eu team/app:other", "us team/app:other"]
    assert not [line for line in intake.lines() if line["level"] == "error"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_packed_bodies_are_refused(intake: Running, coding: str) -> None:
    packed = gzip.compress(body_of(push())) if coding.startswith("gzip") else zlib.compress(body_of(push()))
    assert (await intake.send(packed, Content_Encoding=coding)).status == 415
    assert await intake.store.rows() == ()
    assert (await intake.send(body_of(push()), Content_Encoding="identity")).status == 202


@pytest.mark.parametrize(
    "path", ["/", "/open/", "/open/x", "//open", "/OPEN", "/op%65n", "/open/../open", "/metrics"]
)
async def test_only_the_exact_path_is_an_endpoint(intake: Running, path: str) -> None:
    assert (await intake.send(body_of(push()), path)).status == 404
    assert await intake.store.rows() == ()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_post_is_taken(intake: Running, method: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", intake.port)
    writer.write(f"{method} /open HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: POST\r\n" in answer
    assert b"Server:" not in answer


async def test_a_store_that_cannot_commit_is_told_503_and_loses_nothing(tmp_path: Path) -> None:
    sinks: list[Out] = []

    def out(store: SqliteStore) -> Out:
        sinks.append(Out(store))
        return sinks[0]

    async with running(tmp_path, endpoints(tmp_path), sink=out) as here:
        for body, counted in ((body_of(push("a"), push("b")), 2), (b"nonsense", 1)):
            before = here.count("replicator_webhook_events_total", result="unavailable")
            answer = await here.send(body)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert here.count("replicator_webhook_events_total", result="unavailable") - before == counted
        # What asks for nothing needs no disk, and must not hold up the queue of the sender.
        assert (await here.send(body_of({"action": "pull"}))).status == 200
        sinks[0].full = False
        assert (await here.send(body_of(push("a"), push("b")))).status == 202
        assert len(await here.owed()) == 4


async def test_a_mistake_of_ours_is_answered_500_told_in_the_log_and_shown_to_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, endpoints(tmp_path), sink=lambda _: Buggy()) as here:
        answer = await here.send(body_of(push()))
        assert (answer.status, answer.body) == (500, b"")
        assert "server" not in answer.headers
        (line,) = [line for line in here.lines() if line["level"] == "error"]
        assert line["event"] == "library_message"
        assert "ZeroDivisionError" in line["exception"]
        assert (await here.send(body_of({"action": "pull"}))).status == 200


async def test_what_is_in_hand_is_answered_at_shutdown_and_nothing_new_is_taken(tmp_path: Path) -> None:
    sinks: list[Slow] = []

    def slow(store: SqliteStore) -> Slow:
        sinks.append(Slow(store))
        return sinks[0]

    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(running(tmp_path, endpoints(tmp_path), sink=slow))
        sending = asyncio.create_task(here.send(body_of(push())))
        await sinks[0].entered.wait()
        closing = asyncio.create_task(stack.aclose())
        await eventually(lambda: refused(here.port), what="nothing listens any more")
        assert not sending.done()
        sinks[0].go_on.set()
        assert (await sending).status == 202
        await closing


async def test_large_deliveries_do_not_hold_up_small_ones(intake: Running) -> None:
    filler = [{"action": "pull", "id": str(number), "target": {"url": "x" * 1_500}} for number in range(4_000)]
    large = body_of(push("large"), *filler)
    assert len(large) > 6_000_000
    sending = [asyncio.create_task(intake.send(large, "/big")) for _ in range(6)]
    assert (await intake.send(body_of(push("small")))).status == 202
    answers = [await each for each in sending]
    assert [answer.status for answer in answers] == [202] * 6
    assert all(answer.json()["ignored"] == 4_000 for answer in answers)


async def test_who_drips_at_one_endpoint_keeps_nobody_waiting_at_another(tmp_path: Path) -> None:
    chunked = "HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    async with AsyncExitStack() as stack:
        intake = await stack.enter_async_context(running(tmp_path, endpoints(tmp_path), body_seconds=60.0))
        for _ in range(LARGE_AT_ONCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", intake.port)
            stack.callback(writer.close)
            writer.write(f"POST /hosted {chunked}Expect: 100-continue\r\n\r\n".encode())
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n", "it waits for the body"
        body = body_of(push())
        delivery = f"POST /open {chunked}\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        assert (await asyncio.wait_for(intake.talk(delivery), 30)).status == 202
        assert intake.events("hosted") == {}, "none of the others was turned away yet"


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /open HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["tls", "two lengths", "negative", "length and chunked", "huge header", "bad chunk"],
)
async def test_what_is_no_http_is_refused_without_a_word_about_the_software(intake: Running, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", intake.port)
    writer.write(raw)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.split(b" ")[1] == b"400"
    assert b"ython" not in answer
    assert b"iohttp" not in answer
    assert await intake.store.rows() == ()
    assert not [line for line in intake.lines() if line["level"] == "error"]


async def test_every_answer_is_small_has_no_server_header_and_never_leads_elsewhere(intake: Running) -> None:
    answers = [
        await intake.send(body_of(push())),
        await intake.send(b"nonsense"),
        await intake.send(body_of(push()), "/bearer"),
        await intake.send(body_of(push()), "/nowhere"),
        await intake.send(b"x" * (MAX_BODY + 1)),
        await intake.send(b"x", Content_Encoding="gzip"),
        await intake.send(body_of(push()), "/open?next=http://evil.test", Host="evil.test"),
    ]
    for answer in answers:
        assert not 300 <= answer.status < 400
        assert "server" not in answer.headers
        assert "location" not in answer.headers
        assert answer.headers["content-type"].startswith("application/json")
        assert len(answer.body) < 200
        assert b"evil" not in answer.body


async def test_connections_are_kept_for_the_next_delivery(intake: Running) -> None:
    body = body_of(push())
    reader, writer = await asyncio.open_connection("127.0.0.1", intake.port)
    for _ in range(3):
        writer.write(f"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert (await answer_from(reader)).status == 202
    writer.close()


async def test_the_secret_is_in_no_log_line_no_answer_and_no_metric(intake: Running) -> None:
    answers = [
        await intake.send(body_of(push()), "/bearer", **BEARER),
        await intake.send(body_of(push()), "/bearer", Authorization=f"Bearer {CANARY}x"),
        await intake.send(body_of(push()), "/header", X_Hook=f"{CANARY}x"),
        await intake.send(b"nonsense", "/bearer", **BEARER),
        await intake.send(b"x" * (MAX_BODY + 1), "/bearer", **BEARER),
        await intake.send(body_of(push()), f"/bearer/{CANARY}"),
    ]
    told = intake.log.getvalue() + intake.metrics.exposition("")[0].decode() + str(answers)
    assert "webhook_accepted" in told
    assert CANARY not in told


async def test_an_accepted_delivery_is_told_at_info_and_others_at_debug(intake: Running) -> None:
    await intake.send(body_of(push()))
    await intake.send(body_of(push()))
    await intake.send(body_of({"action": "pull"}))
    lines = [line for line in intake.lines() if line["event"].startswith("webhook_") and "endpoint" in line]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("webhook_accepted", "info"),
        ("webhook_nothing_new", "debug"),
        ("webhook_nothing_new", "debug"),
    ]
    assert lines[0] | {"timestamp": ""} == {
        "event": "webhook_accepted",
        "level": "info",
        "timestamp": "",
        "endpoint": "open",
        "delivery": delivery_id("e-1"),
        "event_id": "e-1",
        "repository": "team/app",
        "reference": "v1",
        "accepted": 1,
    }


async def test_strangers_cannot_fill_the_log(intake: Running) -> None:
    for _ in range(200):
        await intake.send(b"x", "/bearer")
    warnings = [line for line in intake.lines() if line["event"] == "webhook_unauthorized"]
    assert 1 <= len(warnings) <= 3
    assert intake.events("bearer") == {"unauthorized": 200}


async def test_an_address_that_is_taken_is_told_as_a_setting_that_is_wrong(intake: Running) -> None:
    application = build_receiver(dict, clock=SystemClock())
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{intake.port}"):
        async with listening(application, "127.0.0.1", intake.port):
            raise AssertionError("two cannot listen on one port")


async def test_the_port_is_free_again_afterwards(tmp_path: Path) -> None:
    async with running(tmp_path, endpoints(tmp_path)) as here:
        assert (await here.send(body_of(push()))).status == 202
    assert refused(here.port)
