"""Log lines of these tests are caught: rendering a traceback with all its locals costs seconds."""

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """Return what the code under test logs."""
    with capture_logs() as lines:
        yield lines
