"""The shipped Containerfile built by podman and run as it is meant to be, on a base made of this very Python.

No image is pulled and nothing but the loopback used: the base holds this interpreter, pip and wheels of what is
installed, and no shell. Needs root and podman: where they are not to be had, or no container can run, this is skipped
with the reason.
"""

import contextlib
import importlib.metadata
import json
import shutil
import sysconfig
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import anyio.to_thread
import pytest
import yaml

from tests.integration.site import arrival
from tests.support.eventually import eventually
from tests.support.images import closure_of, fetch_closure, make_image, write_layout
from tests.support.podman import LIMITS, Podman, working_podman
from tests.support.ports import Port
from tests.support.python_root import PREFIX, install_libraries, requirements
from tests.support.registries import Notification, Registry, run_registry
from tests.support.skopeo import docker_name, skopeo_copy
from tests.support.wheelhouse import make_wheels

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

_PROJECT = Path(__file__).parents[2]
_CONFIG = """version: 1
primary: {url: "http://127.0.0.1:1"}
replicas: [{name: eu, url: "http://127.0.0.1:2"}]
webhooks:
  listen: 127.0.0.1:8080
  endpoints:
    - path: /webhooks/primary
      auth: {bearer_token_file: /run/secrets/hook}
admin: {listen: "127.0.0.1:9464"}
store: {url: "sqlite:////state/replicator.db"}
shutdown: {grace: 5s}
sweep: off
"""
_ASK = """import sys, urllib.request as r
print(r.urlopen("http://127.0.0.1:9464" + sys.argv[1], timeout=5).status)"""
_PUSH = """import json, urllib.request as r
target = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 3, "length": 3, "repository": "team/app",
  "digest": "sha256:" + "a" * 64, "url": "http://primary/v2/team/app/manifests/v1", "tag": "v1"}
event = {"id": "1", "timestamp": "2026-01-01T00:00:00Z", "action": "push", "target": target}
fields = {"Authorization": "Bearer the-hook", "Content-Type": "application/vnd.docker.distribution.events.v1+json"}
body = json.dumps({"events": [event]}).encode()
print(r.urlopen(r.Request("http://127.0.0.1:8080/webhooks/primary", body, fields)).status)"""
_WAIT_READY = """import time, urllib.request as r
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        print(r.urlopen("http://127.0.0.1:9464/readyz", timeout=5).status)
        break
    except OSError:
        time.sleep(0.1)"""
_BUILD = ("build", "--format", "docker", "--pull-never", "--network", "none", *LIMITS)
_LOCKED = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")
_EXTRAS = ("aws", "azure", "gcp", "nats", "postgres")
_SOURCE, _REVISION = "https://git.example.com/replicator", "0123456789abcdef0123456789abcdef01234567"
_WRITE = """import sys
for path in sys.argv[1:]:
    try:
        open(path, "w").close()
        print("written")
    except OSError as error:
        print(error.errno)"""


def _fill_base(root: Path) -> None:
    """Put what the build needs into the base: pip, as slim images have it, and wheels in place of an index."""
    packages = next((root / PREFIX.lstrip("/")).glob("lib/python*/site-packages"))
    shutil.copytree(Path(sysconfig.get_path("purelib")) / "pip", packages / "pip")
    (root / "wheels").mkdir()
    (root / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    needed = requirements("replicator", *_EXTRAS)
    # Such as libgcc_s, which slim images have.
    for package in needed:
        for path in importlib.metadata.files(package) or ():
            if path.suffix == ".so":
                install_libraries(root, Path(str(path.locate())))
    make_wheels(root / "wheels", sorted({*needed, "setuptools"}))
    assert not list(root.rglob("bin/*sh")), "no shell"


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Return a podman that holds the image `replicator`, built with the shipped Containerfile."""
    folder = tmp_path_factory.mktemp("podman")
    podman = working_podman(folder, _fill_base)
    try:
        file = str(_PROJECT / "config/container/Containerfile")
        arguments = ("BASE=localhost/base", f"SOURCE={_SOURCE}", f"REVISION={_REVISION}")
        build = [*_BUILD, *(word for argument in arguments for word in ("--build-arg", argument)), "-f", file]
        podman.run(*build, "-t", "localhost/replicator", str(_PROJECT))
        extras = ("--build-arg", f"EXTRAS={','.join(_EXTRAS)}")
        podman.run(*build, *extras, "-t", "localhost/replicator-extras", str(_PROJECT))
        yield podman
    finally:
        podman.clear()


@pytest.fixture
def daemon(podman: Podman, tmp_path: Path) -> Iterator[Podman]:
    """Run the daemon's container, locked up as the manifests do it, until the test ends."""
    (tmp_path / "replicator.yaml").write_text(_CONFIG)
    (tmp_path / "hook").write_text("the-hook\n")
    mounts = ["-v", f"{tmp_path}/replicator.yaml:/etc/replicator/replicator.yaml:ro"]
    mounts += ["-v", f"{tmp_path}/hook:/run/secrets/hook:ro", "-v", "state:/state:U"]
    run = ("run", "--detach", "--name", "daemon", "--network", "none", *LIMITS, *_LOCKED)
    podman.run(*run, *mounts, "localhost/replicator")
    try:
        assert podman.python("daemon", _WAIT_READY) == ["200"], podman.run("logs", "daemon").stderr
        yield podman
    finally:
        print(podman.run("logs", "daemon", check=False).stderr)
        podman.run("rm", "--force", "-t", "0", "daemon", check=False)
        podman.run("volume", "rm", "--force", "state", check=False)


def test_the_image_says_what_it_runs_and_as_whom(podman: Podman) -> None:
    image = podman.inspect("image", "localhost/replicator")
    assert image["Config"]["User"] == "65532:65532"
    assert image["Config"]["Entrypoint"] == ["/opt/replicator/bin/replicator"]
    assert image["Config"]["Cmd"] == ["run"]
    assert image["Config"]["StopSignal"] == "SIGTERM"
    assert image["Config"]["ExposedPorts"].keys() == {"8080/tcp", "9464/tcp"}
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in image["Labels"].items()}
    assert (labels["title"], labels["source"], labels["revision"]) == ("replicator", _SOURCE, _REVISION)
    run = ("run", "--rm", *LIMITS, "--network", "none", "--read-only", "localhost/replicator")
    assert podman.run(*run, "--version").stdout.split()[-1] == labels["version"]
    python = (*run[:-1], "--entrypoint", "/opt/replicator/bin/python", "localhost/replicator")
    assert podman.run(*python, "-m", "pip", check=False).returncode != 0, "no pip beside the daemon"


def test_it_runs_as_nobody_with_no_power_and_writes_to_its_store_alone(daemon: Podman) -> None:
    state = daemon.inspect("container", "daemon")["State"]
    lines = Path(f"/proc/{state['Pid']}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert (status["Uid"].split(), status["Gid"].split()) == (["65532"] * 4, ["65532"] * 4)
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    mounts = Path(f"/proc/{state['Pid']}/mountinfo").read_text().splitlines()
    (root,) = (line.split() for line in mounts if line.split()[4] == "/")
    assert "ro" in root[5].split(",")
    assert daemon.python("daemon", _WRITE, "/opt/replicator/new", "/etc/replicator/new", "/state/new") == [
        "30",
        "30",
        "written",
    ]


def test_its_probes_answer_and_its_commands_run_beside_it(daemon: Podman) -> None:
    assert daemon.python("daemon", _ASK, "/healthz") == ["200"]
    assert daemon.python("daemon", _ASK, "/readyz") == ["200"]
    assert daemon.run("healthcheck", "run", "daemon").returncode == 0
    assert "eu" in daemon.run("exec", "daemon", "replicator", "status").stdout


def test_a_stop_is_clean_and_what_was_taken_is_there_afterwards(daemon: Podman) -> None:
    assert daemon.python("daemon", _PUSH) == ["202"]
    for _ in range(2):
        daemon.run("stop", "-t", "60", "daemon")
        state = daemon.inspect("container", "daemon")["State"]
        assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False)
        daemon.run("start", "daemon")
        assert daemon.python("daemon", _WAIT_READY) == ["200"]
    assert "team/app" in daemon.run("exec", "daemon", "replicator", "status", "--owed").stdout


@dataclass(frozen=True)
class Beside:
    """The container on the host's network, beside registries that are processes, with its own ports."""

    podman: Podman
    folder: Path
    admin: Port
    hooks: Port

    def write(self, primary: Registry, *replicas: Registry) -> None:
        """Write the configuration that the container reads."""
        config = {
            "version": 1,
            "primary": {"url": primary.url},
            "replicas": [{"name": replica.name, "url": replica.url} for replica in replicas],
            "webhooks": {
                "listen": f"127.0.0.1:{self.hooks.number}",
                "endpoints": [{"path": "/webhooks/primary", "auth": {"bearer_token_file": "/run/secrets/hook"}}],
            },
            "admin": {"listen": f"127.0.0.1:{self.admin.number}"},
            "store": {"url": "sqlite:////state/replicator.db"},
            "log": {"format": "json"},
            "sweep": "off",
        }
        (self.folder / "etc/replicator.yaml").write_text(yaml.safe_dump(config))

    async def start(self) -> None:
        """Start the container and return when webhooks are taken."""
        mounts = ["-v", f"{self.folder}/etc:/etc/replicator:ro", "-v", f"{self.folder}/hook:/run/secrets/hook:ro"]
        run = ["run", "--detach", "--name", "beside", "--network", "host", *LIMITS, *_LOCKED, *mounts]
        self.podman.run(*run, "-v", "beside:/state:U", "localhost/replicator")
        await eventually(self._ready, within=60, what="the container takes webhooks")

    async def reload(self) -> str:
        """Send SIGHUP and return what became of it."""
        before = len(self._reloads())
        self.podman.run("kill", "--signal", "HUP", "beside")
        await eventually(lambda: len(self._reloads()) > before, within=20, what="the configuration is read anew")
        return self._reloads()[before]

    def _reloads(self) -> list[str]:
        done = self.podman.run("logs", "beside")
        events = [json.loads(line).get("event", "") for line in (done.stdout + done.stderr).splitlines()]
        return [event for event in events if event in {"config_reloaded", "config_refused"}]

    async def _ready(self) -> bool:
        url = f"http://127.0.0.1:{self.admin.number}/readyz"
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status == 200
        return False


@pytest.fixture
def beside(podman: Podman, tmp_path: Path) -> Iterator[Beside]:
    """Return a container that is not started yet, and take it away when the test ends."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "hook").write_text("the-hook\n")
    container = Beside(podman, tmp_path, Port(), Port())
    try:
        yield container
    finally:
        print(podman.run("logs", "beside", check=False).stderr)
        podman.run("rm", "--force", "-t", "0", "beside", check=False)
        podman.run("volume", "rm", "--force", "beside", check=False)
        container.admin.release()
        container.hooks.release()


async def test_a_push_arrives_a_reload_adds_a_replica_and_sigterm_ends_it(beside: Beside, tmp_path: Path) -> None:
    hook = Notification(
        url=f"http://127.0.0.1:{beside.hooks.number}/webhooks/primary", headers={"Authorization": ["Bearer the-hook"]}
    )
    async with (
        run_registry(tmp_path, name="primary", notifications=[hook]) as primary,
        run_registry(tmp_path, name="eu") as eu,
        run_registry(tmp_path, name="us") as us,
    ):
        beside.write(primary, eu)
        await beside.start()
        first = make_image("first", (300_000, 5_000))
        await skopeo_copy(write_layout(first, tmp_path / "first"), docker_name(primary.url, "team/app", "v1"))
        await arrival(eu.url, "team/app", "v1", first.digest, where="eu")
        assert (await fetch_closure(eu.url, "team/app", "v1", deep=True)).digests == closure_of(first)

        beside.write(primary, eu, us)
        assert await beside.reload() == "config_reloaded"
        second = make_image("second", (300_000, 5_000))
        await skopeo_copy(write_layout(second, tmp_path / "second"), docker_name(primary.url, "team/app", "v2"))
        for replica in (eu, us):
            await arrival(replica.url, "team/app", "v2", second.digest, where=replica.name)
        assert (await fetch_closure(us.url, "team/app", "v2", deep=True)).digests == closure_of(second)

        config = tmp_path / "etc/replicator.yaml"
        config.write_text(config.read_text().replace("version: 1", "version: 99"))
        assert await beside.reload() == "config_refused"
        assert beside.podman.run("healthcheck", "run", "beside").returncode == 0, "the daemon is well all the same"

        beside.podman.run("kill", "--signal", "TERM", "beside")
        assert beside.podman.run("wait", "beside").stdout.strip() == "0"
        assert beside.podman.inspect("container", "beside")["State"]["Status"] == "exited"


_CLOUDS = """version: 1
primary: {url: "https://1.azurecr.io", credentials: {azure: {identity: managed_identity}}}
replicas:
  - {name: aws, url: "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com", credentials: {aws: {}}}
  - {name: gcp, url: "https://europe-docker.pkg.dev", credentials: {gcp: {}}}
webhooks:
  subscriptions: [{name: zot, url: "nats://127.0.0.1:1", subject: zot.events}]
store: {url: "postgresql://replicator@127.0.0.1:1/replicator"}
"""


def test_only_an_image_built_with_extras_takes_what_needs_them(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "replicator.yaml").write_text(_CLOUDS)
    mount = ("-v", f"{tmp_path}/replicator.yaml:/etc/replicator/replicator.yaml:ro")
    run = ("run", "--rm", "--network", "none", *LIMITS, *_LOCKED, *mount)
    plain = podman.run(*run, "localhost/replicator", "config", "check", check=False)
    assert plain.returncode == 2
    assert {extra for extra in _EXTRAS if f"needs the extra {extra}, " in plain.stderr} == set(_EXTRAS)
    assert podman.run(*run, "localhost/replicator-extras", "config", "check").returncode == 0
    # Each SDK is there as a whole, down to its compiled parts.
    modules = "azure.identity, botocore.session, google.auth.transport.requests, nats, nkeys, psycopg"
    loads = f"import {modules}; print('loaded')"
    python = ("--entrypoint", "/opt/replicator/bin/python", "localhost/replicator-extras", "-c", loads)
    assert podman.run(*run, *python).stdout == "loaded\n"


# What the guide calls docker-credential-NAME: no shell, and nothing that the image does not have.
_HELPER = """#!/opt/replicator/bin/python
import json, sys
assert sys.argv[1] == "get", sys.argv
print(json.dumps({"ServerURL": sys.stdin.read().strip(), "Username": "puller", "Secret": "helped-canary"}))
"""


async def test_a_credential_helper_comes_with_an_image_of_ones_own_as_the_guide_says(
    podman: Podman, tmp_path: Path
) -> None:
    guide = (_PROJECT / "docs/containers.md").read_text()
    recipe = textwrap.dedent(guide.partition("  ```dockerfile\n")[2].partition("  ```")[0])
    assert recipe.startswith("FROM localhost/replicator\n")
    (tmp_path / "Containerfile").write_text(recipe)
    (tmp_path / "docker-credential-NAME").write_text(_HELPER)
    podman.run(*_BUILD, "-f", str(tmp_path / "Containerfile"), "-t", "localhost/own", str(tmp_path))
    accounts = {"puller": "helped-canary"}
    async with (
        run_registry(tmp_path, name="primary", htpasswd=accounts) as primary,
        run_registry(tmp_path, name="eu") as eu,
    ):
        (tmp_path / "etc").mkdir()
        host = primary.url.removeprefix("http://")
        (tmp_path / "etc/docker.json").write_text(json.dumps({"credHelpers": {host: "NAME"}}))
        config = {
            "version": 1,
            "primary": {"url": primary.url, "credentials": {"docker_config": "docker.json"}},
            "replicas": [{"name": "eu", "url": eu.url}],
            "store": {"url": "sqlite:////state/replicator.db"},
        }
        (tmp_path / "etc/replicator.yaml").write_text(yaml.safe_dump(config))
        mount = ("-v", f"{tmp_path}/etc:/etc/replicator:ro")
        run = ("run", "--rm", "--network", "host", *LIMITS, *_LOCKED, *mount, "localhost/own", "check", "--json")
        done = await anyio.to_thread.run_sync(partial(podman.run, *run, check=False))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "helped-canary" not in done.stdout + done.stderr
    assert [one["may"] for one in json.loads(done.stdout)["registries"]] == ["pull", "push"]
