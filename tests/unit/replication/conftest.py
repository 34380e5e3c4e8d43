"""What tests of replication share. Log lines are caught: rendering a traceback with all its locals costs seconds."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from replicator.replication.shared_reads import SharedReads
from tests.support.fake_clock import FakeClock
from tests.unit.replication.rig import Rig, running_rig
from tests.unit.replication.support import ModelRegistry
from tests.unit.replication.takers import BLOB, BUDGET, HERE, STRICT, WINDOW


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """Return what the code under test logs."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def source() -> ModelRegistry:
    """Return a primary that holds BLOB in HERE."""
    registry = ModelRegistry("primary")
    registry.hold_blob(HERE, BLOB)
    return registry


@pytest.fixture
def counted() -> list[int]:
    """Return the sizes of all pieces that `reads` took from a source."""
    return []


@pytest.fixture
async def reads(counted: list[int], fake_clock: FakeClock) -> AsyncIterator[SharedReads]:
    """Run shared reads that wait for nobody and keep nothing."""

    def on_read(name: str, count: int) -> None:
        assert name == "primary"
        counted.append(count)

    async with SharedReads(
        clock=fake_clock, on_read=on_read, pause=0, window=WINDOW, budget=BUDGET, pacing=STRICT
    ) as running:
        yield running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Set up one primary with the replica `eu`; the engine is not started yet."""
    async with running_rig(tmp_path) as running:
        yield running
