"""A real Prometheus as a process: it scrapes what a test names, every so often, and answers PromQL.

Wait for a scrape that began after a state was reached (`scraped`), then ask: no test needs to sleep.
"""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.eventually import eventually
from tests.support.ports import Port
from tests.support.processes import Process, require_tool

_STAMP_SLACK = 0.005
"""Prometheus may move the stamp of a scrape by 2 ms, to keep them at even distances."""


@dataclass(frozen=True, slots=True)
class Series:
    """One answer of a query: its labels, and its samples as (Unix seconds, value), oldest first."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, float]]

    @property
    def value(self) -> float:
        """The newest value."""
        return self.samples[-1][1]


class Prometheus:
    """A Prometheus that scrapes `targets` (job name -> host:port), each on /metrics, every `interval`.

    `rules` are rule files, evaluated as often. Exemplars are kept. Start it from the main thread.
    """

    def __init__(
        self, folder: Path, targets: Mapping[str, str], *, interval: str = "250ms", rules: Sequence[Path] = ()
    ) -> None:
        self._port = Port()
        self._folder = folder / "prometheus"
        self._folder.mkdir()
        self._jobs = tuple(targets)
        self._process: Process | None = None
        self._session: aiohttp.ClientSession | None = None
        config = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(one.resolve()) for one in rules],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
            ],
        }
        self._config = self._folder / "prometheus.yml"
        self._config.write_text(yaml.safe_dump(config))

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return f"http://127.0.0.1:{self._port.number}"

    async def start(self, *, within: float = 30.0) -> None:
        """Start it and return when it answers queries. Fails with its log when it ends before."""
        command = [
            require_tool("prometheus"),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port.number}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]
        process = self._process = Process(command, log=self._folder / "log", cwd=self._folder)
        self._session = aiohttp.ClientSession()

        async def ready() -> bool:
            if process.exit_code is not None:
                raise AssertionError(f"Prometheus ended with {process.exit_code}:\n{process.tail()}")
            with contextlib.suppress(aiohttp.ClientError):
                async with self._opened().get(f"{self.url}/-/ready") as answer:
                    return answer.status == 200
            return False

        await eventually(ready, within=within, what="Prometheus is ready")

    async def discard(self) -> None:
        """End it for good and give the port back."""
        if self._session is not None:
            await self._session.close()
        if self._process is not None:
            self._process.kill()
        self._port.release()

    async def query(self, expression: str) -> list[Series]:
        """Return what a PromQL expression says now; a range such as `up[5m]` gives all samples of each series."""
        data = await self._ask("query", {"query": expression})
        if data["resultType"] == "scalar":
            return [Series({}, [_sample(data["result"])])]
        return [
            Series(one["metric"], [_sample(pair) for pair in one.get("values") or [one["value"]]])
            for one in data["result"]
        ]

    async def over(self, expression: str, start: float, end: float, *, step: float) -> list[Series]:
        """Return what a PromQL expression says every `step` seconds from `start` to `end` (Unix seconds)."""
        asked = {"query": expression, "start": str(start), "end": str(end), "step": str(step)}
        data = await self._ask("query_range", asked)
        return [Series(one["metric"], [_sample(pair) for pair in one["values"]]) for one in data["result"]]

    async def value(self, expression: str) -> float:
        """Return the value of an expression that has exactly one series. Fails when there are more, or none."""
        found = await self.query(expression)
        if len(found) != 1:
            raise AssertionError(f"{expression} has {len(found)} series, not 1: {found}")
        return found[0].value

    async def exemplars(self, selector: str) -> list[dict[str, Any]]:
        """Return the exemplars of the last hour, each with `labels`, `value` and `timestamp`."""
        now = time.time()
        data = await self._ask("query_exemplars", {"query": selector, "start": str(now - 3600), "end": str(now + 60)})
        return [exemplar for series in data for exemplar in series["exemplars"]]

    async def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing, with `labels`, `annotations` and `state`."""
        found: list[dict[str, Any]] = (await self._ask("alerts", {}))["alerts"]
        return found

    async def scraped(self, *jobs: str, within: float = 20.0) -> None:
        """Return when a scrape that began after this call is stored: of these jobs, or of all."""
        called = time.time() + _STAMP_SLACK
        for job in jobs or self._jobs:

            async def later(job: str = job) -> bool:
                found = await self.query(f'timestamp(up{{job="{job}"}}) and up{{job="{job}"}} == 1')
                return bool(found) and found[0].value > called

            await eventually(later, within=within, what=f"Prometheus has scraped {job}")

    async def until(self, expression: str, *, within: float = 20.0) -> Series:
        """Return the first series of an expression once it has one, e.g. `x > 0`; its samples are stored by then."""
        found = await eventually(lambda: self.query(expression), within=within, what=f"Prometheus finds {expression}")
        return found[0]

    async def _ask(self, what: str, parameters: Mapping[str, str]) -> Any:
        async with self._opened().get(f"{self.url}/api/v1/{what}", params=parameters) as answer:
            document = json.loads(await answer.read())
        if document["status"] != "success":
            raise AssertionError(f"{what} {parameters}: {document.get('error')}")
        return document["data"]

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise AssertionError("Prometheus was never started")
        return self._session


@contextlib.asynccontextmanager
async def run_prometheus(
    folder: Path, targets: Mapping[str, str], *, interval: str = "250ms", rules: Sequence[Path] = ()
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus, ready, for a block (see Prometheus)."""
    prometheus = Prometheus(folder, targets, interval=interval, rules=rules)
    try:
        await prometheus.start()
        yield prometheus
    finally:
        await prometheus.discard()


def _sample(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
