"""How many bytes are read from a connection at a time: each piece has a price of its own, whatever its size."""

from typing import Final

CHUNK: Final = 512 * 1024
"""Most bytes that are passed on at a time: with twice as many, each upload under way holds twice as many as well."""
READ_BUFFER: Final = 512 * 1024
"""Bytes of one body that wait for whoever reads it; twice as many make the peer wait."""


def read_in_large_pieces(transport: object) -> None:
    """Let the connection of a large body be read by CHUNK; asyncio takes half of that.

    The attribute is not part of asyncio's interface: where there is none (TLS, another event loop), nothing changes.
    """
    if isinstance(getattr(transport, "max_size", None), int):
        transport.max_size = CHUNK  # type: ignore[attr-defined]  # asked for right above
