"""Fixtures of the admin listener's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.admin.scene import Scene, open_scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Yield a scene of the test's own."""
    async with open_scene(tmp_path) as opened:
        yield opened
