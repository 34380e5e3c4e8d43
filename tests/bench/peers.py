"""The tools that copy as well: skopeo, crane and regsync, each in the variant of its commands that did best."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.bench.runs import Used
from tests.bench.stand import Place, Stand
from tests.bench.workloads import Workload

_LIMIT = 1800.0
_GLANCE = 0.002
_SKOPEO_PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")
_BUILT = Path(__file__).parents[2] / "build" / "programs"
_JOBS = {Place.LAN: 8, Place.REPLICAS: 32, Place.PRIMARY: 32}
"""Images at once, for those who can: on a LAN more gain nothing, over a long line they do."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What a peer is to do: bring `workload` from `repository` of the primary to every replica.

    `own_jobs` leaves it to the peer how many images it copies at once.
    """

    stand: Stand
    repository: str
    workload: Workload
    own_jobs: bool = False

    @property
    def tag(self) -> str | None:
        """The tag, where there is only one."""
        return next(iter(self.workload.tags)) if len(self.workload.tags) == 1 else None


Commands = Callable[[str, Errand], list[list[str]]]


@dataclass(frozen=True, slots=True)
class Peer:
    """One tool: name, program, and the commands that run side by side, one for each replica or one for all."""

    name: str
    program: str
    commands: Commands

    def run(self, errand: Errand) -> Used:
        """Run the commands and return when the last has ended. Fails when one of them does."""
        return run_all(self.commands(self.program, errand), errand.stand.folder)


def find_peers(wanted: Sequence[str]) -> tuple[list[Peer], list[str]]:
    """Return the peers that are here, and the names of those that are not."""
    known: dict[str, Commands] = {"skopeo": _skopeo, "crane": _crane, "regsync": _regsync}
    # Those that `make tools` or `make bench` has built are the pinned ones.
    everywhere = f"{_BUILT}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    paths = {name: shutil.which(name, path=everywhere) for name in wanted}
    found = [Peer(name, path, known[name]) for name, path in paths.items() if path is not None]
    return found, [name for name, path in paths.items() if path is None]


def run_all(commands: Sequence[Sequence[str]], folder: Path) -> Used:
    """Run commands at the same time; CPU and memory are the sums over them. Fails with the output of a failed one."""
    log = folder / "peer.log"
    with log.open("wb") as output:
        running = [
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) for command in commands
        ]
    deadline, cpu, memory = time.monotonic() + _LIMIT, 0.0, 0
    while running:
        for process in tuple(running):
            number, status, usage = os.wait4(process.pid, os.WNOHANG)
            if number == 0:
                continue
            running.remove(process)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu += usage.ru_utime + usage.ru_stime
            memory += usage.ru_maxrss * 1024
            if process.returncode != 0:
                raise AssertionError(f"{process.args!r}: {log.read_text(errors='replace')[-2000:]}")
        if time.monotonic() > deadline:
            for process in running:
                process.kill()
            raise AssertionError(f"not done within {_LIMIT:.0f} s: {commands[0]}")
        time.sleep(_GLANCE)
    return Used(cpu=cpu, memory=memory)


def _skopeo(program: str, errand: Errand) -> list[list[str]]:
    source, repository = errand.stand.source, errand.repository
    start = [program, "--insecure-policy"]
    if errand.tag is not None:
        image = f"{repository}:{errand.tag}"
        copy = [*start, "copy", "--all", "--preserve-digests", "--quiet", *_SKOPEO_PLAIN]
        return [[*copy, f"docker://{source}/{image}", f"docker://{one}/{image}"] for one in errand.stand.targets]
    sync = [*start, "sync", "--all", "--src", "docker", "--dest", "docker", *_SKOPEO_PLAIN]
    parent = repository.rpartition("/")[0]
    return [[*sync, f"{source}/{repository}", f"{one}/{parent}"] for one in errand.stand.targets]


def _crane(program: str, errand: Errand) -> list[list[str]]:
    source, repository = errand.stand.source, errand.repository
    start = [program, "copy", "--insecure"]
    if not errand.own_jobs:
        start += ["--jobs", str(_JOBS[errand.stand.place])]
    if errand.tag is None:
        start.append("--all-tags")
    image = repository if errand.tag is None else f"{repository}:{errand.tag}"
    return [[*start, f"{source}/{image}", f"{one}/{image}"] for one in errand.stand.targets]


def _regsync(program: str, errand: Errand) -> list[list[str]]:
    """One process for all replicas: it has a configuration and looks after the order itself."""
    stand, jobs = errand.stand, _JOBS[errand.stand.place]
    image = errand.repository if errand.tag is None else f"{errand.repository}:{errand.tag}"
    kind = "repository" if errand.tag is None else "image"
    config: dict[str, object] = {
        "version": 1,
        "creds": [
            {"registry": host, "tls": "disabled", "reqConcurrent": 4 * jobs}
            for host in (stand.source, *stand.targets)
        ],
        "sync": [
            {"source": f"{stand.source}/{image}", "target": f"{one}/{image}", "type": kind} for one in stand.targets
        ],
    }
    if errand.own_jobs:
        config["creds"] = [{"registry": host, "tls": "disabled"} for host in (stand.source, *stand.targets)]
    else:
        config["defaults"] = {"parallel": jobs}
    path = stand.folder / "regsync.yaml"
    path.write_text(yaml.safe_dump(config))
    return [[program, "--verbosity", "warn", "once", "--config", str(path)]]
