"""The program with all its modules imported: a daemon forked from it lives as one that was started, only sooner.

Importing is most of what a start costs, and the tests start hundreds. `python -m tests.support.preloaded FD` imports
the program once and forks for each order that comes through the socket FD; between it and the daemon stands a process
that waits for the daemon's end, since only a parent learns of that.
"""

import atexit
import ctypes
import functools
import gc
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import replicator.cli.run  # noqa: F401 -- what the command `run` imports is to be there already
from replicator.cli.main import main
from tests.support.processes import LASTING, Process

_ROOT = Path(__file__).parents[2]
_LONGEST = 1 << 17
"""Bytes of an order at most."""
_NUMBER = struct.Struct("i")
_PR_SET_PDEATHSIG = 1


class _Child:
    """A daemon as its starter sees it: its number first, and its exit code once it has ended, come through a pipe."""

    def __init__(self, words: int) -> None:
        self._words = words
        self._code: int | None = None
        self.pid = self._next()

    def poll(self) -> int | None:
        """Return the exit code, None while it lives."""
        if self._code is None and select.select([self._words], [], [], 0)[0]:
            self._end()
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when it has ended. Raises subprocess.TimeoutExpired."""
        if self._code is None:
            if not select.select([self._words], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("replicator", timeout or 0.0)
            self._end()
        return -1 if self._code is None else self._code

    def _end(self) -> None:
        self._code = self._next()
        os.close(self._words)

    def _next(self) -> int:
        word = os.read(self._words, _NUMBER.size)
        if not word:
            raise AssertionError("the process that daemons are forked from has died")
        return int(_NUMBER.unpack(word)[0])


class Preloaded(Process):
    """`replicator` with these arguments, forked instead of started; everything else is as for any process."""

    def __init__(self, arguments: Sequence[str], *, log: Path, environ: Mapping[str, str], cwd: Path) -> None:
        self.log = log
        order = {"arguments": list(arguments), "environ": dict(environ), "cwd": str(cwd)}
        ours, theirs = os.pipe()
        with log.open("ab") as output:
            orders, _ = _forking()
            socket.send_fds(orders, [json.dumps(order).encode()], [output.fileno(), theirs])
        os.close(theirs)
        self._child = _Child(ours)


@functools.cache
def _forking() -> tuple[socket.socket, Process]:
    """Start the process that forks, once; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = Path(tempfile.mkdtemp(prefix="replicator-preloaded-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with theirs:
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        process = Process(command, log=folder / "log", cwd=_ROOT, pass_fds=(theirs.fileno(),))
    LASTING.add(process.pid)
    return ours, process


def _serve(orders: socket.socket) -> None:
    """Fork for each order; return in the process that is to be the daemon, never in the one that forks."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, _LONGEST, 2)
        if not order:
            os._exit(0)
        if os.fork() == 0:
            orders.close()
            _mind(*descriptors)
            _become(json.loads(order))
            return
        for one in descriptors:
            os.close(one)


def _mind(log: int, words: int) -> None:
    """Return in a child that writes to `log`; tell through `words` its number, and at its end its exit code."""
    _end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        os.close(log)
        # Its number is told once it has a group of its own: signals go to that.
        while os.getsid(pid) != pid:
            os.sched_yield()
        os.write(words, _NUMBER.pack(pid))
        _, status = os.waitpid(pid, 0)
        os.write(words, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
        os._exit(0)
    os.setsid()
    _end_with_parent()
    os.close(words)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, log, log)):
        os.dup2(descriptor, number)
    os.close(nothing)
    os.close(log)


def _become(order: Mapping[str, object]) -> None:
    """Take over what a new process would have been given."""
    os.chdir(str(order["cwd"]))
    environ, arguments = order["environ"], order["arguments"]
    assert isinstance(environ, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["replicator", *arguments]


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    # What is there by now is there for good: no collection need touch, and so copy, its pages.
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
    gc.unfreeze()
    sys.exit(main())
