"""A real PostgreSQL server as a process, with a schema for each store, and standbys of it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.support.ports import Port
from tests.support.processes import Process

_PROGRAMS = Path("/usr/lib/postgresql")
"""Where Debian's package puts them, by version."""
_CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "100",
    "wal_level": "replica",
    "hot_standby": "on",
    "log_min_messages": "warning",
}


def _program(name: str) -> str:
    versions = sorted(_PROGRAMS.glob(f"*/bin/{name}"), key=lambda one: float(one.parts[-3]))
    if not versions:
        raise AssertionError(f"{name} is not installed; the tests need it: apt-get install postgresql")
    return str(versions[-1])


def _as_its_user(command: Sequence[str]) -> list[str]:
    # The server refuses to run as root.
    if os.geteuid() != 0:
        return list(command)
    # Whoever changes the user loses the order to die with the parent.
    user = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]
    return ["setpriv", *user, "--", *command]


class Postgres:
    """One server, on a port of its own and without passwords; data and port survive `kill` and `start`."""

    def __init__(self, folder: Path) -> None:
        # Not below the test's own folder: the server's user may not go through that.
        self._folder = Path(tempfile.mkdtemp(prefix="replicator-postgres-"))
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        self._log = folder / f"{self._folder.name}.log"
        self._port = Port()
        self._process: Process | None = None
        self._settings: dict[str, str] = dict(_SETTINGS)

    @property
    def host(self) -> str:
        """Return host:port."""
        return f"127.0.0.1:{self._port.number}"

    def url(self, schema: str = "public", *others: "Postgres") -> str:
        """Return the URL of the tables of a schema, on this server or on one of the others."""
        hosts = ",".join(one.host for one in (self, *others))
        return f"postgresql://postgres@{hosts}/postgres?options=-csearch_path%3D{schema}"

    def create(self) -> None:
        """Make an empty cluster."""
        _run("initdb", "-D", self._data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")

    def copy_of(self, primary: "Postgres") -> None:
        """Make a standby that follows `primary`."""
        _run(
            "pg_basebackup",
            "-D",
            self._data,
            "-d",
            primary.url(),
            "-R",
            "-X",
            "stream",
            "--checkpoint=fast",
            "--no-sync",
        )

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start it, and return when it answers; `settings` stay for the next start."""
        self._settings |= settings or {}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self._settings.items()]
        command = [_program("postgres"), "-D", self._data, "-p", str(self._port.number), *options]
        self._process = process = Process(_as_its_user(command), log=self._log, cwd=self._folder)
        deadline = time.monotonic() + 30.0
        while True:
            with suppress(psycopg.OperationalError):
                self.ask("SELECT 1")
                return
            if process.exit_code is not None or time.monotonic() > deadline:
                raise AssertionError(f"postgres did not start:\n{process.tail()}")
            time.sleep(0.02)

    def ask(self, question: str, *, schema: str = "public") -> list[Any]:
        """Return what a statement finds, on a connection of its own."""
        with closing(psycopg.connect(self.url(schema), autocommit=True, connect_timeout=5)) as connection:
            cursor = connection.execute(question.encode())
            return cursor.fetchall() if cursor.description else []

    def empty(self, schema: str = "public") -> None:
        """Take all rows out of the tables of a schema, if there are any: cheaper than to make the tables anew."""
        found = self.ask(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'")
        names = [f'"{name}"' for (name,) in found if name != "alembic_version"]
        if names:
            self.ask(f"TRUNCATE {', '.join(names)} RESTART IDENTITY", schema=schema)
            self.ask("INSERT INTO state (id, epoch, heartbeat_at) VALUES (1, 0, 0)", schema=schema)

    def promote(self) -> None:
        """Have a standby take over, and return when it can be written."""
        self.ask("SELECT pg_promote(true, 30)")

    def cut_all(self) -> None:
        """End every session but the one that asks."""
        self.ask(_CUT)

    def kill(self) -> None:
        """End it as a loss of power would: every process at once."""
        if self._process is not None:
            # Its sessions have process groups of their own, and would live on until they notice that it is gone.
            self._process.pause()
            with suppress(FileNotFoundError, ProcessLookupError):
                self._signal_sessions(signal.SIGKILL)
            self._process.kill()
            self._process = None

    def pause(self) -> None:
        """Freeze all of its processes: connections are taken and nothing answers."""
        if self._process is not None:
            self._process.pause()
            self._signal_sessions(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self._process is not None:
            self._signal_sessions(signal.SIGCONT)
            self._process.resume()

    def _signal_sessions(self, number: signal.Signals) -> None:
        assert self._process is not None
        pid = self._process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

    def discard(self) -> None:
        """End it for good."""
        self.kill()
        self._port.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")


def _run(program: str, *arguments: str) -> None:
    command = _as_its_user([_program(program), *arguments])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    if done.returncode:
        raise AssertionError(f"{program}: {done.stderr}")


@contextmanager
def run_postgres(folder: Path) -> Iterator[Postgres]:
    """Run an empty server."""
    server = Postgres(folder)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.discard()
