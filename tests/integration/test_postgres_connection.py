"""The store's connection to a real PostgreSQL: what a cut leaves behind, whose the store is then, what is refused."""

import asyncio
import contextlib
import dataclasses
import random
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest

from replicator.admin.health import Health
from replicator.cli.store_probe import lines_of, look_at
from replicator.clock import SystemClock
from replicator.errors import SettingsError, StoreError
from replicator.model import Digest, Intent, IntentKey, parse_repository, parse_tag
from replicator.settings.schema import Store as Where
from replicator.store import postgres as postgres_store
from replicator.store import postgres_connection
from replicator.store.held import Held
from replicator.store.moment import one_moment
from replicator.store.outcome import Done, Result
from replicator.store.ownership import Ownership
from replicator.store.postgres import PostgresStore
from replicator.store.postgres_connection import PostgresConnection
from replicator.store.postgres_place import Place, Server, connect
from replicator.store.session import Session
from tests.support.cutting import cut_off
from tests.support.eventually import eventually
from tests.support.postgres import Postgres, run_postgres


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with run_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


_THERE = "SELECT to_regclass('followed.state') IS NOT NULL"
_OURS = "locktype = 'advisory' AND objid = hashtext('followed')::oid"


def connected(place: Place) -> PostgresConnection:
    def nothing(connection: PostgresConnection) -> None:
        del connection

    return PostgresConnection(place, nothing, SystemClock(), random.Random(1))


async def opened(place: Place) -> PostgresStore:
    return await PostgresStore.open(place, clock=SystemClock(), rng=random.Random())


class Relay:
    """Carries bytes to the server; `cut` ends all connections of clients, of which the server hears nothing.

    While `swallows` is not empty, the answer to the next statement that holds it is not passed on, and all are cut.
    """

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._clients: list[asyncio.StreamWriter] = []
        self._listener: asyncio.Server | None = None
        self._servers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.port = 0
        self.swallows = b""

    async def listen(self) -> None:
        """Take connections, on the port of before."""
        self._listener = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Take no more connections; those that are there go on."""
        assert self._listener is not None
        self._listener.close()

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        host, _, port = self._server.host.partition(":")
        server, forth = await asyncio.open_connection(host, int(port))
        self._clients.append(back)
        self._servers.append(forth)
        told = asyncio.Event()
        self._tasks += [
            asyncio.create_task(self._forth(client, forth, told)),
            asyncio.create_task(self._back(server, back, told)),
        ]

    def cut(self) -> None:
        for writer in self._clients:
            cut_off(writer)

    async def _forth(self, client: asyncio.StreamReader, server: asyncio.StreamWriter, told: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await client.read(65536):
                if self.swallows and self.swallows in data:
                    told.set()
                server.write(data)
                await server.drain()

    async def _back(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, told: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await server.read(65536):
                if told.is_set():
                    self.swallows = b""
                    self.cut()
                    return
                client.write(data)
                await client.drain()
        client.close()

    async def end(self) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in (*self._servers, *self._clients):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def relayed(server: Postgres) -> AsyncIterator[Relay]:
    relay = Relay(server)
    await relay.listen()
    try:
        yield relay
    finally:
        await relay.end()


def test_what_is_left_of_a_transaction_that_was_cut_is_not_done_alone(postgres: Postgres) -> None:
    postgres.ask("CREATE TABLE left_over (number bigint)")
    connection = connected(Place(postgres.url()))
    connection.begin("")
    connection.execute("INSERT INTO left_over VALUES (1)")
    postgres.cut_all()
    for statement in ("INSERT INTO left_over VALUES (2)", "INSERT INTO left_over VALUES (3)", "COMMIT"):
        with pytest.raises(StoreError):
            connection.execute(statement)
    assert connection.execute("SELECT count(*) FROM left_over").fetchone() == (0,)
    assert connection.opened == 2
    connection.close()


def test_a_moment_that_was_cut_is_over(postgres: Postgres) -> None:
    """Else all that is read outside a moment is refused until somebody begins another one."""
    connection = connected(Place(postgres.url()))

    def ask_within_a_moment() -> None:
        with one_moment(connection):
            postgres.cut_all()
            connection.execute("SELECT 2")

    with pytest.raises(StoreError, match="terminating"):
        ask_within_a_moment()
    assert connection.execute("SELECT 3").fetchone() == (3,)
    assert connection.opened == 2
    connection.close()


def test_what_failed_is_not_committed_as_if_it_were_whole(postgres: Postgres) -> None:
    connection = connected(Place(postgres.url()))
    connection.begin("")
    with pytest.raises(StoreError, match="division by zero"):
        connection.execute("SELECT 1 / 0")
    with pytest.raises(StoreError, match="rolled the transaction back"):
        connection.execute("COMMIT")
    connection.close()


def test_what_fails_among_many_is_told_by_its_own_words_and_the_connection_goes_on(postgres: Postgres) -> None:
    postgres.ask("CREATE TABLE many (number bigint UNIQUE)")
    connection = connected(Place(postgres.url()))
    add = "INSERT INTO many VALUES (%(number)s) RETURNING number"
    connection.begin("")
    assert connection.execute_each(add, [{"number": number} for number in range(3)]) == [[(0,)], [(1,)], [(2,)]]
    with pytest.raises(StoreError, match="duplicate key"):
        connection.execute_each(add, [{"number": 3}, {"number": 1}, {"number": 4}])
    assert connection.in_transaction
    connection.execute("ROLLBACK")
    connection.begin("")
    assert connection.execute_each(add, [{"number": 3}, {"number": 4}]) == [[(3,)], [(4,)]]
    connection.execute("COMMIT")
    assert connection.total_changes == 5, "what was rolled back too: as SQLite counts"
    assert postgres.ask("SELECT sum(number) FROM many") == [(7,)]
    assert connection.opened == 1
    connection.close()


def test_what_goes_with_the_commit_is_kept_with_it_or_nothing_is(postgres: Postgres) -> None:
    postgres.ask("CREATE TABLE last (number bigint UNIQUE)")
    connection = connected(Place(postgres.url()))
    add = "INSERT INTO last VALUES (%(number)s)"
    for first, numbers, kept in ((11, [2, 3], 3), (12, [4, 2], 3), (13, [5], 5)):
        connection.begin("")
        connection.execute(add, {"number": first})
        connection.at_commit(add, [{"number": number} for number in numbers])
        if 4 in numbers:
            with pytest.raises(StoreError, match="duplicate key"):
                connection.execute("COMMIT")
            assert connection.in_transaction
            connection.execute("ROLLBACK")
        else:
            connection.execute("COMMIT")
        assert postgres.ask("SELECT count(*) FROM last") == [(kept,)]
    connection.close()


def test_a_password_that_cannot_be_read_is_the_store_s_trouble(postgres: Postgres) -> None:
    def unreadable() -> str | None:
        raise SettingsError("the file /run/secrets/database is empty")

    with pytest.raises(StoreError, match="the password for the database cannot be read: the file"):
        connected(Place(postgres.url(), unreadable))


async def test_a_server_that_hangs_is_no_fault_of_ours_and_one_of_our_thread_is(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alive and not ready: a restart would mend nothing."""
    monkeypatch.setattr(postgres_store, "PATIENCE", 0.05)
    postgres.ask("CREATE SCHEMA hung")
    store = await opened(Place(postgres.url("hung")))
    health = Health(store=store, intake_open=lambda: True, clock=SystemClock(), within=0.2)
    postgres.pause()
    try:
        assert (await health.ready()).problem == "the store did not answer within 0.2 s"
        assert (await dataclasses.replace(health, within=60.0).live()).problem == ""
        for _ in range(2):
            with anyio.move_on_after(0.05) as asked:
                await store.summary()
            assert asked.cancelled_caught, "metrics are told without it"
    finally:
        postgres.resume()
    assert (await dataclasses.replace(health, within=60.0).ready()).problem == ""
    assert (await store.summary()).replicas == {}
    begun, stuck = threading.Event(), threading.Event()

    def hang(_session: Session) -> None:
        begun.set()
        stuck.wait(60)

    async with anyio.create_task_group() as group:
        group.start_soon(store.submit, hang)
        await anyio.to_thread.run_sync(begun.wait)
        assert (await health.live()).problem == "the store did not answer within 0.2 s"
        stuck.set()
    await store.close()


async def test_what_check_says_of_a_database(postgres: Postgres) -> None:
    postgres.ask("CREATE SCHEMA checked")
    postgres.ask("CREATE ROLE guest LOGIN")
    postgres.ask("GRANT USAGE ON SCHEMA checked TO guest")
    url = postgres.url("checked")
    fresh = await look_at(Where(url=url))
    assert (fresh.ok, fresh.tables, fresh.holder) == (True, "made at the start", "")
    store = await opened(Place(url))
    used = await look_at(Where(url=url))
    assert (used.ok, used.tables) == (True, "there")
    assert any("a daemon works with it (from 127.0.0.1, since 2" in line for line in lines_of(used))
    await store.close()
    for wrong, said, right in (
        (url.replace("/postgres?", "/nowhere?"), 'database "nowhere" does not exist', "CREATE DATABASE"),
        (url.replace("postgres@", "nobody@"), 'role "nobody" does not exist', "CREATE ROLE"),
        (url.replace("postgres@", "guest@"), "may not make tables in the schema checked", "owner"),
        (postgres.url("none"), "none of the schemas", "CREATE SCHEMA"),
        (f"{url}%20-cdefault_transaction_read_only%3Don", "read-only", "may be written"),
        (f"{url}&sslmode=require", "does not support SSL", "turn ssl on"),
        ("postgresql://postgres@nowhere.invalid/postgres", "nowhere.invalid", "DNS"),
        ("postgresql://postgres@127.0.0.1:1/postgres", "refused", "that the server runs"),
    ):
        finding = await look_at(Where(url=wrong))
        assert (finding.ok, said in finding.problem, right in finding.advice) == (False, True, True), finding


async def test_a_schema_that_is_missing_is_told(postgres: Postgres) -> None:
    with pytest.raises(StoreError, match="none of the schemas"):
        await opened(Place(postgres.url("nowhere")))


async def test_tables_are_made_all_or_none(postgres: Postgres) -> None:
    postgres.ask("CREATE SCHEMA half")
    postgres.ask("CREATE SEQUENCE sweep", schema="half")
    with pytest.raises(StoreError, match="cannot be brought up to date"):
        await opened(Place(postgres.url("half")))
    assert postgres.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'half'") == [(0,)]
    postgres.ask("DROP SEQUENCE sweep", schema="half")
    store = await opened(Place(postgres.url("half")))
    assert await store.writable()
    await store.close()


async def test_a_session_of_ours_that_the_server_takes_for_alive_is_no_stranger(postgres: Postgres) -> None:
    postgres.ask("CREATE SCHEMA relayed")
    async with relayed(postgres) as relay:
        place = Place(postgres.url("relayed").replace(postgres.host, f"127.0.0.1:{relay.port}"))
        store = await opened(place)
        relay.cut()
        with contextlib.suppress(StoreError):
            await store.tick()
        assert await store.writable()
        with pytest.raises(Held):
            await opened(place)
        await store.close()


async def test_what_was_leased_by_a_commit_whose_answer_was_lost_is_due_at_once(postgres: Postgres) -> None:
    """The row is leased, and nobody knows of it: it must not wait until that lease has run out."""
    postgres.ask("CREATE SCHEMA swallowed")
    async with relayed(postgres) as relay:
        store = await opened(Place(postgres.url("swallowed").replace(postgres.host, f"127.0.0.1:{relay.port}")))
        key = IntentKey("eu", parse_repository("team/app"), parse_tag("v1"))
        await store.record([Intent(key=key, digest=None, since=0.0, due_at=0.0)])
        relay.swallows = b"COMMIT"
        with pytest.raises(StoreError):
            await store.lease("eu", 1, 60.0)
        (epoch,) = postgres.ask("SELECT lease_epoch FROM intent WHERE lease_owner IS NOT NULL", schema="swallowed")
        (lease,) = await store.lease("eu", 1, 60.0)
        assert (lease.key, lease.epoch > epoch[0]) == (key, True)
        assert await store.lease("eu", 1, 60.0) == (), "what is known of stays leased"
        assert await store.renew([lease], 60.0) == {key}
        await store.close()


async def test_what_was_settled_by_a_commit_whose_answer_was_lost_is_settled_when_told_again(
    postgres: Postgres,
) -> None:
    """It is nobody else's: what was put is no reason to do it again, and whoever follows it hears of its end."""
    postgres.ask("CREATE SCHEMA told_again")
    async with relayed(postgres) as relay:
        store = await opened(Place(postgres.url("told_again").replace(postgres.host, f"127.0.0.1:{relay.port}")))
        key = IntentKey("eu", parse_repository("team/app"), parse_tag("v1"))
        await store.record([Intent(key=key, digest=None, since=0.0, due_at=0.0)])
        (lease,) = await store.lease("eu", 1, 60.0)
        done = Done(result=Result.COPIED, digest=Digest.of(b"image"))
        relay.swallows = b"COMMIT"
        with pytest.raises(StoreError):
            await store.settle(lease, done)
        assert await store.settle(lease, done)
        assert (await store.summary()).replica("eu").owed == 0
        assert not await store.settle(lease, done), "once"
        await store.close()


async def test_what_was_changed_by_a_commit_whose_answer_was_lost_is_told_with_the_next(postgres: Postgres) -> None:
    """Else whoever waits for work sleeps on: told again, the same change changes nothing."""
    postgres.ask("CREATE SCHEMA unheard")
    async with relayed(postgres) as relay:
        store = await opened(Place(postgres.url("unheard").replace(postgres.host, f"127.0.0.1:{relay.port}")))
        heard: list[IntentKey] = []
        store.listen(heard.extend)
        key = IntentKey("eu", parse_repository("team/app"), parse_tag("v1"))
        relay.swallows = b"COMMIT"
        with pytest.raises(StoreError):
            await store.record([Intent(key=key, digest=None, since=0.0, due_at=0.0)])
        assert heard == [], "nobody knows yet"
        assert postgres.ask("SELECT count(*) FROM intent", schema="unheard") == [(1,)]
        assert await store.writable()
        assert heard == [key]
        assert await store.writable()
        assert heard == [key], "told once"
        await store.close()


async def test_a_lock_of_ours_whose_answer_was_lost_is_no_stranger_s(postgres: Postgres) -> None:
    """The server takes the session that has it for alive, and it was never ours as far as we know."""
    postgres.ask("CREATE SCHEMA unanswered")
    async with relayed(postgres) as relay:
        place = Place(postgres.url("unanswered").replace(postgres.host, f"127.0.0.1:{relay.port}"))
        store = await opened(place)
        relay.swallows = b"pg_try_advisory_lock"
        postgres.cut_all()
        await eventually(store.writable, what="the lock is taken once more")
        assert relay.swallows == b"", "an answer was lost"
        with pytest.raises(Held):
            await opened(place)
        await store.close()


@pytest.mark.parametrize("lost", ["pg_try_advisory_lock", "SET holder"])
async def test_a_lock_that_a_failed_try_to_open_left_behind_is_no_stranger_s(postgres: Postgres, lost: str) -> None:
    """Who stands by tries again: it would wait for itself as long as the server takes that session for alive."""
    schema = f"left_{len(lost)}"
    postgres.ask(f"CREATE SCHEMA {schema}")
    async with relayed(postgres) as relay:
        place = Place(postgres.url(schema).replace(postgres.host, f"127.0.0.1:{relay.port}"))
        relay.swallows = lost.encode()
        with pytest.raises(StoreError) as failed:
            await opened(place)
        assert not isinstance(failed.value, Held)
        store = await opened(place)
        assert await store.writable()
        with pytest.raises(Held):
            await opened(place)
        assert await store.writable(), "nobody's lock was taken away"
        await store.close()


async def test_whoever_reads_follows_whoever_writes_and_not_a_former_primary_that_lives_on(
    tmp_path: Path, postgres: Postgres
) -> None:
    """Which is the first in the URL, and can be written again: a wait would never end, and a status would be old."""
    postgres.ask("CREATE SCHEMA followed")
    standby = Postgres(tmp_path)
    try:
        standby.copy_of(postgres)
        standby.start()
        async with relayed(postgres) as relay:
            url = postgres.url("followed", standby).replace(postgres.host, f"127.0.0.1:{relay.port}", 1)
            store = await opened(Place(url))
            await eventually(lambda: standby.ask(_THERE) == [(True,)], what="the standby has the tables")
            standby.promote()
            relay.refuse()
            postgres.ask(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {_OURS}")
            key = IntentKey("eu", parse_repository("team/app"), parse_tag("v1"))
            await store.record([Intent(key=key, digest=None, since=0.0, due_at=0.0)])
            await relay.listen()
            assert await store.row(key) is not None
            relay.refuse()
            standby.kill()
            with pytest.raises(StoreError, match="not reached"):
                await store.row(key)
            standby.start()

            async def is_read() -> bool:
                with contextlib.suppress(StoreError):
                    return await store.row(key) is not None
                return False

            await eventually(is_read, what="it is read again, with nothing written meanwhile")
            await store.close()
    finally:
        standby.discard()


def test_a_process_of_the_server_with_the_number_of_a_former_one_of_ours_is_a_stranger(postgres: Postgres) -> None:
    """The server, or the one that took its place, gives numbers again: another daemon's session would be ended."""
    postgres.ask("CREATE SCHEMA reused")
    place = Place(postgres.url("reused"))
    ours, another = Ownership("ours"), Ownership("another's")
    former = PostgresConnection(place, ours.set_up, SystemClock(), random.Random(1))
    (number,) = former.execute("SELECT pg_backend_pid()").fetchone()
    former.close()
    working = PostgresConnection(place, another.set_up, SystemClock(), random.Random(1))
    # As if it had that number: the view comes before the server's own.
    columns = "locktype, granted, objsubid, database, classid, objid"
    postgres.ask(
        f"CREATE VIEW pg_locks AS SELECT {number} AS pid, {columns} FROM pg_catalog.pg_locks", schema="reused"
    )
    with pytest.raises(Held):
        PostgresConnection(Place(postgres.url("reused,pg_catalog")), ours.set_up, SystemClock(), random.Random(1))
    working.close()


async def test_an_end_does_not_wait_for_a_server_that_answers_nothing(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine acknowledges packets: whoever is told to end would do so never, with what it waits for."""
    monkeypatch.setattr(postgres_store, "LAST_WORD", 0.05)
    for schema in ("silent", "silent_too"):
        postgres.ask(f"CREATE SCHEMA {schema}")
    idle, busy = Place(postgres.url("silent")), Place(postgres.url("silent_too"))
    stores = [await opened(idle), await opened(busy)]
    postgres.pause()
    try:
        for wait in (stores[1].summary, stores[1].writable):
            with anyio.move_on_after(0.05) as asked:
                await wait()
            assert asked.cancelled_caught
        for store in stores:
            await store.close()
    finally:
        postgres.resume()

    async def is_free(place: Place) -> bool:
        with contextlib.suppress(Held):
            await (await opened(place)).close()
            return True
        return False

    for place in (idle, busy):
        await eventually(partial(is_free, place), what="the server has noticed their end")


async def test_a_machine_that_is_gone_without_a_word_is_soon_noticed(postgres: Postgres) -> None:
    """By the server, which would else keep its lock for two hours: nobody could take its place."""
    postgres.ask("CREATE SCHEMA gone")
    store = await opened(Place(postgres.url("gone")))

    def of_session(session: Session) -> list[int]:
        names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
        asked = "SELECT setting FROM pg_settings WHERE name = %(name)s"
        return [int(session.connection.execute(asked, {"name": one}).fetchone()[0]) for one in names]

    idle, interval, count = await store.submit(of_session)
    assert 0 < idle + interval * count <= 15
    await store.close()


@pytest.mark.parametrize("left", ["pipeline", "pipeline under way", "statement under way"])
def test_a_connection_that_was_left_in_the_middle_of_something_is_given_up(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """As a cut leaves it where the server's last words come before its end: it would refuse everything for ever."""
    raws: list[psycopg.Connection[Any]] = []

    def caught(place: Place, at: Server | None) -> psycopg.Connection[Any]:
        raws.append(connect(place, at=at))
        return raws[-1]

    monkeypatch.setattr(postgres_connection, "connect", caught)
    connection = connected(Place(postgres.url()))
    if left.startswith("pipeline"):
        raws[0].pgconn.enter_pipeline_mode()
    if left.endswith("under way"):
        raws[0].pgconn.send_query_params(b"SELECT 1", None)
    connection.begin("")
    assert connection.execute("SELECT 2").fetchone() == (2,)
    connection.execute("COMMIT")
    assert (connection.opened, raws[0].closed) == (2, True)
    connection.close()


async def test_a_store_that_was_closed_can_be_opened_at_once(postgres: Postgres) -> None:
    postgres.ask("CREATE SCHEMA again")
    for _ in range(20):
        store = await opened(Place(postgres.url("again")))
        await store.close()


async def test_whoever_finds_another_s_name_there_has_lost_the_store(postgres: Postgres) -> None:
    postgres.ask("CREATE SCHEMA lost")
    first = await opened(Place(postgres.url("lost")))
    postgres.ask("UPDATE state SET holder = 'somebody else'", schema="lost")
    postgres.cut_all()
    assert not await first.writable()
    assert await first.lost() == "another daemon has taken the store over"
    assert not first.healthy()
    with pytest.raises(StoreError):
        await first.tick()
    await first.close()


def test_a_password_that_was_rotated_is_used_by_the_next_connection(tmp_path: Path) -> None:
    rules = Path(tempfile.mkdtemp(prefix="replicator-hba-")) / "hba"  # not below the test's folder, as the server's
    rules.parent.chmod(0o755)
    rules.write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    server, password = Postgres(tmp_path), "wrong-canary"
    try:
        server.create()
        server.start({"hba_file": str(rules)})
        server.ask("CREATE ROLE daemon LOGIN PASSWORD 'first-canary'")
        place = Place(server.url().replace("postgres@", "daemon@", 1), lambda: password)
        with pytest.raises(StoreError, match="password authentication failed") as refused:
            connected(place)
        assert "canary" not in f"{refused.value} {place!r}"
        password = "first-canary"
        connection = connected(place)
        server.ask("ALTER ROLE daemon PASSWORD 'second-canary'")
        password = "second-canary"
        server.cut_all()
        assert connection.execute("SELECT current_user").fetchone() == ("daemon",)
        assert connection.opened == 2
        connection.close()
    finally:
        server.discard()
        shutil.rmtree(rules.parent)


async def test_a_server_that_syncs_nothing_is_refused(tmp_path: Path, postgres: Postgres) -> None:
    del postgres
    careless = Postgres(tmp_path)
    try:
        careless.create()
        careless.start({"fsync": "off"})
        with pytest.raises(StoreError, match="fsync = off"):
            await opened(Place(careless.url()))
        finding = await look_at(Where(url=careless.url()))
        assert (finding.ok, finding.advice) == (False, "turn fsync on in postgresql.conf, and start the server anew")
    finally:
        careless.discard()
