"""How fast deliveries are acknowledged while copies run at full speed: the whole daemon, as a process.

    python -m tests.bench.bench_busy [--mib 1024] [--replicas 2]

One sender posts one event after the other, as Distribution does, first to an idle daemon and then while a large image
streams to all replicas. The events are owed to a replica that is down, so that they cost the store and nothing else.
Everything shares the machine's cores: read the two rows against each other.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp
import anyio
from rich.console import Console
from rich.table import Table

from replicator.model import Digest
from tests.integration.events import post_push
from tests.integration.site import Site, run_site
from tests.support.images import make_image, push, tag_digest

_MIB = 1024 * 1024
_IDLE_EVENTS = 500


async def _post(site: Site, session: aiohttp.ClientSession, number: int) -> float:
    """Post one event and return how long its answer took, seconds."""
    digest = Digest.of(str(number).encode())
    started = time.perf_counter()
    status = await post_push(site.hook_url, "bench/acknowledged", f"t{number % 50}", digest, session=session)
    if status != 202:
        raise RuntimeError(f"the daemon answered {status}")
    return time.perf_counter() - started


def _row(title: str, seconds: list[float]) -> tuple[str, ...]:
    cuts = statistics.quantiles(seconds, n=100)
    figures = (statistics.median(seconds), cuts[98], max(seconds))
    return (title, str(len(seconds)), *(f"{1000 * figure:.1f}" for figure in figures))


async def _main(mib: int, replicas: int) -> None:
    table = Table("acknowledgement, one serial sender", "events", "p50 ms", "p99 ms", "max ms")
    image = make_image("bench-busy", (mib * _MIB // 2, mib * _MIB // 2))
    names = tuple(f"r{number}" for number in range(replicas))
    with tempfile.TemporaryDirectory() as folder:
        async with (
            run_site(
                Path(folder),
                replicas=names,
                through={"down": "http://127.0.0.1:9"},
                notifies=False,
                sections={
                    "rules": [
                        {"repositories": ["bench/acknowledged"], "replicas": ["down"]},
                        {"repositories": ["bench/busy"], "replicas": list(names)},
                    ]
                },
            ) as site,
            aiohttp.ClientSession() as session,
        ):
            idle = [await _post(site, session, number) for number in range(_IDLE_EVENTS)]
            table.add_row(*_row("idle", idle))
            await push(site.primary.url, "bench/busy", "v1", image)
            await post_push(site.hook_url, "bench/busy", "v1", image.digest)
            busy: list[float] = []
            while await tag_digest(site.url(names[-1]), "bench/busy", "v1") is None:
                busy += [await _post(site, session, number) for number in range(50)]
            table.add_row(*_row(f"{mib} MiB on the way to {replicas} replicas", busy))
    Console().print(table)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--replicas", type=int, default=2)
    arguments = parser.parse_args()
    anyio.run(_main, arguments.mib, arguments.replicas)


if __name__ == "__main__":
    main()
