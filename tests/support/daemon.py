"""The real daemon as a process of its own: started from a configuration, killed, restarted, seen from outside."""

import contextlib
import http.client
import json
import os
import signal
import sysconfig
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.canaries import leaks
from tests.support.eventually import eventually
from tests.support.ports import Port
from tests.support.preloaded import Preloaded
from tests.support.processes import Process

_ROOT = Path(__file__).parents[2]


class Scrape:
    """One reading of /metrics."""

    def __init__(self, text: str) -> None:
        self._families: list[Metric] = list(text_string_to_metric_families(text))

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples called `name` that have these labels; 0 when there is none yet.

        Fails for a name that is not exported, and for a label that its samples do not have.
        """
        if not any(name == family.name or name.startswith(f"{family.name}_") for family in self._families):
            names = sorted(family.name for family in self._families)
            raise AssertionError(f"no metric {name}; there are {names}")
        samples = [sample for family in self._families for sample in family.samples if sample.name == name]
        for sample in samples:
            if not labels.keys() <= sample.labels.keys():
                raise AssertionError(f"{name} has the labels {sorted(sample.labels)}, not {sorted(labels)}")
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


class Daemon:
    """`replicator run` with one configuration and one state over any number of lives.

    What `config` leaves out is filled in: the admin listener on a free port, JSON logs, a store below `folder`. Start
    it from the main thread. `.config` and `.log` are its files; the log goes on over restarts. `program` is
    run in place of the installed command, with the same arguments; without one, and `preloaded`, it is forked from
    a process that has imported everything (preloaded.py).
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = (),
        preloaded: bool = False,
    ) -> None:
        self._preloaded = preloaded and not program
        self._program = program or (str(Path(sysconfig.get_path("scripts")) / "replicator"),)
        self._admin = Port()
        defaults = {
            "admin": {"listen": f"127.0.0.1:{self._admin.number}"},
            "log": {"format": "json"},
            "store": {"url": f"sqlite:///{folder / 'state' / 'replicator.db'}"},
        }
        self._defaults = defaults
        self.config = folder / "replicator.yaml"
        whole = self.write_config(config)
        self.log = folder / "daemon.log"
        self.log.touch()
        self._environ = {**os.environ, **(environ or {})}
        self._listen: str = whole["admin"]["listen"]
        self._process: Process | None = None

    def write_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Write the file anew, filled in as at first, and return what it holds."""
        whole = {key: {**value, **config.get(key, {})} for key, value in self._defaults.items()}
        self.config.write_text(yaml.safe_dump({**config, **whole}, sort_keys=False))
        return {**config, **whole}

    async def reload(self, *, within: float = 30.0) -> dict[str, Any]:
        """Send SIGHUP and return the log line that says what became of it."""
        before = len(self._reloads())
        self.process.signal(signal.SIGHUP)
        await eventually(lambda: len(self._reloads()) > before, within=within, what="the configuration is read anew")
        return self._reloads()[before]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines with this name."""
        return [line for line in self.log_lines() if line.get("event") == name]

    def _reloads(self) -> list[dict[str, Any]]:
        return [line for line in self.log_lines() if line.get("event") in {"config_reloaded", "config_refused"}]

    @property
    def admin_url(self) -> str:
        """Base URL of the admin listener, without a slash at the end."""
        return f"http://{self._listen}"

    @property
    def process(self) -> Process:
        """The process of this life, or of the last one."""
        if self._process is None:
            raise AssertionError("the daemon was never started")
        return self._process

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.exit_code is None

    async def start(self, *, within: float = 60.0) -> None:
        """Start a new life and return when /readyz says yes. Fails with the log when it ends before."""
        self.launch()
        await anyio.to_thread.run_sync(self._wait_ready, within)

    def launch(self) -> None:
        """Start a new life without waiting for it."""
        if self.running:
            raise AssertionError("the daemon runs already")
        arguments = ["-c", str(self.config), "run"]
        if self._preloaded:
            self._process = Preloaded(arguments, log=self.log, environ=self._environ, cwd=_ROOT)
        else:
            self._process = Process([*self._program, *arguments], log=self.log, environ=self._environ, cwd=_ROOT)

    def kill9(self) -> None:
        """End this life with SIGKILL; nothing when it has ended."""
        self.process.kill()

    async def terminate(self, *, within: float = 60.0) -> int:
        """Send SIGTERM, wait for the end and return the exit code."""
        self.process.terminate()
        return await anyio.to_thread.run_sync(self.process.wait, within)

    async def restart(self) -> int:
        """Terminate, start again, and return the exit code of the life that ended."""
        code = await self.terminate()
        await self.start()
        return code

    async def discard(self) -> None:
        """End for good and give the port back. Fails when a secret stands in what any life wrote."""
        if self._process is not None:
            await anyio.to_thread.run_sync(self._process.kill)
        self._admin.release()
        found = leaks(self.log.read_text(errors="replace"))
        assert not found, f"the daemon wrote secrets: {found[:3]}"

    def metrics(self) -> Scrape:
        """Read /metrics now. Blocks for as long as the daemon takes to answer."""
        return Scrape(self.get("/metrics").decode())

    def metric(self, name: str, **labels: str) -> float:
        """Read one value of /metrics now (Scrape.value)."""
        return self.metrics().value(name, **labels)

    def get(self, path: str, *, within: float = 30.0) -> bytes:
        """Return the body that the admin listener answers with. Fails unless the status is 200."""
        status, body = self._ask(path, within)
        if status != 200:
            raise AssertionError(f"GET {path}: {status}: {body[:500]!r}")
        return body

    def probe(self, path: str) -> int:
        """Return the status that the admin listener answers with, 0 when nobody listens."""
        try:
            return self._ask(path, 10.0)[0]
        except (OSError, http.client.HTTPException):
            return 0

    def rss(self) -> int:
        """Resident memory in bytes."""
        return self.process.rss()

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the log of all lives; a line that is not a JSON object comes as {"raw": line}."""
        return [_parsed(line) for line in self.log.read_text(errors="replace").splitlines()]

    def _wait_ready(self, within: float) -> None:
        deadline = time.monotonic() + within
        while True:
            if self.probe("/readyz") == 200:
                return
            code = self.process.exit_code
            if code is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(f"the daemon is not ready (exit code {code}):\n{self.process.tail()}")
            time.sleep(0.02)

    def _ask(self, path: str, within: float) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._listen, timeout=within)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextlib.asynccontextmanager
async def run_daemon(
    folder: Path, config: Mapping[str, Any], *, environ: Mapping[str, str] | None = None, preloaded: bool = False
) -> AsyncIterator[Daemon]:
    """Run the daemon, ready, for a block."""
    daemon = Daemon(folder, config, environ=environ, preloaded=preloaded)
    try:
        await daemon.start()
        yield daemon
    finally:
        await daemon.discard()


def _parsed(line: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        document = json.loads(line)
        if isinstance(document, dict):
            return document
    return {"raw": line}
