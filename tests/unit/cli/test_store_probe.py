"""What `check` says of a store in a file: whether a daemon could work with it, without making anything."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from replicator.cli.store_probe import advice, lines_of, look_at
from replicator.settings.schema import Store


def _at(path: Path) -> Store:
    return Store(url=f"sqlite:///{path}")


def _content(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_what_is_not_there_yet_is_made_at_the_start_and_not_by_the_question(tmp_path: Path) -> None:
    finding = await look_at(_at(tmp_path / "state" / "deep" / "replicator.db"))
    assert (finding.ok, finding.engine, finding.tables) == (True, "SQLite", "made at the start")
    assert _content(tmp_path) == []


async def test_a_database_is_found(tmp_path: Path) -> None:
    path = tmp_path / "replicator.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE some (thing)")
    finding = await look_at(_at(path))
    assert list(lines_of(finding)) == [f"store: sqlite:///{path}: ok, SQLite, tables there"]
    assert _content(tmp_path) == [path]


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = await look_at(_at(tmp_path / "file" / "state" / "replicator.db"))
    assert not finding.ok
    assert finding.problem.startswith(f"{tmp_path / 'file'} cannot be written (Not a directory), so that ")
    assert "make that directory" in finding.advice


async def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "replicator.db"
    path.write_text("not a database, but a letter")
    finding = await look_at(_at(path))
    assert finding.problem == f"{path} is not a database of SQLite"
    assert list(lines_of(finding))[1] == "store: name another file in store.url"


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("/state cannot be written (No space left on device)", "make room"),
        ("/state cannot be written (Read-only file system)", "another directory"),
        ("/state cannot be written (Permission denied)", "the user that runs the daemon"),
        ("/state/replicator.db cannot be written", "the user that runs the daemon"),
        ('connection failed: FATAL:  password authentication failed for user "u"', "password_file"),
        ("connection failed: fe_sendauth: no password supplied", "password_file"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "u", database "d"', "pg_hba.conf"),
        ("SSL error: certificate verify failed", "sslrootcert"),
        ('root certificate file "/none" does not exist', "sslrootcert"),
        ('server certificate for "db" does not match host name "db-1"', "the server's certificate names it"),
        ("connection timeout expired", "host and port"),
        ("connection failed: FATAL:  the database system is starting up", "wait"),
        ("connection failed: FATAL:  sorry, too many clients already", "max_connections"),
        ("the server is PostgreSQL 13.4, and 14 or newer is needed", "a newer server"),
        ("something nobody knows", "log of the server"),
    ],
)
def test_each_problem_has_its_advice(problem: str, said: str) -> None:
    assert said in advice(problem)
