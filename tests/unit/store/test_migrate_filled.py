"""A database that an earlier version filled keeps every row, and the store of this version works on them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from replicator.errors import Reason
from replicator.model import Digest, IntentKey, Repository, Tag
from replicator.store import migrate as migration
from replicator.store.connections import open_writer
from replicator.store.encoding import pack_digest, pack_reference
from replicator.store.lock import make_private
from replicator.store.migrate import apply_steps, migrate
from replicator.store.rows import KeptUpload
from replicator.store.sqlite import SqliteStore
from tests.support.fake_clock import FakeClock

_SCRIPTS = str(Path(migration.__file__).parent / "migrations")
REVISIONS = [step.revision for step in ScriptDirectory(_SCRIPTS).walk_revisions()][::-1]
APP, OLD = Digest("sha256", "a" * 64), Digest("sha512", "b" * 128)
OWED, PARKED, CLEAN, BY_DIGEST = (
    IntentKey(replica, Repository("team/app"), reference)
    for replica, reference in (("eu", Tag("owed")), ("eu", Tag("parked")), ("us", Tag("clean")), ("us", OLD))
)
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'alembic%'"


def intent(key: IntentKey, **more: Any) -> dict[str, Any]:
    row = {"replica": key.replica, "repository_id": 7, "reference": pack_reference(key.reference)}
    return row | {"generation": 3, "priority": 1, "policy_id": 5} | more


def rows(revision: str) -> dict[str, list[dict[str, Any]]]:
    """Return what a version at this revision would have written, at least one row for each table."""
    owed = {"observed_generation": 1, "dirty_since": 50.5, "due_at": 60.25, "want_digest": pack_digest(APP)}
    failed = {"attempts": 9, "failing_since": 51.5, "reason": "network", "message": "no route", "parked": 1}
    clean = {"observed_generation": 3, "have_digest": pack_digest(OLD), "verify_at": 900.0, "looks": 2}
    filled: dict[str, list[dict[str, Any]]] = {
        "repository": [{"id": 7, "name": "team/app"}],
        "policy": [{"id": 5, "fingerprint": "rules"}],
        "intent": [
            intent(OWED, **owed, next_dirty_since=55.5, lease_owner="former", lease_epoch=40, lease_until=1e9),
            intent(PARKED, **owed, **failed, deadline_missed=1, doubt_at=70.5),
            intent(CLEAN, **clean),
            intent(BY_DIGEST, observed_generation=3, have_digest=pack_digest(OLD)),
        ],
        "blob_location": [{"replica": "eu", "digest": pack_digest(APP), "repository_id": 7, "seen_at": 40.5}],
        "delivery": [{"id": 1, "endpoint": "primary", "reason": "no JSON", "body": b"\x00{", "received_at": 30.5}],
        "state": [{"id": 1, "epoch": 41, "heartbeat_at": 99.5}],
    }
    if revision >= "0002":
        place = {"location": "http://eu/v2/team/app/blobs/uploads/1", "position": 512, "expires_at": 1e12}
        filled["upload"] = [{"replica": "eu", "repository_id": 7, "digest": pack_digest(APP), **place}]
    if revision >= "0003":
        filled["intent"][0]["delivery"] = bytes(range(16))
    if revision >= "0004":
        filled["lane"] = [{"replica": "ap", "paused_since": 77.5}]
    if revision >= "0005":
        filled["intent"][0]["backfill"] = 1
        filled["sweep"] = [
            {"repository_id": 7, "found_at": 1.5, "next_at": 3.5, "full_next_at": 4.5, "scope": "rules"}
        ]
    if revision >= "0006":
        key = {"replica": "us", "repository_id": 7, "reference": pack_reference(CLEAN.reference)}
        filled["ignored"] = [{**key, "digest": pack_digest(APP), "since": 44.5, "ignored_at": 45.5}]
    if revision >= "0007":
        entry = {"reference": pack_reference(CLEAN.reference), "digest": pack_digest(OLD), "what": "put", "at": 20.5}
        filled["tag_history"] = [{"id": 3, "replica": "us", "repository_id": 7, **entry}]
    if revision >= "0008":
        filled["intent"][1]["told"] = 1
        message = {"id": 3, "receiver": "deploy", "message": "msg_1", "happening": "parked", "body": b"{}"}
        filled["notification"] = [{**message, "created_at": 51.5, "due_at": 52.5}]
    if revision >= "0009":
        place = {"replica": "us", "repository_id": 7, "reference": pack_reference(CLEAN.reference)}
        filled["repair"] = [place | {"digest": pack_digest(APP), "generation": 3}]
    if revision >= "0010":
        filled["verification"] = [{"replica": "us", "repository_id": 7, "reference": b"v1", "whole_repository_id": 0}]
    _fill_newer(revision, filled)
    return filled


def _fill_newer(revision: str, filled: dict[str, list[dict[str, Any]]]) -> None:
    if revision >= "0011":
        filled["intent"][2]["put"] = 1
        filled["lane"][0]["deletes_stopped_since"] = 78.5
        filled["deletion"] = [
            {
                "replica": "us",
                "repository_id": 7,
                "reference": pack_reference(CLEAN.reference),
                "found_at": 46.5,
                "due_at": 47.5,
                "approved": 0,
                "left": "unsupported",
            }
        ]
    if revision >= "0012":
        filled["event"] = [{"id": 9, "repository": "team/app", "reference": b"v1", "told": bytes(64)}]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    make_private(tmp_path / "replicator.db")
    with closing(open_writer(tmp_path / "replicator.db")) as connection:
        yield connection


def fill(connection: sqlite3.Connection, revision: str) -> None:
    """Make the database as the version of this revision had it."""
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    with engine.begin() as shared:
        apply_steps(shared, revision)
    connection.execute("DELETE FROM state")
    for table, entries in rows(revision).items():
        for entry in entries:
            names, marks = ", ".join(entry), ", ".join("?" * len(entry))
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(entry.values()))


def contents(connection: sqlite3.Connection) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, by column."""
    found: dict[str, list[dict[str, Any]]] = {}
    for (table,) in connection.execute(_TABLES).fetchall():
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        found[table] = [dict(zip(names, row, strict=True)) for row in cursor]
    return found


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_row_of_every_table_survives(connection: sqlite3.Connection, revision: str) -> None:
    fill(connection, revision)
    before = contents(connection)
    assert all(before.values()), "a table of this revision was not filled"
    migrate(connection)
    after = contents(connection)
    for table, entries in before.items():
        kept = [{name: row[name] for name in entries[0]} for row in after[table]]
        assert kept == entries, table
        added = after[table][0].keys() - entries[0].keys()
        assert {row[name] for row in after[table] for name in added} <= {None}, f"nothing is known of {added}"
    assert {table for table in after if table not in before and after[table]} == set()
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISIONS[-1],)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_store_goes_on_where_the_earlier_version_stopped(
    connection: sqlite3.Connection, revision: str, tmp_path: Path
) -> None:
    fill(connection, revision)
    connection.close()
    store = await SqliteStore.open(tmp_path / "replicator.db", clock=FakeClock())
    try:
        summary = await store.summary()
        assert (summary.replica("eu").owed, summary.replica("eu").parked) == (2, 1)
        assert summary.replica("eu").since == 50.5, "lag goes on from when it began"
        assert (summary.replica("us").owed, summary.replica("us").looks) == (0, 1)
        parked, by_digest = await store.row(PARKED), await store.row(BY_DIGEST)
        assert parked is not None
        assert by_digest is not None
        assert (parked.reason, parked.message, parked.attempts) == (Reason.NETWORK, "no route", 9)
        assert (by_digest.have, by_digest.fingerprint) == (OLD, "rules")
        assert await store.locations("eu", [APP]) == {APP: (OWED.repository,)}
        assert [entry.body for entry in await store.unreadable()] == [b"\x00{"]
        place = KeptUpload(location="http://eu/v2/team/app/blobs/uploads/1", position=512)
        assert await store.kept_upload("eu", OWED.repository, APP) == (place if revision >= "0002" else None)
        assert [row.key for row in await store.rows(only_ignored=True)] == ([CLEAN] if revision >= "0006" else [])
        assert await store.paused_since("ap") == (77.5 if revision >= "0004" else None)
        leases = {lease.key: lease for lease in await store.lease("eu", 10, 60.0)}
        assert leases.keys() == {OWED, PARKED}, "the former owner's lease holds nothing back"
        assert min(lease.epoch for lease in leases.values()) > 41, "an epoch never comes twice"
        assert leases[OWED].delivery == (str(UUID(bytes=bytes(range(16)))) if revision >= "0003" else "")
    finally:
        await store.close()
