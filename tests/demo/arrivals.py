"""Watching replicas from outside: when an image is there, whether it is right, and what it cost on the wire."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aiohttp
import anyio
from prometheus_client.parser import text_string_to_metric_families

from tests.demo.images import Push
from tests.support.content import closure_of
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, push, read_manifest, tag_digest

ARRIVAL = 60.0
"""Seconds after which a push that is not on a replica has failed the demo."""


class Wrong(Exception):
    """A replica does not hold what it should."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of blobs so far, of one replica: `sent` to it, and not sent, by why not (existed, mounted, shared)."""

    sent: int
    spared: Mapping[str, int]

    def since(self, before: "Traffic") -> "Traffic":
        """Return what came after `before`."""
        return Traffic(
            self.sent - before.sent, {how: size - before.spared.get(how, 0) for how, size in self.spared.items()}
        )

    @property
    def not_sent(self) -> int:
        """Bytes that the replica needed and did not have to be sent."""
        return sum(self.spared.values())


@dataclass(frozen=True, slots=True)
class Arrival:
    """A push on one replica: seconds from the end of the push until its tag named the new digest."""

    replica: str
    digest: str
    seconds: float
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the daemon's metrics."""

    source_read: int
    replicas: Mapping[str, Traffic]


async def read_metrics(admin: str, replicas: Iterable[str]) -> Reading:
    """Read /metrics of the daemon with the admin address `admin`."""
    async with aiohttp.ClientSession(admin) as session, session.get("/metrics") as answer:
        page = await answer.text()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]

    def total(name: str, **labels: str) -> int:
        return int(sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items()))

    hows = {one.labels["how"] for one in samples if one.name == "replicator_deduplicated_bytes_total"}
    return Reading(
        source_read=total("replicator_source_read_bytes_total"),
        replicas={
            name: Traffic(
                total("replicator_copied_bytes_total", replica=name),
                {how: total("replicator_deduplicated_bytes_total", replica=name, how=how) for how in sorted(hows)},
            )
            for name in replicas
        },
    )


async def _idle(admin: str) -> bool:
    async with aiohttp.ClientSession(admin) as session, session.get("/api/v1/status") as answer:
        totals = (await answer.json())["totals"]
    return bool(totals["owed"] == 0 and totals["inflight"] == 0)


@dataclass(frozen=True, slots=True)
class Watcher:
    """Pushes to a primary and sees what becomes of it; `replicas` are URLs by name, `admin` is the daemon's."""

    primary: str
    replicas: Mapping[str, str]
    admin: str

    async def push(self, one: Push) -> tuple[list[Arrival], int]:
        """Push, wait for all replicas, check them. Returns arrivals, and bytes read from the primary for all."""
        before = await self._settled()
        await push(self.primary, one.repository, one.tag, one.content)
        pushed = time.monotonic()
        seconds: dict[str, float] = {}

        async def arrive(name: str) -> None:
            async def there() -> bool:
                return await tag_digest(self.replicas[name], one.repository, one.tag) == one.content.digest

            await eventually(there, within=ARRIVAL, what=f"{one.repository}:{one.tag} is on {name}")
            seconds[name] = time.monotonic() - pushed

        async with anyio.create_task_group() as group:
            for name in self.replicas:
                group.start_soon(arrive, name)
        for name in self.replicas:
            await self._check(name, one)
        after = await self._settled()
        arrivals = [
            Arrival(name, str(one.content.digest), seconds[name], traffic.since(before.replicas[name]))
            for name, traffic in after.replicas.items()
        ]
        _check_cost(one, arrivals)
        return arrivals, after.source_read - before.source_read

    async def _settled(self) -> Reading:
        """Return the metrics when nothing is owed, so that no byte is counted to the wrong push."""
        await eventually(lambda: _idle(self.admin), within=ARRIVAL, what="nothing is owed to any replica")
        return await read_metrics(self.admin, self.replicas)

    async def _check(self, name: str, one: Push) -> None:
        """Every blob is read and hashed, every manifest compared with the primary's byte for byte."""
        url = self.replicas[name]
        closure = await fetch_closure(url, one.repository, one.tag, deep=True)
        if closure.digests != closure_of(one.content):
            raise Wrong(f"{name}: {one.repository}:{one.tag} is not the image that was pushed")
        for digest in closure.manifests:
            pushed, found = (
                await read_manifest(self.primary, one.repository, digest),
                await read_manifest(url, one.repository, digest),
            )
            if pushed != found:
                raise Wrong(f"{name}: manifest {digest} differs from the primary's")


def _check_cost(one: Push, arrivals: Iterable[Arrival]) -> None:
    """No blob may be sent twice, and none that the replica holds in another repository."""
    for arrival in arrivals:
        if arrival.traffic.sent > one.size - one.known:
            raise Wrong(
                f"{arrival.replica}: {arrival.traffic.sent} bytes sent for {one.repository}:{one.tag}, "
                f"{one.size - one.known} would do"
            )
