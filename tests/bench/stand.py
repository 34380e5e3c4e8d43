"""Where copies are measured: a primary, replicas that are emptied between runs, and the line between them."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.bench.line import Figures
from tests.bench.registries import MeasuredRegistry, Work
from tests.support.ports import Port
from tests.support.processes import Process
from tests.support.registries import DockerRegistry

LONG = Figures(delay=0.04, rate=20_000_000)
"""40 ms each way, 20 MB/s for each connection."""
CONNECTIONS = 64
"""What the daemon may open to each registry over a long line (`max_connections`): its default would bound it."""


class Place(StrEnum):
    """Where the long line lies: nowhere, before every replica, or before the primary."""

    LAN = "lan"
    REPLICAS = "long"
    PRIMARY = "long-primary"


@dataclass(frozen=True, slots=True)
class Stand:
    """The running parts. `source` and `targets` (host:port) are what contenders are given, lines included."""

    folder: Path
    place: Place
    primary: MeasuredRegistry
    replicas: tuple[MeasuredRegistry, ...]
    lines: tuple[Process, ...]
    source: str
    targets: tuple[str, ...]

    def empty(self) -> None:
        """Empty the replicas."""
        for replica in self.replicas:
            replica.empty()

    def work(self) -> tuple[Work, Work, float]:
        """Return what the primary did, what all replicas did, and the CPU seconds of the lines."""
        done = sum((replica.work() for replica in self.replicas), Work())
        return self.primary.work(), done, sum(line.cpu_seconds() for line in self.lines)


@contextlib.contextmanager
def open_stand(folder: Path, primary: MeasuredRegistry, *, replicas: int, place: Place) -> Iterator[Stand]:
    """Start replicas and lines before a primary that runs."""
    with contextlib.ExitStack() as stack:
        found = tuple(MeasuredRegistry(folder, name=f"r{number}") for number in range(replicas))
        for replica in found:
            stack.callback(replica.discard)
            replica.launch()
            replica.wait_ready()
        lines: list[Process] = []

        def through(registries: Sequence[DockerRegistry], *, long: bool) -> tuple[str, ...]:
            if not long:
                return tuple(registry.host for registry in registries)
            ports = [Port() for _ in registries]
            for registry, port in zip(registries, ports, strict=True):
                stack.callback(port.release)
                lines.append(_line(folder, port.number, registry.host))
                stack.callback(lines[-1].kill)
            return tuple(f"127.0.0.1:{port.number}" for port in ports)

        targets = through(found, long=place is Place.REPLICAS)
        (source,) = through([primary], long=place is Place.PRIMARY)
        yield Stand(folder, place, primary, found, tuple(lines), source, targets)


def _line(folder: Path, port: int, host: str) -> Process:
    figures = ("--delay", str(LONG.delay), "--rate", str(LONG.rate))
    pair = f"{port}={host.rpartition(':')[2]}"
    # The package is found from where the bench was started.
    return Process([sys.executable, "-m", "tests.bench.line", *figures, pair], log=folder / f"line-{port}.log")
