"""The commands against real registries, a real store and a real admin listener."""

import json
import sysconfig
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import yaml
from click.testing import CliRunner, Result

from replicator.admin.server import AdminPorts, build_admin, serve_admin
from replicator.cli.main import main
from replicator.clock import SystemClock
from replicator.errors import Reason
from replicator.model import Change, ChangeKind, Digest, Repository, Tag
from replicator.observability.metrics import Metrics, Scope
from replicator.routing import Router
from replicator.settings.load import load
from replicator.store.outcome import Outcome, Parked
from replicator.store.sqlite import SqliteStore
from replicator.store.sweeps import Sweeps
from tests.support.content import make_image
from tests.support.images import fetch_closure, push
from tests.support.ports import Port
from tests.support.registries import DockerRegistry, run_registry
from tests.unit.admin.scene import Holdings, Primary

IMAGE = make_image("commands", [2_000, 30_000])


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A configuration file and the registries that it names; no daemon runs."""

    config: Path
    primary: DockerRegistry
    replicas: tuple[DockerRegistry, DockerRegistry]
    document: dict[str, Any]

    async def run(self, *arguments: str) -> Result:
        """Run a command in a thread of its own, beside this test's event loop."""
        return await anyio.to_thread.run_sync(CliRunner().invoke, main, ["-c", str(self.config), *arguments])

    async def json(self, *arguments: str, code: int = 0) -> Any:
        """Return what a command prints with --json; it must end with `code`."""
        result = await self.run(*arguments, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def write(self) -> None:
        """Write the configuration anew."""
        self.config.write_text(yaml.safe_dump(self.document))

    async def has(self, number: int, repository: str, reference: object) -> bool:
        """Say whether a replica serves the image, complete."""
        closure = await fetch_closure(self.replicas[number].url, repository, reference)
        return (
            closure.digests
            == (await fetch_closure(self.primary.url, repository.removeprefix("mirror/"), IMAGE.digest)).digests
        )


@pytest.fixture
async def site(
    tmp_path: Path, shared_primary: DockerRegistry, shared_replicas: tuple[DockerRegistry, DockerRegistry]
) -> AsyncIterator[Site]:
    """Yield replicas eu (under mirror/) and us; everything but other/** goes to both."""
    port = Port()
    document = {
        "version": 1,
        "primary": {"url": shared_primary.url},
        "replicas": [
            {"name": "eu", "url": shared_replicas[0].url, "repository_prefix": "mirror/"},
            {"name": "us", "url": shared_replicas[1].url},
        ],
        "rules": [{"repositories": ["**", "!other/**"]}],
        "webhooks": {"endpoints": [{"path": "/webhooks/primary", "auth": "none"}]},
        "admin": {"listen": f"127.0.0.1:{port.number}"},
        "store": {"url": f"sqlite:///{tmp_path / 'state' / 'replicator.db'}"},
    }
    made = Site(config=tmp_path / "c.yaml", primary=shared_primary, replicas=shared_replicas, document=document)
    made.write()
    yield made
    port.release()


async def test_check_proves_each_registry_and_leaves_no_upload(site: Site, repository: str) -> None:
    await push(site.primary.url, repository, "v1", IMAGE)
    document = await site.json("check")
    assert document["ok"]
    assert [(item["name"], item["role"], item["may"]) for item in document["registries"]] == [
        ("primary", "primary", "pull"),
        ("eu", "replica", "push"),
        ("us", "replica", "push"),
    ]
    assert {item["catalog"] for item in document["registries"]} == {"yes"}
    for item in document["registries"][1:]:
        proven = {"catalog": True, "checks_manifests": True, "checks_digests": True, "resume": False}
        assert proven.items() <= item["capabilities"].items()
    (hook,) = document["webhooks"]
    assert (hook["name"], hook["path"], hook["format"]) == ("primary", "/webhooks/primary", "distribution")
    assert (hook["hosts"], hook["auth"], hook["secrets"]) == ([], "none", 0)
    assert (hook["ok"], hook["delivery"]) == (True, "not asked")
    for replica, prefix in zip(site.replicas, ("mirror/", ""), strict=True):
        # Distribution 2.8 keeps an empty folder of a cancelled session; the session itself is its data file. The one
        # that is cut on purpose cannot be cancelled there: its 16 KiB go with the registry's own purge.
        uploads = replica.root / "docker/registry/v2/repositories" / f"{prefix}replicator-check" / "_uploads"
        assert uploads.exists()
        assert [path.stat().st_size for path in uploads.rglob("data")] == [16 * 1024]


async def test_check_says_what_to_do_about_each_registry_that_fails(site: Site, tmp_path: Path) -> None:
    """A wrong password, a host that does not exist and a port where nobody listens; one line each."""
    password = tmp_path / "password"
    password.write_text("wrong-canary")
    closed = Port()
    async with run_registry(tmp_path, htpasswd={"puller": "right"}) as protected:
        site.document["primary"] = {
            "url": protected.url,
            "credentials": {"username": "puller", "password_file": str(password)},
        }
        site.document["replicas"][0]["url"] = "http://no-such-host.invalid"
        site.document["replicas"][1]["url"] = f"http://127.0.0.1:{closed.number}"
        site.write()
        result = await site.run("check")
        document = await site.json("check", code=1)
    closed.release()
    assert result.exit_code == 1
    assert "wrong-canary" not in result.output
    primary, eu, us = document["registries"]
    assert (primary["ok"], primary["reachable"]) == (False, True)
    assert "password" in primary["advice"]
    assert (eu["ok"], eu["reachable"], us["ok"], us["reachable"]) == (False, False, False, False)
    assert "DNS" in eu["advice"]
    for name in ("primary", "eu", "us"):
        assert sum(line.startswith(f"{name}: ") for line in result.stdout.splitlines()) == 1


async def test_copy_brings_one_reference_to_all_replicas_and_then_has_nothing_to_do(
    site: Site, repository: str
) -> None:
    await push(site.primary.url, repository, "v1", IMAGE)
    first = (await site.json("copy", f"{site.primary.host}/{repository}:v1"))["copies"]
    sizes = sum(blob.size for blob in IMAGE.blobs())
    assert [(item["replica"], item["result"], item["digest"]) for item in first] == [
        (name, "copied", str(IMAGE.digest)) for name in ("eu", "us")
    ]
    for item in first:
        assert item["bytes_sent"] + item["bytes_mounted"] + item["bytes_present"] == sizes
    assert await site.has(0, f"mirror/{repository}", "v1")
    assert await site.has(1, repository, "v1")
    again = (await site.json("copy", f"{repository}:v1"))["copies"]
    assert [(item["result"], item["bytes_sent"]) for item in again] == [("already_present", 0)] * 2


async def test_copy_to_one_replica_under_another_tag(site: Site, repository: str) -> None:
    await push(site.primary.url, f"other/{repository}", "v1", IMAGE)
    result = await site.run("copy", f"other/{repository}:v1", "--replica", "us", "--tag", "stable")
    assert result.exit_code == 0, result.output
    assert str(IMAGE.digest) in result.stdout
    assert await site.has(1, f"other/{repository}", "stable")


async def test_copy_that_cannot_be_done_ends_with_1(site: Site, repository: str) -> None:
    missing = await site.run("copy", f"{repository}:none")
    assert (missing.exit_code, "Traceback" in missing.output) == (1, False)
    unrouted = await site.run("copy", f"other/{repository}:v1")
    assert unrouted.exit_code == 1
    assert "no rule" in unrouted.stderr
    await push(site.primary.url, repository, "v1", IMAGE)
    closed = Port()
    site.document["replicas"][1]["url"] = f"http://127.0.0.1:{closed.number}"
    site.write()
    copies = (await site.json("copy", f"{repository}:v1", code=1))["copies"]
    closed.release()
    assert [(item["replica"], item["ok"]) for item in copies] == [("eu", True), ("us", False)]


async def _owe(site: Site, repository: str) -> None:
    settings = load(site.config, {})
    clock = SystemClock()
    store = await SqliteStore.open(settings.store.sqlite_path, clock=clock)
    change = Change(kind=ChangeKind.PUSH, repository=Repository(repository), reference=Tag("v1"))
    await store.record(Router(settings).route(change, clock.now()))
    await store.close()


async def test_status_without_a_daemon_reads_the_store(site: Site, repository: str) -> None:
    nothing = await site.run("status")
    assert nothing.exit_code == 1
    assert "no store" in nothing.stderr
    await _owe(site, repository)
    document = await site.json("status", "--owed", "--replica", "us")
    assert (document["daemon"], [row["repository"] for row in document["rows"]]) == (False, [repository])
    result = await site.run("status")
    assert result.exit_code == 0
    assert "No daemon is running" in result.stdout
    assert [line.split()[:2] for line in result.stdout.splitlines()[2:]] == [["eu", "stopped"], ["us", "stopped"]]


async def test_status_beside_a_daemon_that_does_not_answer_says_who_has_the_store(
    site: Site, repository: str
) -> None:
    await _owe(site, repository)
    store = await SqliteStore.open(load(site.config, {}).store.sqlite_path, clock=SystemClock())
    result = await site.run("status")
    await store.close()
    assert result.exit_code == 1
    assert result.stderr.startswith("replicator: ")


async def _fail(site: Site, outcome: Outcome) -> None:
    """Have the one row of each replica fail."""
    store = await SqliteStore.open(load(site.config, {}).store.sqlite_path, clock=SystemClock())
    for name in ("eu", "us"):
        (lease,) = await store.lease(name, 1, 60)
        assert await store.settle(lease, outcome)
    await store.close()


async def test_retry_without_a_daemon_makes_rows_of_the_store_due(site: Site, repository: str) -> None:
    await _owe(site, repository)
    nothing = await site.json("retry", f"{repository}:v1", code=1)
    assert (nothing["due"], nothing["ref"]) == (0, f"{repository}:v1")
    await _fail(site, Parked(at=4e9, reason=Reason.QUOTA, message="full"))
    one = await site.run("retry", f"{repository}:v1", "--replica", "us")
    assert (one.exit_code, one.stdout.split()) == (0, ["REPLICA", "DUE", "NOW", "us", "1"])
    assert (await site.json("retry"))["replicas"] == [
        {"replica": "eu", "due": 1, "paused_since": None},
        {"replica": "us", "due": 0, "paused_since": None},
    ]
    assert (await site.run("retry", "no-reference")).exit_code == 2


async def test_ignore_without_a_daemon_is_about_what_the_primary_names(site: Site, repository: str) -> None:
    await push(site.primary.url, repository, "v1", IMAGE)
    await _owe(site, repository)
    ref = f"{repository}:v1"
    done = await site.run("ignore", ref, "--replica", "us")
    assert (done.exit_code, "until something else is pushed" in done.stdout) == (0, True)
    listed = await site.json("status", "--ignored")
    assert [(row["replica"], row["reference"], row["state"]) for row in listed["rows"]] == [("us", "v1", "ignored")]
    assert [one["owed"] for one in listed["replicas"]] == [1, 0]
    assert "ignored" in (await site.run("status", "--ignored")).stdout
    assert (await site.json("ignore", ref, "--undo"))["replicas"] == [
        {"replica": "eu", "result": "not_ignored"},
        {"replica": "us", "result": "owed"},
    ]
    nothing = await site.run("ignore", f"{repository}:v2")
    assert (nothing.exit_code, nothing.stdout.count("nothing is owed there")) == (1, 2)


async def test_wait_without_a_daemon_asks_the_registries(site: Site, repository: str) -> None:
    await push(site.primary.url, repository, "v1", IMAGE)
    result = await site.run("wait", f"{repository}:v1")
    assert result.exit_code == 1
    assert "no daemon" in result.stderr
    await site.run("copy", f"{repository}:v1")
    document = await site.json("wait", f"{repository}:v1")
    assert (document["complete"], document["digest"]) == (True, str(IMAGE.digest))
    assert (await site.json("wait", f"{repository}:none", code=1))["error"]["code"] == "no_such_reference"
    assert (await site.json("wait", f"other/{repository}:v1", code=1))["error"]["code"] == "no_rule"


class NoLanes:
    """An engine that has not started."""

    def lanes(self) -> dict[str, Any]:
        """Return no lane."""
        return {}

    async def heed_pause(self, replica: str) -> None:
        """Tell nobody."""

    def mended(self, replica: str) -> None:
        """Tell nobody."""


async def test_commands_ask_the_running_daemon(site: Site, tmp_path: Path) -> None:
    """With the token of the configuration; the store is the daemon's, and stays locked."""
    token = tmp_path / "token"
    token.write_text("the-token-canary\n")
    site.document["admin"]["token_file"] = str(token)
    site.write()
    settings, clock = load(site.config, {}), SystemClock()
    store = await SqliteStore.open(settings.store.sqlite_path, clock=clock)
    primary, holdings = Primary(), Holdings()
    primary.names[Tag("v1")] = Digest.of(b"x")
    ports = AdminPorts(
        store=store,
        lanes=NoLanes(),
        source=primary,
        presence=holdings,
        comparisons=Sweeps(store),
        looks=holdings,
        routes=Router(settings),
        metrics=Metrics(Scope(replicas=("eu", "us")), clock=clock),
        intake_open=lambda: True,
        clock=clock,
    )
    listen = settings.admin.listen
    async with serve_admin(build_admin(lambda: settings, ports), listen.host, listen.port):
        pending = await site.json("wait", "team/app:v1", "--replica", "us", "--timeout", "0s", code=1)
        assert pending["error"]["code"] == "pending"
        document = await site.json("status", "--owed")
        assert (document["daemon"], [row["replica"] for row in document["rows"]]) == (True, ["us"])
        holdings.held = {(name, Digest.of(b"x")) for name in ("eu", "us")}
        complete = await site.run("wait", "team/app:v1", "--replica", "eu")
        assert (complete.exit_code, complete.stdout.splitlines()[0]) == (0, f"team/app:v1 is {Digest.of(b'x')}")
        token.write_text("another-canary\n")
        assert "the-token" not in (await site.run("status")).output
    await store.close()


@pytest.mark.parametrize(
    ("arguments", "code"), [(("config", "check"), 0), (("status",), 1), (("status", "--replica", "none"), 2)]
)
async def test_exit_codes_of_the_program(site: Site, arguments: tuple[str, ...], code: int) -> None:
    program = Path(sysconfig.get_path("scripts")) / "replicator"
    result = await anyio.run_process([program, "-c", site.config, *arguments], check=False)
    assert result.returncode == code
    assert b"Traceback" not in result.stdout + result.stderr
    assert (result.stderr == b"") == (code == 0)
