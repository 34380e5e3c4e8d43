"""Whole runs from a seed (tests/simulation/run.py says what happens in them) end with all guarantees kept."""

from pathlib import Path

import pytest

from tests.simulation.run import simulate

SEEDS = range(8)
MANY_SEEDS = range(1_000, 1_200)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_ends_with_replicas_equal_to_the_primary(seed: int, tmp_path: Path) -> None:
    await simulate(seed, tmp_path)


async def test_a_seed_says_all_that_happens(tmp_path: Path) -> None:
    """Else a seed that fails could not be run again."""
    first, second = [await simulate(13, tmp_path / name) for name in ("first", "second")]
    assert first == second


@pytest.mark.prove
@pytest.mark.parametrize("seed", MANY_SEEDS)
async def test_many_runs_end_with_replicas_equal_to_the_primary(seed: int, tmp_path: Path) -> None:
    await simulate(seed, tmp_path)
