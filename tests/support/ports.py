"""Loopback ports that stay ours while a server is stopped and started again.

They lie below the range from which the kernel takes source ports: a client that keeps knocking at a stopped server
can then neither take the server's port nor connect to itself.
"""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

_FIRST, _LAST = 20_000, 32_000
_FOLDER = Path(tempfile.gettempdir()) / f"replicator-test-ports-{os.getuid()}"


class Port:
    """A reserved loopback port. The reservation holds against other test runs of this user until `release`."""

    def __init__(self) -> None:
        _FOLDER.mkdir(exist_ok=True)
        dice = random.SystemRandom()
        for _ in range(1_000):
            number = dice.randrange(_FIRST, _LAST)
            lock = _lock(number)
            if lock is None:
                continue
            if _bindable(number):
                self.number = number
                self._lock = lock
                return
            os.close(lock)
        raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")

    def release(self) -> None:
        """Give the port back; safe to call twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _lock(number: int) -> int | None:
    descriptor = os.open(_FOLDER / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _bindable(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True
