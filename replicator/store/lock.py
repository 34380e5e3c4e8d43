"""The state directory and its lock: one daemon at a time, since SQLite leases and checkpoints need one owner."""

import fcntl
import os
from pathlib import Path

from replicator.errors import StoreError

_PRIVATE_DIRECTORY = 0o700
_PRIVATE_FILE = 0o600


class StateLock:
    """Holds `lock` in the state directory until released; the kernel releases it when the process ends."""

    def __init__(self, directory: Path) -> None:
        """Make the directory (0700) if it is missing and lock it. Raises StoreError when another process has it."""
        try:
            directory.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            self._descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
        except OSError as error:
            raise StoreError(f"the state directory {directory} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            by = f"pid {holder}" if holder.isdigit() else "another process"
            raise StoreError(f"the state directory {directory} is in use by {by}") from error
        os.truncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process have the directory."""
        os.close(self._descriptor)


def make_private(path: Path) -> None:
    """Make the database file if it is missing, readable by its owner only; SQLite gives its other files that mode."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
        try:
            os.fchmod(descriptor, _PRIVATE_FILE)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"the database {path} cannot be used: {error.strerror}") from error
