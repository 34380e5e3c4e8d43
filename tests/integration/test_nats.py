"""Events out of a real NATS server into the real store: nothing is acknowledged that is not on disk."""

import asyncio
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest
import trustme
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo

from replicator.errors import StoreError
from replicator.heard import Heard
from replicator.intake import nats_feed
from replicator.model import Intent, Recorded
from replicator.store.sqlite import SqliteStore
from tests.integration.intake_site import Running
from tests.integration.nats_site import NAME, SUBJECT, Reloads, connected, problems, subscribed, subscription
from tests.support.canaries import leaks
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.logging_state import logging_as_before
from tests.support.nats import keep, publisher, run_nats
from tests.support.nats_users import Operator
from tests.support.webhook_samples import samples

PASSWORD = "canary-4b1d5a7e90"
USERS = f"authorization {{ users: [ {{user: hook, password: {PASSWORD}}} ] }}"
KINDS = pytest.mark.parametrize("jetstream", [False, True], ids=["plain", "jetstream"])
PUSH = samples()["zot-nats-image-updated"].body
DELETE = samples()["zot-image-deleted"]


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    with logging_as_before():
        yield


class Out:
    """A sink whose disk is full until it is mended."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.full = True

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        if self.full:
            raise StoreError("no space left on device")
        return await self._store.record(intents, heard)

    def overhear(self, heard: Sequence[Heard]) -> None:
        self._store.overhear(heard)

    async def keep_unreadable(self, endpoint: str, reason: str, body: bytes) -> None:
        await self._store.keep_unreadable(endpoint, reason, body)


class Slow(Out):
    """A sink whose disk takes until it is told to be done."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store)
        self.full = False
        self.asked, self.done = anyio.Event(), anyio.Event()

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        self.asked.set()
        await self.done.wait()
        return await super().record(intents, heard)


async def publish(client: Client, body: bytes, headers: dict[str, str] | None = None) -> None:
    await client.publish(SUBJECT, body, headers=headers)
    await client.flush()


def pushed(tag: str) -> bytes:
    event = json.loads(PUSH)
    event["data"]["reference"] = tag
    return json.dumps(event).encode()


async def consumer(jetstream: JetStreamContext) -> ConsumerInfo:
    info: ConsumerInfo = await jetstream.consumer_info("events", "replicator")
    return info


async def all_acknowledged(jetstream: JetStreamContext, count: int) -> bool:
    info = await consumer(jetstream)
    return info.num_ack_pending == 0 and info.ack_floor is not None and info.ack_floor.stream_seq == count


@KINDS
async def test_each_event_of_zot_becomes_what_it_becomes_over_http(tmp_path: Path, *, jetstream: bool) -> None:
    """Structured, as zot publishes, and with the attributes in headers, as CloudEvents for NATS may have them."""
    zots = [sample for name, sample in samples().items() if name.startswith("zot-")]
    async with run_nats(tmp_path, jetstream=jetstream) as server, publisher(server) as zot:
        if jetstream:
            await keep(zot, SUBJECT)
        async with subscribed(tmp_path, subscription(server)) as site:
            for sample in zots:
                await publish(zot, sample.body, {k: v for k, v in sample.headers.items() if k.startswith("Ce-")})
            await eventually(lambda: sum(site.events(NAME).values()) == len(zots), what="all events are counted")
            counts = site.events(NAME)
            assert counts == {"accepted": 1, "coalesced": 1, "ignored": 4}, "one tag, told in both forms"
            assert await eventually(site.owed, what="something is owed")
            opened = next(line for line in site.lines() if line["event"] == "subscription_opened")
            assert (opened["stream"], opened["level"]) == (("events", "info") if jetstream else ("", "warning"))
            assert site.count("replicator_webhook_ack_duration_seconds_count", endpoint=NAME) == len(zots)


async def test_what_was_published_while_nobody_listened_comes_once(tmp_path: Path) -> None:
    async with run_nats(tmp_path, jetstream=True) as server, publisher(server) as zot:
        jetstream = await keep(zot, SUBJECT)
        for number in range(50):
            await publish(zot, pushed(f"v{number}"))
        async with subscribed(tmp_path, subscription(server)) as site:
            await eventually(lambda: site.events(NAME) == {"accepted": 50}, what="all have come")
            await eventually(lambda: all_acknowledged(jetstream, 50), what="all are acknowledged")
        await publish(zot, pushed("later"))
        async with subscribed(tmp_path, subscription(server)) as site:
            await eventually(lambda: site.events(NAME) == {"accepted": 1}, what="the one of meanwhile has come")
            await eventually(lambda: all_acknowledged(jetstream, 51), what="it is acknowledged")
            assert site.events(NAME) == {"accepted": 1}, "and no other came again"


async def test_nothing_is_acknowledged_before_it_is_on_disk_and_coming_again_does_nothing(
    tmp_path: Path, fake_clock: FakeClock
) -> None:
    outs: list[Out] = []

    def full(store: SqliteStore) -> Out:
        outs.append(Out(store))
        return outs[0]

    async with run_nats(tmp_path, jetstream=True) as server, publisher(server) as zot:
        jetstream = await keep(zot, SUBJECT)
        impatient = ConsumerConfig(
            durable_name="replicator", filter_subject=SUBJECT, ack_policy=AckPolicy.EXPLICIT, ack_wait=0.2
        )
        await jetstream.add_consumer("events", config=impatient)
        async with subscribed(tmp_path, subscription(server), sink=full, clock=fake_clock) as site:
            await publish(zot, PUSH)
            await eventually(lambda: site.events(NAME).get("unavailable", 0) >= 3, what="it was sent again")
            assert (await consumer(jetstream)).num_ack_pending == 1
            outs[0].full = False

            async def acknowledged() -> bool:
                fake_clock.advance(60)  # each time: it may just have been refused, and sleep from now on
                return await all_acknowledged(jetstream, 1)

            await eventually(acknowledged, what="it is acknowledged")
            assert site.events(NAME)["accepted"] == 1
            assert len(await site.owed()) == 1
            assert {line["event"] for line in site.lines()} >= {"webhook_unavailable", "webhook_accepted"}


async def test_plain_messages_wait_for_the_store(tmp_path: Path, fake_clock: FakeClock) -> None:
    outs: list[Out] = []

    def full(store: SqliteStore) -> Out:
        outs.append(Out(store))
        return outs[0]

    async with (
        run_nats(tmp_path) as server,
        publisher(server) as zot,
        subscribed(tmp_path, subscription(server), sink=full, clock=fake_clock) as site,
    ):
        for number in range(20):
            await publish(zot, pushed(f"v{number}"))
        await eventually(lambda: site.events(NAME).get("unavailable", 0) >= 8, what="the store refuses")
        outs[0].full = False
        fake_clock.advance(60)
        await eventually(lambda: site.events(NAME).get("accepted") == 20, what="all are on disk")


@KINDS
async def test_a_server_that_dies_is_told_of_and_found_again(
    tmp_path: Path, fake_clock: FakeClock, *, jetstream: bool
) -> None:
    async with run_nats(tmp_path, jetstream=jetstream) as server:
        if jetstream:
            async with publisher(server) as zot:
                await keep(zot, SUBJECT)
        missed: list[float] = []
        began = fake_clock.now()
        async with subscribed(tmp_path, subscription(server), clock=fake_clock, missed=missed.append) as site:
            fake_clock.advance(5)
            await server.stop()
            await eventually(lambda: not connected(site), what="the metric says so")
            for _ in range(3):
                await fake_clock.someone_sleeps()
                fake_clock.advance(60)
            await eventually(lambda: len(problems(site)) >= 3, what="the log says so")
            await fake_clock.someone_sleeps()
            await server.start()
            fake_clock.advance(60)
            await eventually(lambda: connected(site), what="it is found again")
            async with publisher(server) as zot:
                await publish(zot, PUSH)
                await eventually(lambda: site.events(NAME) == {"accepted": 1}, what="events come")
            assert set(problems(site)) == {"the connection broke", "cannot connect (Connection refused)"}
            assert missed == ([] if jetstream else [began, began + 5]), "what may have come meanwhile is a sweep's"


async def test_the_end_of_a_former_subscriber_is_not_that_of_the_one_that_runs(tmp_path: Path) -> None:
    """Removed and added again while the disk takes its time: the metric would say 0 for as long as all is well."""
    slow: list[Slow] = []

    def sink(store: SqliteStore) -> Slow:
        slow.append(Slow(store))
        return slow[0]

    def running() -> int:
        return sum(one.name is not None and "Subscriptions._run" in one.name for one in anyio.get_running_tasks())

    reloads = Reloads()
    async with (
        run_nats(tmp_path) as server,
        publisher(server) as zot,
        subscribed(tmp_path, subscription(server), sink=sink, reloads=reloads) as site,
    ):
        await publish(zot, PUSH)
        await slow[0].asked.wait()
        await reloads.reload(without=True)
        await reloads.reload(without=False)
        opened = "subscription_opened"
        await eventually(lambda: site.log.getvalue().count(opened) == 2, what="it runs again")
        assert running() == 2
        slow[0].done.set()
        await eventually(lambda: running() == 1, what="the former has ended")
        assert connected(site)


async def test_a_server_that_is_not_there_yet_is_waited_for(tmp_path: Path, fake_clock: FakeClock) -> None:
    async with run_nats(tmp_path) as server:
        await server.stop()
        async with subscribed(tmp_path, subscription(server), clock=fake_clock, wait=False) as site:
            await fake_clock.someone_sleeps()
            assert problems(site) == ["cannot connect (Connection refused)"]
            await server.start()
            fake_clock.advance(60)
            await eventually(lambda: connected(site), what="it is there")


async def test_pauses_grow_to_a_minute(tmp_path: Path, fake_clock: FakeClock) -> None:
    async with run_nats(tmp_path) as server:
        await server.stop()
        async with subscribed(tmp_path, subscription(server), clock=fake_clock, wait=False):
            pauses = []
            for _ in range(9):
                await fake_clock.someone_sleeps()
                pauses.append(fake_clock.sleepers[-1])
                fake_clock.advance(60)
            assert 0.5 <= pauses[0] <= 1
            assert all(1 <= later / earlier <= 4 for earlier, later in itertools.pairwise(pauses[:6]))
            assert all(30 <= pause <= 60 for pause in pauses[6:])


async def test_a_wrong_password_is_told_and_a_right_one_counts_at_once(tmp_path: Path, fake_clock: FakeClock) -> None:
    secret = tmp_path / "password"
    secret.write_text("canary-wrong")
    login = {"username": "hook", "password_file": str(secret)}
    async with (
        run_nats(tmp_path, config=USERS) as server,
        subscribed(tmp_path, subscription(server, credentials=login), clock=fake_clock, wait=False) as site,
    ):
        await fake_clock.someone_sleeps()
        assert problems(site) == ["the server refuses the credentials: 'Authorization Violation'"]
        assert not connected(site)
        secret.write_text(f"{PASSWORD}\n")
        fake_clock.advance(60)
        await eventually(lambda: connected(site), what="the server lets us in")
        assert leaks(site.log.getvalue()) == []


@KINDS
async def test_a_body_over_the_limit_is_counted_and_hides_no_other(tmp_path: Path, *, jetstream: bool) -> None:
    async with run_nats(tmp_path, jetstream=jetstream) as server, publisher(server) as zot:
        kept = await keep(zot, SUBJECT) if jetstream else None
        async with subscribed(tmp_path, subscription(server, max_body=4096)) as site:
            await publish(zot, b"[" * 4097)
            await publish(zot, PUSH)
            expected = {"accepted": 1, "too_large": 1}
            await eventually(lambda: site.events(NAME) == expected, what="both are counted")
            if kept is not None:
                await eventually(lambda: all_acknowledged(kept, 2), what="neither comes again")
            (refused,) = [line for line in site.lines() if line["event"] == "webhook_refused"]
            assert refused["reason"] == "the body is over the limit of 4096 bytes"


@KINDS
async def test_what_cannot_be_read_is_kept_and_not_sent_again(tmp_path: Path, *, jetstream: bool) -> None:
    async with run_nats(tmp_path, jetstream=jetstream) as server, publisher(server) as zot:
        kept = await keep(zot, SUBJECT) if jetstream else None
        async with subscribed(tmp_path, subscription(server)) as site:
            for body in (b"", b"no event", b'{"specversion": "1.0", "type": "another.thing", "data": {}}'):
                await publish(zot, body)
            await eventually(lambda: site.events(NAME) == {"unparsable": 3}, what="all are counted")
            if kept is not None:
                await eventually(lambda: all_acknowledged(kept, 3), what="none comes again")
            assert any(line["event"] == "webhook_unreadable" for line in site.lines())


class Crashing(Out):
    """A sink with a bug."""

    async def record(self, intents: Sequence[Intent], heard: Sequence[Heard] = ()) -> tuple[Recorded, ...]:
        if any(one.key.reference == "v1" for one in intents):
            raise RuntimeError("a bug")
        self.full = False
        return await super().record(intents, heard)


@KINDS
async def test_a_bug_that_is_met_at_one_message_keeps_no_other_away(tmp_path: Path, *, jetstream: bool) -> None:
    """Of plain NATS those would be lost that are in hand; a stream would send it again and again."""
    missed: list[float] = []
    async with run_nats(tmp_path, jetstream=jetstream) as server, publisher(server) as zot:
        kept = await keep(zot, SUBJECT) if jetstream else None
        async with subscribed(tmp_path, subscription(server), sink=Crashing, missed=missed.append) as site:
            before = len(missed)
            for number in range(3):
                await publish(zot, pushed(f"v{number}"))
            await eventually(lambda: site.events(NAME) == {"accepted": 2, "unparsable": 1}, what="all are counted")
            if kept is not None:
                await eventually(lambda: all_acknowledged(kept, 3), what="none comes again")
            assert (connected(site), problems(site)) == (True, [])
            assert len(missed) == before + 1, "a sweep looks for it"
            assert any(line["event"] == "subscription_crashed" for line in site.lines())


async def test_who_it_is_is_proven_by_a_creds_file(tmp_path: Path) -> None:
    operator = Operator()
    mine, zots = tmp_path / "hook.creds", tmp_path / "zot.creds"
    mine.write_text(operator.user())
    zots.write_text(operator.user())
    async with run_nats(tmp_path, config=operator.config()) as server:
        login = {"creds_file": str(mine)}
        async with (
            publisher(server, user_credentials=str(zots)) as zot,
            subscribed(tmp_path, subscription(server, credentials=login, stream=None)) as site,
        ):
            await publish(zot, PUSH)
            await eventually(lambda: site.events(NAME) == {"accepted": 1}, what="the event has come")
            assert leaks(site.log.getvalue()) == []


async def test_who_it_is_is_proven_by_a_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(PASSWORD)
    async with (
        run_nats(tmp_path, config=f"authorization {{ token: {PASSWORD} }}") as server,
        subscribed(tmp_path, subscription(server, credentials={"token_file": str(token)})) as site,
    ):
        assert connected(site)


async def test_what_the_server_does_not_allow_is_told(tmp_path: Path, fake_clock: FakeClock) -> None:
    """A user who may not subscribe is connected all the same, and would wait for ever."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    config = USERS.replace("}}", "", 1).replace("} ] }", ", permissions: {subscribe: _INBOX.>} } ] }")
    async with run_nats(tmp_path, config=config) as server:
        mine = subscription(server, credentials={"username": "hook", "password_file": str(secret)}, stream=None)
        async with subscribed(tmp_path, mine, clock=fake_clock, wait=False) as site:
            await fake_clock.someone_sleeps()
            (problem,) = problems(site)
            assert problem.startswith("the server does not allow it: ")
            assert SUBJECT in problem
            assert not connected(site)


async def test_a_stream_that_is_named_has_to_be_there(tmp_path: Path, fake_clock: FakeClock) -> None:
    async with (
        run_nats(tmp_path, jetstream=True) as server,
        publisher(server) as zot,
        subscribed(tmp_path, subscription(server, stream="events"), clock=fake_clock, wait=False) as site,
    ):
        await fake_clock.someone_sleeps()
        assert "stream not found" in problems(site)[0]
        await keep(zot, SUBJECT)
        fake_clock.advance(60)
        await eventually(lambda: connected(site), what="it is there")


async def test_a_consumer_of_somebody_else_is_left_alone(tmp_path: Path, fake_clock: FakeClock) -> None:
    async with run_nats(tmp_path, jetstream=True) as server, publisher(server) as zot:
        jetstream = await keep(zot, "zot.>")
        config = ConsumerConfig(durable_name="replicator", filter_subject="zot.other", ack_policy=AckPolicy.EXPLICIT)
        await jetstream.add_consumer("events", config=config)
        async with subscribed(tmp_path, subscription(server), clock=fake_clock, wait=False) as site:
            await fake_clock.someone_sleeps()
            assert problems(site)[0].startswith("the consumer replicator of the stream events is another one's")


async def test_a_consumer_that_is_removed_is_made_again(
    tmp_path: Path, fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older servers do not tell those who wait for its messages: they find out when they ask again."""
    monkeypatch.setattr(nats_feed, "FETCH_SECONDS", 0.3)
    async with run_nats(tmp_path, jetstream=True) as server, publisher(server) as zot:
        jetstream = await keep(zot, SUBJECT)
        async with subscribed(tmp_path, subscription(server), clock=fake_clock) as site:
            await jetstream.delete_consumer("events", "replicator")
            await eventually(lambda: not connected(site), what="it is gone")
            await fake_clock.someone_sleeps()
            fake_clock.advance(60)
            await eventually(lambda: connected(site), what="it is there again")
            await publish(zot, PUSH)
            await eventually(lambda: site.events(NAME) == {"accepted": 1}, what="the event has come")


async def test_over_tls_the_certificate_counts(tmp_path: Path, fake_clock: FakeClock) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    file = tmp_path / "server.pem"
    async with run_nats(tmp_path, config=f"tls {{ cert_file: {file}, key_file: {file} }}") as server:
        url = f"tls://{server.host}"
        async with subscribed(tmp_path, subscription(url, tls={"ca_file": str(tmp_path / "ca.pem")})) as site:
            assert connected(site)
        strange = subscription(url, tls={"ca_file": str(tmp_path / "stranger.pem")})
        async with subscribed(tmp_path, strange, clock=fake_clock, wait=False) as site:
            await fake_clock.someone_sleeps()
            assert problems(site)[0].startswith("the certificate is not trusted")


@pytest.mark.parametrize("login", ["password", "creds", "nobody"])
async def test_a_server_that_does_not_speak_tls_is_told_nothing(
    tmp_path: Path, fake_clock: FakeClock, login: str
) -> None:
    """Somebody in between can say that there is no TLS: then nothing may follow."""
    told: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.9.10","headers":true,"max_payload":1048576,"nonce":"x",')
        writer.write(b'"auth_required":true}\r\n')
        told.append(await reader.read(4096))
        writer.close()

    secret, creds = tmp_path / "password", tmp_path / "hook.creds"
    secret.write_text(PASSWORD)
    creds.write_text(Operator().user())
    logins = {
        "password": {"username": "hook", "password_file": str(secret)},
        "creds": {"creds_file": str(creds)},
        "nobody": None,
    }
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        url = f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        mine = subscription(url, credentials=logins[login], stream=None)
        async with subscribed(tmp_path, mine, clock=fake_clock, wait=False) as site:
            await fake_clock.someone_sleeps(within=20)
            if login != "nobody":
                assert problems(site) == ["the server does not speak TLS"]
                await eventually(lambda: told, what="the end of the connection has got there")
                assert told == [b""]
            assert not any(b"SUB" in one for one in told)
            assert not connected(site)


async def test_what_is_in_hand_at_the_end_is_put_on_disk(tmp_path: Path) -> None:
    async with run_nats(tmp_path) as server, publisher(server) as zot:
        async with subscribed(tmp_path, subscription(server)) as site:
            for number in range(200):
                await zot.publish(SUBJECT, pushed(f"v{number}"))
            await zot.flush()
            await eventually(lambda: site.events(NAME), what="the first ones have come")
        before: Running = site
        assert before.events(NAME)["accepted"] >= 1
        assert connected(site) is False


async def test_the_rights_that_the_guide_lists_are_enough(tmp_path: Path) -> None:
    """`docs/webhooks.md` names them; the stream is another user's."""
    guide = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    (line,) = [line for line in guide.splitlines() if line.startswith("- Rights of the user with a stream: ")]
    names = {"STREAM": "events", "DURABLE": "replicator", "SUBJECT": SUBJECT}
    rights = [
        ".".join(
            names.get(word, word) if at > 3 or "ACK" in right else word for at, word in enumerate(right.split("."))
        )
        for right in re.findall(r"`(\$JS[^`]+)`", line)
    ]
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    hook = (
        f'{{user: hook, password: {PASSWORD}, permissions: {{publish: {json.dumps(rights)}, subscribe: "_INBOX.>"}}}}'
    )
    async with (
        run_nats(
            tmp_path,
            jetstream=True,
            config=f"authorization {{ users: [ {hook}, {{user: zot, password: canary-zot}} ] }}",
        ) as server,
        publisher(server, user="zot", password="canary-zot") as zot,
    ):
        jetstream = await keep(zot, SUBJECT)
        login = {"username": "hook", "password_file": str(secret)}
        async with subscribed(tmp_path, subscription(server, credentials=login)) as site:
            await publish(zot, PUSH)
            await eventually(lambda: site.events(NAME) == {"accepted": 1}, what="the event has come")
            await eventually(lambda: all_acknowledged(jetstream, 1), what="it is acknowledged")
            assert problems(site) == []
