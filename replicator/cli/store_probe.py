"""What `check` says of the store: can a daemon work with it, is one at work there, and what is to be done."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import anyio.to_thread

from replicator.errors import StoreError
from replicator.settings.schema import Store as Where
from replicator.store.inspection import Looked, look

_ADVICE = {
    "password authentication failed": "check the user in store.url and what password_file: or password_env: holds",
    "no password supplied": "write password_file: or password_env: under store:",
    "password cannot be read": "make the file readable for the user that runs this, or set the variable",
    "no pg_hba.conf entry": "let this machine and user in, in the server's pg_hba.conf",
    "does not support SSL": "turn ssl on at the server, or write another sslmode in store.url",
    "root certificate file": "write the file of the authority as sslrootcert= in store.url",
    "certificate verify failed": "write the authority that made the server's certificate as sslrootcert=",
    "does not match host name": "write the host as the server's certificate names it",
    "certificate": "check sslcert=, sslkey= and sslrootcert= in store.url",
    "role": "make the user: CREATE ROLE ... LOGIN PASSWORD '...', or correct it in store.url",
    "may not make tables": "make the user the owner of the database: ALTER DATABASE ... OWNER TO ...",
    "none of the schemas": "make the schema (CREATE SCHEMA ...), or correct the search_path in the URL",
    "read-only": "name the server that may be written in store.url, or all of them with commas between",
    "does not exist": "make it: CREATE DATABASE ... OWNER ..., or correct its name in store.url",
    "or newer is needed": "name a newer server in store.url",
    "fsync = off": "turn fsync on in postgresql.conf, and start the server anew",
    "too many": "raise max_connections of the server: a daemon needs two, and one more at its start",
    "starting up": "wait until the server has started",
    "resolve": "check the host in store.url, and the DNS on this machine",
    "translate host name": "check the host in store.url, and the DNS on this machine",
    "connect": "check that the server runs, its host and port in store.url, and what lies between",
    "timeout": "check that the server runs, its host and port in store.url, and what lies between",
    "No space left": "make room on that disk",
    "Read-only file system": "name another directory in store.url, or mount it to be written",
    "not a database": "name another file in store.url",
    "cannot be made": "make that directory, for the user that runs the daemon",
    "cannot be": "give it to the user that runs the daemon, and run this as that user",
}
_OTHERWISE = "see the log of the server"
CARELESS = "the server does not sync commits by itself (synchronous_commit = off): the daemon's own sessions do"


@dataclass(slots=True, kw_only=True)
class StoreFinding:
    """What was found of the store. `problem` is empty when a daemon can work with it.

    `tables` is `there` or `made at the start`, empty where that was not found out; `holder` says which daemon works
    with a database of PostgreSQL now, "" none. `remark` keeps nothing from working.
    """

    url: str
    engine: str = ""
    tables: str = ""
    holder: str = ""
    problem: str = ""
    advice: str = ""
    remark: str = ""

    @property
    def ok(self) -> bool:
        """Whether a daemon can work with it, as far as this was found out."""
        return not self.problem


async def look_at(where: Where) -> StoreFinding:
    """Look at the store that the settings name; failures are findings too."""
    finding = StoreFinding(url=where.url)
    try:
        _fill(finding, await anyio.to_thread.run_sync(partial(look, where)))
    except StoreError as error:
        finding.problem = str(error)
        finding.advice = advice(finding.problem)
    return finding


def advice(problem: str) -> str:
    """Return what to do about it."""
    return next((right for said, right in _ADVICE.items() if said in problem), _OTHERWISE)


def lines_of(finding: StoreFinding) -> Iterator[str]:
    """Yield the finding in one line, and in another what is to be done or known."""
    found = f"failed: {finding.problem}" if finding.problem else f"ok, {finding.engine}, tables {finding.tables}"
    yield f"store: {finding.url}: {found}"
    if finding.holder:
        yield f"store: a daemon works with it ({finding.holder}); another one stands by"
    for said in (finding.remark, finding.advice):
        if said:
            yield f"store: {said}"


def _fill(finding: StoreFinding, looked: Looked) -> None:
    finding.engine = looked.engine
    finding.tables = "there" if looked.is_there else "made at the start"
    finding.holder = looked.holder
    finding.remark = CARELESS if looked.careless else ""
