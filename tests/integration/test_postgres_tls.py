"""TLS to a real PostgreSQL: whom the daemon trusts, what it shows of itself, and what `check` says otherwise."""

import os
import pwd
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from replicator.cli.store_probe import look_at
from replicator.clock import SystemClock
from replicator.settings.schema import Store as Where
from replicator.store.postgres import PostgresStore
from replicator.store.postgres_place import Place
from tests.support.postgres import Postgres

_RULES = """
host all postgres 127.0.0.1/32 trust
hostssl all machine 127.0.0.1/32 cert
hostssl all daemon 127.0.0.1/32 scram-sha-256
"""


@contextmanager
def readable_by_the_server() -> Iterator[Path]:
    """Yield a folder of the server's user: it may not go through the test's own."""
    folder = Path(tempfile.mkdtemp(prefix="replicator-tls-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def write(path: Path, *blobs: trustme.Blob) -> Path:
    path.write_bytes(b"".join(blob.bytes() for blob in blobs))
    path.chmod(0o600)
    return path


async def test_the_server_is_trusted_by_its_certificate_and_knows_the_daemon_by_its_own(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    with readable_by_the_server() as folder:
        served = authority.issue_cert("localhost")
        write(folder / "server.crt", *served.cert_chain_pems)
        write(folder / "server.key", served.private_key_pem)
        write(folder / "ca.crt", authority.cert_pem)
        (folder / "hba").write_text(_RULES)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in (folder, *folder.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)
        server = Postgres(tmp_path)
        try:
            server.create()
            server.start(
                {
                    "hba_file": str(folder / "hba"),
                    "ssl": "on",
                    "ssl_cert_file": str(folder / "server.crt"),
                    "ssl_key_file": str(folder / "server.key"),
                    "ssl_ca_file": str(folder / "ca.crt"),
                }
            )
            server.ask("CREATE ROLE machine LOGIN")
            server.ask("CREATE ROLE daemon LOGIN PASSWORD 'hunter-canary'")
            server.ask("GRANT CREATE ON SCHEMA public TO machine, daemon")
            await _look(server, tmp_path, authority, stranger)
        finally:
            server.discard()


async def _look(server: Postgres, folder: Path, authority: trustme.CA, stranger: trustme.CA) -> None:
    port = server.host.partition(":")[2]
    ours = authority.issue_cert("daemon.example.com", common_name="machine")
    ca = write(folder / "ca.pem", authority.cert_pem)
    other = write(folder / "other.pem", stranger.cert_pem)
    key, certificate = write(folder / "key.pem", ours.private_key_pem), folder / "certificate.pem"
    write(certificate, *ours.cert_chain_pems)
    passfile = folder / "passfile"
    passfile.write_text("localhost:*:*:daemon:hunter-canary\n")
    passfile.chmod(0o600)

    def url(user: str, host: str = "localhost", trusted: Path = ca, more: str = "") -> str:
        return f"postgresql://{user}@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={trusted}{more}"

    shown = f"&sslcert={certificate}&sslkey={key}"
    for good in (url("machine", more=shown), url("daemon", more=f"&passfile={passfile}")):
        assert (await look_at(Where(url=good))).problem == ""
    store = await PostgresStore.open(Place(url("machine", more=shown)), clock=SystemClock(), rng=random.Random(1))
    sessions = "SELECT ssl, usename FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'machine'"
    assert set(server.ask(sessions)) == {(True, "machine")}
    assert await store.writable()
    await store.close()
    for wrong, right in (
        (url("machine", trusted=other, more=shown), "the authority that made"),
        (url("machine", "127.0.0.1", more=shown), "as the server's certificate names it"),
        (url("machine", trusted=folder / "none.pem", more=shown), "the file of the authority"),
        (url("machine"), "sslcert="),
        (url("daemon", more=f"&passfile={folder / 'none'}"), "password_file"),
    ):
        finding = await look_at(Where(url=wrong))
        assert right in finding.advice, finding
        assert "canary" not in f"{finding}"
