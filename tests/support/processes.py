"""Child processes of the tests: own process group, output to a file, killed with us, paused and resumed."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import psutil

_TAIL = 4_000
LASTING: set[int] = set()
"""Processes that serve the whole run: they and their children may outlive a test, what those run may not."""


class Child(Protocol):
    """What is asked of a process that was begun: subprocess.Popen, or one that was forked."""

    @property
    def pid(self) -> int:
        """Process id."""
        ...

    def poll(self) -> int | None:
        """Return the exit code, None while it lives."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when it has ended. Raises subprocess.TimeoutExpired."""
        ...


class Process:
    """A running program whose output goes to `log` (appended, stdout and stderr together).

    It gets a process group of its own and is killed by the kernel when the thread that started it ends, so start it
    from the main thread.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        bound = [require_tool("setpriv"), "--pdeathsig", "KILL", "--", *map(str, command)]
        with log.open("ab") as output:
            self._child: Child = subprocess.Popen(
                bound,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if environ is None else dict(environ),
                cwd=cwd,
                start_new_session=True,
                pass_fds=tuple(pass_fds),
            )

    @property
    def pid(self) -> int:
        """Process id, also after the end."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._child.poll()

    def rss(self) -> int:
        """Resident memory in bytes of the process and its children."""
        top = psutil.Process(self.pid)
        total = 0
        for one in (top, *top.children(recursive=True)):
            total += one.memory_info().rss
        return total

    def cpu_seconds(self) -> float:
        """User and system CPU time used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; nothing when it has ended."""
        if self._child.poll() is None:
            os.killpg(self.pid, number)

    def pause(self) -> None:
        """Freeze it (SIGSTOP), and return when it is frozen: its sockets stay open and nothing answers."""
        self.signal(signal.SIGSTOP)
        # What runs on another core goes on for a moment.
        while self.exit_code is None and not self._stands_still():
            time.sleep(0.001)

    def resume(self) -> None:
        """Undo `pause`."""
        self.signal(signal.SIGCONT)

    def _stands_still(self) -> bool:
        try:
            states = [one.read_text() for one in Path(f"/proc/{self.pid}/task").glob("*/stat")]
        except (FileNotFoundError, ProcessLookupError):
            return False  # a thread that was at its end
        return all(state.rpartition(")")[2].split()[0] == "T" for state in states)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL the group and reap it."""
        self.signal(signal.SIGKILL)
        self._child.wait(timeout=60)

    def wait(self, within: float) -> int:
        """Block until it has ended and return the exit code; raises subprocess.TimeoutExpired."""
        return self._child.wait(timeout=within)

    def tail(self) -> str:
        """Return the last 4000 characters of the log, for messages."""
        return self.log.read_text(errors="replace")[-_TAIL:]


_DEBIAN_PACKAGES = {"promtool": "prometheus", "setpriv": "util-linux", "systemd-analyze": "systemd"}
"""Packages that are not called like the program."""


def require_tool(name: str) -> str:
    """Return the path of a program. Fails with the name of the Debian package to install when it is missing."""
    path = shutil.which(name)
    if path is None:
        package = _DEBIAN_PACKAGES.get(name, name)
        raise AssertionError(f"{name} is not on PATH; the tests need it: apt-get install {package}")
    return path
