"""Large bodies are read in large pieces, and a connection that cannot be told so is read as it is."""

import aiohttp
import pytest

from replicator.registry.read_sizes import CHUNK, read_in_large_pieces
from tests.unit.registry.scripted import Say, Script

BODY = bytes(3 * CHUNK)


async def test_a_connection_is_told(script: Script) -> None:
    """A new Python without the attribute is no failure: then this does nothing."""
    script.on("GET", "/", Say(200, {}, BODY))
    async with aiohttp.ClientSession() as session, session.get(f"{script.url}/") as response:
        assert response.connection is not None
        transport = response.connection.transport
        read_in_large_pieces(transport)
        assert getattr(transport, "max_size", CHUNK) == CHUNK
        assert await response.read() == BODY


@pytest.mark.parametrize("transport", [None, object()])
def test_a_transport_without_that_attribute_is_left_alone(transport: object) -> None:
    read_in_large_pieces(transport)
