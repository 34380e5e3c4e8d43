"""Every test of the contract runs once for each engine."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from replicator.store.store import Store
from tests.contract.store.life import ENGINES, Life
from tests.support.postgres import Postgres, run_postgres


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with run_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=ENGINES)
async def life(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Life]:
    url = ""
    if request.param == "postgres":
        postgres.empty()
        url = postgres.url()
    async with AsyncExitStack() as stack:
        life = Life(tmp_path, url)
        stack.push_async_callback(life.stop)
        yield life


@pytest.fixture
async def store(life: Life) -> Store:
    return await life.start()
