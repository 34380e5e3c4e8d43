"""The command line under cProfile, by the CPU time of its main thread: where the event loop spends it.

python -m tests.bench.profiled FIGURES ARGUMENT...        (then: python -m pstats FIGURES)
"""

import cProfile
import sys
import time

from replicator.cli.main import main as replicator


def main() -> None:
    """Run the command and write the figures when it ends."""
    figures = sys.argv.pop(1)
    profile = cProfile.Profile(time.thread_time)
    try:
        profile.runcall(replicator)
    finally:
        profile.dump_stats(figures)


if __name__ == "__main__":
    main()
