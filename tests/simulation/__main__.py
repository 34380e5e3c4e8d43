"""Runs many seeds on all processors, or on JOBS of them: `make soak SEEDS=20000 JOBS=2`.

Exit 1, and how to run each again, if any failed.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

from tests.simulation.run import simulate

_TELL_EVERY = 100


def failure(seed: int) -> str | None:
    """Run one seed and return why it failed, None when it did not."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        try:
            asyncio.run(simulate(seed, Path(folder)))
        except Exception as error:  # noqa: BLE001 -- the edge of the soak: whatever it is, the other seeds go on
            return f"seed {seed}: {type(error).__name__}: {error}"
    return None


def soak(seeds: range, *, jobs: int | None, first_only: bool) -> Iterator[str]:
    """Yield what failed, as it is found, in so many processes; with `first_only` end after that."""
    with ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(jobs or os.cpu_count()))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        running: dict[Future[str | None], int] = {pool.submit(failure, seed): seed for seed in seeds}
        for done, future in enumerate(as_completed(running), 1):
            found = future.result()
            if found is not None:
                yield found
                if first_only:
                    return
            if done % _TELL_EVERY == 0:
                print(f"{done} of {len(seeds)} seeds", flush=True)


def main() -> int:
    """Run the seeds that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, help="in so many processes; all processors unless given")
    parser.add_argument("--until-one-fails", action="store_true", help="end with the first that fails")
    asked = parser.parse_args()
    failed = 0
    seeds = range(asked.first, asked.first + asked.seeds)
    for found in soak(seeds, jobs=asked.jobs, first_only=asked.until_one_fails):
        print(found, flush=True)
        failed += 1
    print(f"{failed} of {len(seeds)} seeds failed, from {seeds.start} to {seeds.stop - 1}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
