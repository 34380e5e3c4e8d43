"""Every test of the contract runs once for each engine."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.contract.store.life import ENGINES, Life, Store


@pytest.fixture(params=ENGINES)
async def life(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Life]:
    async with AsyncExitStack() as stack:
        life = Life(request.param, tmp_path)
        stack.push_async_callback(life.stop)
        yield life


@pytest.fixture
async def store(life: Life) -> Store:
    return await life.start()
