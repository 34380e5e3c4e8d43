"""A scripted registry, and a second server for whatever it points to."""

from collections.abc import AsyncIterator

import pytest

from replicator.registry.client import RegistryClient
from tests.unit.registry.scripted import Script, client_for, run_script


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    """Run the registry."""
    async with run_script() as running:
        yield running


@pytest.fixture
async def elsewhere() -> AsyncIterator[Script]:
    """Run another server: a token server, a storage, or an attacker."""
    async with run_script() as running:
        yield running


@pytest.fixture
async def client(script: Script) -> AsyncIterator[RegistryClient]:
    """Open an anonymous client of the registry."""
    async with client_for(script.url) as opened:
        yield opened
