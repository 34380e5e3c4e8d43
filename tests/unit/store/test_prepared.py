"""Statements are compiled once; a constant in them must not become a parameter that nobody sends."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import bindparam, literal_column, select

from replicator.store import hints, ignored, ignoring, places, queries, statements, summaries
from replicator.store.connections import open_writer
from replicator.store.lock import make_private
from replicator.store.migrate import migrate
from replicator.store.prepared import Prepared
from replicator.store.tables import intent


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    make_private(tmp_path / "replicator.db")
    with closing(open_writer(tmp_path / "replicator.db")) as connection:
        migrate(connection)
        yield connection


def test_a_constant_must_be_written_as_a_literal() -> None:
    with pytest.raises(ValueError, match="literal"):
        Prepared(select(intent.c.replica).where(intent.c.parked == 1))
    assert Prepared(select(intent.c.replica).where(intent.c.parked == literal_column("1"))).sql.endswith("= 1")


def test_a_statement_runs_with_named_parameters(connection: sqlite3.Connection) -> None:
    statement = Prepared(select(bindparam("one"), bindparam("two")))
    assert statement.run(connection, {"two": 2, "one": "x"}).fetchall() == [("x", 2)]


def plan(connection: sqlite3.Connection, statement: Prepared) -> list[str]:
    """Return SQLite's plan for a statement."""
    names = {part.split()[0].strip("(),") for part in statement.sql.replace(":", " :").split(" :")[1:]}
    lines = connection.execute("EXPLAIN QUERY PLAN " + statement.sql, dict.fromkeys(names, 1))
    return [str(line[3]) for line in lines]


_MODULES = (hints, ignored, ignoring, places, queries, statements, summaries)
_STATEMENTS = {
    f"{module.__name__}.{name}": value
    for module in _MODULES
    for name, value in vars(module).items()
    if isinstance(value, Prepared)
} | {f"page {parked}": page for parked, page in queries.PAGES.items()}
# What reads all owed rows, all failing rows or all pending looks, and says so: at most one pass over a partial index.
_PASSES = {
    "replicator.store.summaries._OWED": "COVERING INDEX intent_owed",
    "replicator.store.summaries._FAILING": "COVERING INDEX intent_failing",
    "replicator.store.summaries._LOOKS": "COVERING INDEX intent_look",
    "replicator.store.statements.END_FORMER_OWED": "INDEX intent_owed",
    "replicator.store.statements.END_FORMER_LOOKS": "INDEX intent_look",
}


@pytest.mark.parametrize("name", _STATEMENTS)
def test_no_statement_reads_the_whole_of_a_large_table(connection: sqlite3.Connection, name: str) -> None:
    steps = plan(connection, _STATEMENTS[name])
    scans = [step for step in steps if step.startswith(("SCAN intent", "SCAN blob_location"))]
    if name in _PASSES:
        assert scans == [f"SCAN intent USING {_PASSES[name]}"]
    else:
        assert scans == []


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (statements.DUE_OWED, "intent_owed (replica=? AND priority=? AND due_at<?)"),
        (statements.DUE_LOOKS, "intent_look (replica=? AND priority=? AND verify_at>? AND verify_at<?)"),
        (statements.FAILING_LATER, "intent_failing (replica=? AND priority=? AND due_at>?)"),
        (statements.CROSSED, "intent_on_time (dirty_since>? AND dirty_since<?)"),
    ],
    ids=["due", "looks", "failing", "late"],
)
def test_what_runs_often_finds_its_rows_in_order(
    connection: sqlite3.Connection, statement: Prepared, index: str
) -> None:
    steps = plan(connection, statement)
    assert steps[0].endswith(f"INDEX {index}")
    assert not any("TEMP B-TREE" in step for step in steps)
