"""Whole runs from a seed (tests/simulation/run.py says what happens in them) end with all guarantees kept."""

from pathlib import Path

import pytest

from tests.simulation.run import simulate

SEEDS = range(8)
MANY_SEEDS = range(1_000, 1_200)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_ends_with_replicas_equal_to_the_primary(seed: int, tmp_path: Path) -> None:
    await simulate(seed, tmp_path)


@pytest.mark.prove
@pytest.mark.parametrize("seed", MANY_SEEDS)
async def test_many_runs_end_with_replicas_equal_to_the_primary(seed: int, tmp_path: Path) -> None:
    await simulate(seed, tmp_path)
