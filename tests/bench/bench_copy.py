"""The daemon beside `skopeo copy --all`: one new image to one replica and to three, alternating in one run.

    python -m tests.bench.bench_copy [--runs 5] [--mib 64]

Both sides copy the same image from the same primary to registries of their own, over the loopback. The daemon is
warm, as in production; skopeo's process start counts, as it does there. Printed: medians, and the ratio daemon /
skopeo run by run. CPU seconds are those of the client alone. On shared cores only the ratios mean something.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from rich.console import Console
from rich.table import Table

from tests.integration.events import post_push
from tests.integration.site import Site, arrival, run_site
from tests.support.content import Content
from tests.support.images import make_image, make_index, push
from tests.support.registries import DockerRegistry
from tests.support.skopeo import docker_name, skopeo_copy

_MIB = 1024 * 1024
_REPOSITORY = "bench/app"


@dataclass(frozen=True, slots=True)
class Run:
    """Wall and client CPU seconds of one copy."""

    wall: float
    cpu: float


async def _by_skopeo(primary: DockerRegistry, targets: Sequence[DockerRegistry], tag: str) -> Run:
    before, started = os.times(), time.perf_counter()
    async with anyio.create_task_group() as group:
        for target in targets:
            source, goal = (docker_name(one.url, _REPOSITORY, tag) for one in (primary, target))
            group.start_soon(partial(skopeo_copy, source, goal))
    wall, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(wall, cpu)


async def _by_daemon(site: Site, content: Content, tag: str) -> Run:
    process = site.daemon.process
    before, started = process.cpu_seconds(), time.perf_counter()
    await post_push(site.hook_url, _REPOSITORY, tag, content.digest)
    for replica in site.replicas.values():
        await arrival(replica.url, _REPOSITORY, tag, content.digest, within=600)
    return Run(time.perf_counter() - started, process.cpu_seconds() - before)


def _image(seed: str, mib: int) -> Content:
    size = mib * _MIB // 8
    return make_index(
        [
            make_image(f"{seed}-amd64", (size * 2, size, size)),
            make_image(f"{seed}-arm64", (size * 2, size, size), platform="linux/arm64"),
        ]
    )


async def _compare(folder: Path, replicas: int, runs: int, mib: int) -> list[tuple[Run, Run]]:
    names = tuple(f"r{number}" for number in range(replicas))
    others = [DockerRegistry(folder, name=f"skopeo-{name}") for name in names]
    found: list[tuple[Run, Run]] = []
    try:
        for other in others:
            await other.start()
        async with run_site(folder, replicas=names, notifies=False) as site:
            for number in range(runs + 1):
                tag = f"v{number}"
                content = _image(f"{replicas}-{number}", mib)
                await push(site.primary.url, _REPOSITORY, tag, content)
                if number % 2:
                    peer = await _by_skopeo(site.primary, others, tag)
                    ours = await _by_daemon(site, content, tag)
                else:
                    ours = await _by_daemon(site, content, tag)
                    peer = await _by_skopeo(site.primary, others, tag)
                if number:  # the first pair warms caches and connections
                    found.append((ours, peer))
    finally:
        for other in others:
            other.discard()
    return found


def _row(title: str, pairs: Sequence[tuple[Run, Run]], figure: str) -> tuple[str, ...]:
    ours = [float(getattr(pair[0], figure)) for pair in pairs]
    peer = [float(getattr(pair[1], figure)) for pair in pairs]
    ratios = [mine / theirs for mine, theirs in zip(ours, peer, strict=True)]
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    return (
        title,
        f"{statistics.median(ours):.2f}",
        f"{statistics.median(peer):.2f}",
        f"{middle:.2f}  ({low:.2f} to {high:.2f})",
    )


async def _main(runs: int, mib: int) -> None:
    table = Table("one new index of two images", "daemon s", "skopeo s", "ratio (min to max)")
    for replicas in (1, 3):
        with tempfile.TemporaryDirectory() as folder:
            pairs = await _compare(Path(folder), replicas, runs, mib)
        for figure in ("wall", "cpu"):
            table.add_row(*_row(f"{mib} MiB to {replicas} replica(s), {figure}", pairs, figure))
    Console().print(table)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mib", type=int, default=64)
    arguments = parser.parse_args()
    anyio.run(_main, arguments.runs, arguments.mib)


if __name__ == "__main__":
    main()
