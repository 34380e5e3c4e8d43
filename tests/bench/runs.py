"""One measured run of one contender: what is written down, and how it is taken."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.bench.registries import Work
from tests.bench.stand import Stand

CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a contender used: CPU seconds, and bytes of memory at its peak (the daemon's above idle)."""

    cpu: float
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: seconds by the clock, what the client used, what the registries did, what else kept the cores busy.

    `other` is the CPU time that neither client nor registries nor lines used, as a share of all cores.
    """

    wall: float
    used: Used
    primary: Work
    replicas: Work
    line: float
    other: float

    @property
    def registries_need(self) -> float:
        """Seconds that the registries and the line need on all cores, if nobody else used any."""
        return (self.primary.cpu + self.replicas.cpu + self.line) / CORES


def measure(stand: Stand, action: Callable[[], Used]) -> Run:
    """Run `action` and return what it cost; all counters are read before and after, nothing meanwhile."""
    primary, replicas, line = stand.work()
    busy, started = _busy(), time.perf_counter()
    used = action()
    wall, busy = time.perf_counter() - started, _busy() - busy
    primary_after, replicas_after, line_after = stand.work()
    run = Run(
        wall=wall,
        used=used,
        primary=primary_after - primary,
        replicas=replicas_after - replicas,
        line=line_after - line,
        other=0.0,
    )
    known = used.cpu + run.registries_need * CORES
    return Run(
        wall=wall,
        used=used,
        primary=run.primary,
        replicas=run.replicas,
        line=run.line,
        other=max(0.0, busy - known) / (wall * CORES),
    )


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
