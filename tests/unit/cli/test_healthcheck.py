"""What an image's HEALTHCHECK runs: it asks where the configuration says, and costs little."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from replicator.cli.healthcheck import health_url, main
from replicator.settings.document import DEFAULT_ADMIN
from replicator.settings.schema import Admin
from tests.support.ports import Port
from tests.support.web import serve


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("version: 1", "127.0.0.1:9464"),
        ("admin: {token_file: /run/secrets/admin}", "127.0.0.1:9464"),
        ("admin: {listen: 0.0.0.0:9500}", "127.0.0.1:9500"),
        ('admin: {listen: "[::]:9500"}', "[::1]:9500"),
        ('admin: {listen: "[fd00::5]:9500"}', "[fd00::5]:9500"),
        ("admin: {listen: 10.1.2.3:9500}\nreplicas: 5\nnonsense: yes", "10.1.2.3:9500"),
    ],
    ids=["default", "no listen", "any address", "any IPv6 address", "IPv6", "mistakes elsewhere"],
)
def test_it_asks_where_the_admin_listener_is(tmp_path: Path, text: str, address: str) -> None:
    (tmp_path / "replicator.yaml").write_text(text)
    assert health_url(tmp_path / "replicator.yaml") == f"http://{address}/healthz"


def test_the_default_is_that_of_the_settings() -> None:
    assert str(Admin().listen) == DEFAULT_ADMIN


@pytest.mark.parametrize("text", ["admin: [", "admin: 5", "admin: {listen: 9464}", "admin: {listen: host:}", "- a"])
def test_a_file_that_names_no_address_is_said_to(tmp_path: Path, text: str) -> None:
    file = tmp_path / "replicator.yaml"
    file.write_text(text)
    assert str(file) in main({"REPLICATOR_CONFIG": str(file)})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "none.yaml" in main({"REPLICATOR_CONFIG": str(tmp_path / "none.yaml")})


async def _run(file: Path) -> subprocess.CompletedProcess[bytes]:
    environ = {"REPLICATOR_CONFIG": str(file), "http_proxy": "http://127.0.0.1:1"}
    return await anyio.run_process(
        [sys.executable, "-m", "replicator.cli.healthcheck"], env=environ, cwd=Path(__file__).parents[3], check=False
    )


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
async def test_the_exit_code_is_what_the_daemon_says(tmp_path: Path, status: int, code: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="the store is slow")

    app = web.Application()
    app.router.add_get("/healthz", answer)
    async with serve(app) as url:
        (tmp_path / "replicator.yaml").write_text(f"admin: {{listen: {url.removeprefix('http://')}}}")
        done = await _run(tmp_path / "replicator.yaml")
    assert done.returncode == code
    assert done.stderr.decode().strip() == ("" if status == 200 else "the store is slow")


async def test_no_daemon_is_not_well(tmp_path: Path) -> None:
    port = Port()
    (tmp_path / "replicator.yaml").write_text(f"admin: {{listen: 127.0.0.1:{port.number}}}")
    done = await _run(tmp_path / "replicator.yaml")
    port.release()
    assert done.returncode == 1
    assert b"refused" in done.stderr
    assert b"Traceback" not in done.stderr


def test_it_imports_nothing_large() -> None:
    large = {"pydantic", "aiohttp", "sqlalchemy", "click"}
    ask = f"import sys, replicator.cli.healthcheck; print({large} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
