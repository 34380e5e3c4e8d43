"""The daemon as a contender: the real process, warm, told by webhook, and watched through its own log."""

import contextlib
import http.client
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.runs import Used
from tests.bench.stand import CONNECTIONS, Place, Stand
from tests.bench.workloads import Workload
from tests.integration.events import push_event
from tests.integration.site import HOOK_PATH, HOOK_SECRET, daemon_config
from tests.support.content import Image, make_image
from tests.support.daemon import Daemon
from tests.support.ports import Port

WARM = "bench/warm"
"""A repository of one small image, which the daemon copies before anything is measured."""
_GLANCE = 0.004
_LIMIT = 1800.0
_ARRIVED = b"reference_replicated"
_TROUBLE = (b"attempt_crashed", b"reference_parked", b"reference_failed")


def warm_image() -> Image:
    """Return the image of the repository WARM."""
    return make_image("bench-warm", (2_000, 3_000))


@dataclass(frozen=True, slots=True)
class Delivery:
    """The body of one webhook delivery, made beforehand, and how many references become owed by it in all."""

    body: bytes
    owed: int


def delivery(repository: str, workload: Workload, *, owed: int, digests: bool = True) -> Delivery:
    """Return one delivery of a push of every tag; without digests the daemon has to look each of them up."""
    events = []
    for tag, content in workload.tags.items():
        event = push_event(repository, tag, content.digest)
        if not digests:
            del event["target"]["digest"]
        events.append(event)
    return Delivery(json.dumps({"events": events}).encode(), owed)


class DaemonSide:
    """A daemon that runs, and what is read from it. It is not asked anything while it works: its log is read."""

    def __init__(self, daemon: Daemon, hooks: int) -> None:
        self._daemon = daemon
        self._hooks = hooks
        self._read = 0

    @property
    def name(self) -> str:
        """As tables call it."""
        return "daemon"

    def take(self, what: Delivery) -> Used:
        """Post a delivery and return when the daemon has said of all it makes owed that it is on its replica."""
        process = self._daemon.process
        idle = _memory(process.pid, "VmRSS")
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")
        before = process.cpu_seconds()
        self._post(what.body)
        self._wait(what.owed)
        return Used(cpu=process.cpu_seconds() - before, memory=max(0, _memory(process.pid, "VmHWM") - idle))

    def _post(self, body: bytes) -> None:
        headers = {
            "Authorization": f"Bearer {HOOK_SECRET}",
            "Content-Type": "application/vnd.docker.distribution.events.v1+json",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._hooks, timeout=60)
        try:
            connection.request("POST", HOOK_PATH, body, headers)
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.ACCEPTED:
                raise AssertionError(f"the daemon answered {answer.status}: {answer.read(500)!r}")
        finally:
            connection.close()

    def _wait(self, owed: int) -> None:
        """Wait for `owed` lines that say so. Lines of the past were read before."""
        arrived, rest, deadline = 0, b"", time.monotonic() + _LIMIT
        with self._daemon.log.open("rb") as log:
            log.seek(self._read)
            while arrived < owed:
                *lines, rest = (rest + log.read()).split(b"\n")
                arrived += sum(_ARRIVED in line for line in lines)
                trouble = [line for line in lines if any(word in line for word in _TROUBLE)]
                if trouble or time.monotonic() > deadline or not self._daemon.running:
                    raise AssertionError(f"{arrived} of {owed} arrived: {trouble[:3] or self._daemon.process.tail()}")
                if not lines:
                    time.sleep(_GLANCE)
            self._read = log.tell()


@contextlib.asynccontextmanager
async def run_daemon_side(stand: Stand, *, profile: Path | None = None) -> AsyncIterator[DaemonSide]:
    """Start a daemon with an empty store, have it copy the warm image to every replica, and yield it.

    `profile` is where cProfile's figures go when it ends.
    """
    folder = Path(tempfile.mkdtemp(prefix="daemon-", dir=stand.folder))
    hooks = Port()
    replicas = {f"r{number}": f"http://{host}" for number, host in enumerate(stand.targets)}
    # The peers leave referrers where they are.
    sections = {"rules": [{"repositories": ["**"], "referrers": False}]}
    config = daemon_config(folder, f"http://{stand.source}", replicas, hooks=hooks, sections=sections)
    if stand.place is not Place.LAN:
        for registry in (config["primary"], *config["replicas"]):
            registry["max_connections"] = CONNECTIONS
    profiled = () if profile is None else (sys.executable, "-m", "tests.bench.profiled", str(profile))
    daemon = Daemon(folder, config, program=profiled)
    try:
        await daemon.start()
        side = DaemonSide(daemon, hooks.number)
        side.take(delivery(WARM, Workload("warm", {"v0": warm_image()}), owed=len(replicas)))
        yield side
        if profile is not None:
            await daemon.terminate()
    finally:
        await daemon.discard()
        hooks.release()


def _memory(pid: int, field: str) -> int:
    """Return a field of /proc/PID/status that is given in kB, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status has no {field}")
