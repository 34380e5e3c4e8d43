"""Folders for the data of test servers."""

import tempfile
from pathlib import Path

_SHM = Path("/dev/shm")


def memory_folder() -> Path:
    """Return a new folder in shared memory, or on disk where there is none; whoever asks for it removes it."""
    return Path(tempfile.mkdtemp(prefix="replicator-test-", dir=_SHM if _SHM.is_dir() else None))
