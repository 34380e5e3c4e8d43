"""What a slow, a dead and a silent replica cost the others: the same copy to three, alone and beside such a fourth.

    python -m tests.bench.bench_neighbours [--runs 5] [--mib 96]

The fourth is throttled to 1 MB/s, or refuses connections, or takes them and never answers. Runs of the four kinds
alternate; printed is how long the other three took, and the ratio to the run of the same round without a fourth.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from rich.console import Console
from rich.table import Table

from tests.integration.events import post_push
from tests.integration.site import Site, run_site
from tests.support.images import make_image, push

_MIB = 1024 * 1024
_QUICK = ("eu", "us", "ap")
_KINDS = ("alone", "throttled", "stopped", "silent")


@asynccontextmanager
async def _site(folder: Path, kind: str) -> AsyncIterator[Site]:
    if kind == "alone":
        async with run_site(folder, replicas=_QUICK, notifies=False) as site:
            yield site
        return
    async with run_site(folder, replicas=(*_QUICK, "fourth"), proxied=("fourth",), notifies=False) as site:
        if kind == "throttled":
            site.lines["fourth"].link.rate_up = 1_000_000.0
        elif kind == "stopped":
            await site.lines["fourth"].stop()
        else:
            site.lines["fourth"].link.black_hole = True
        yield site


async def _once(kind: str, seed: str, mib: int) -> float:
    """Copy one new image of four layers and return the seconds until it is on the three quick replicas."""
    image = make_image(seed, (mib * _MIB // 4,) * 4)
    with tempfile.TemporaryDirectory() as folder:
        async with _site(Path(folder), kind) as site:
            await push(site.primary.url, "bench/app", "v1", image)
            started = time.perf_counter()
            await post_push(site.hook_url, "bench/app", "v1", image.digest)
            await site.arrived("bench/app", "v1", image.digest, within=120, on=_QUICK)
            return time.perf_counter() - started


async def _main(runs: int, mib: int) -> None:
    seconds: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for number in range(runs):
        for kind in _KINDS if number % 2 else reversed(_KINDS):
            seconds[kind].append(await _once(kind, f"{kind}-{number}", mib))
    table = Table(f"{mib} MiB to three replicas", "seconds", "ratio to alone (min to max)")
    for kind in _KINDS:
        ratios = [one / alone for one, alone in zip(seconds[kind], seconds["alone"], strict=True)]
        spread = f"{statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f})"
        table.add_row(f"fourth: {kind}", f"{statistics.median(seconds[kind]):.2f}", spread)
    Console().print(table)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mib", type=int, default=96)
    arguments = parser.parse_args()
    anyio.run(_main, arguments.runs, arguments.mib)


if __name__ == "__main__":
    main()
