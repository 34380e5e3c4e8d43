"""Cuts connections of asyncio's streams off, in whatever state they are."""

import asyncio
import contextlib


def cut_off(writer: asyncio.StreamWriter) -> None:
    """Close a connection at once; what is buffered is lost. One that is closed already stays so."""
    # A transport that was closed before its buffer had gone forgets, at its end, that it has one (CPython).
    with contextlib.suppress(AttributeError):
        writer.transport.abort()
