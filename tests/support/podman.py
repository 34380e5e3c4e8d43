"""podman on a base image made here, of the Python that runs the tests: nothing is pulled.

Needs root and podman: where they are not to be had, or no container can run, a test is skipped with the reason.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.python_root import PREFIX, install_python

LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")
"""podman's own defaults are higher than what some machines allow."""


@dataclass(frozen=True)
class Podman:
    """A podman whose images and containers lie in a folder of their own; `localhost/base` is there."""

    folder: Path
    runtime: str

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one podman command; a failure shows what it said."""
        command = ["podman", "--root", str(self.folder / "root"), "--runroot", str(self.folder / "run")]
        command += ["--runtime", self.runtime, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done

    def python(self, container: str, program: str, *arguments: str) -> list[str]:
        """Run a program in a running container, as its user, and return the words it printed."""
        return self.run("exec", container, "python", "-c", program, *arguments).stdout.split()

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """Return what podman knows of an image or a container."""
        (found,) = json.loads(self.run(kind, "inspect", name).stdout)
        return dict(found)

    def clear(self) -> None:
        """Take away whatever was made, mounts included."""
        self.run("rm", "--all", "--force", "-t", "0", check=False)
        self.run("volume", "rm", "--all", "--force", check=False)
        self.run("rmi", "--all", "--force", check=False)


def working_podman(folder: Path, fill: Callable[[Path], None] = lambda _: None) -> Podman:
    """Return a podman with the base image and a runtime that runs it: the machine's cgroups decide which can.

    The base holds `python` and no more, and what `fill` puts into its root. The caller clears it.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can build and run an image here")
    if shutil.which("podman") is None:
        pytest.skip("podman is not here (Debian package podman)")
    base, refusals = _make_base(folder, fill), []
    changes = ("--change", f"ENV LD_LIBRARY_PATH={PREFIX}/lib", "--change", f"ENV PATH={PREFIX}/bin")
    for runtime in filter(shutil.which, ("crun", "runc")):
        podman = Podman(folder / runtime, runtime)
        podman.run("import", *changes, str(base), "localhost/base")
        words = ("run", "--rm", *LIMITS, "--network", "none", "localhost/base", "python", "--version")
        tried = podman.run(*words, check=False)
        if tried.returncode == 0:
            return podman
        refusals.append(tried.stderr[-500:].strip())
        podman.clear()
    pytest.skip(f"podman runs no container on this machine: {'; '.join(refusals) or 'neither crun nor runc is here'}")


def _make_base(folder: Path, fill: Callable[[Path], None]) -> Path:
    root = folder / "base"
    python = install_python(root)
    for name in ("etc", "tmp"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / python.lstrip("/")).with_name("python").symlink_to(Path(python).name)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/nonexistent\n")
    fill(root)
    archive = folder / "base.tar"
    subprocess.run(["tar", "--owner=0", "--group=0", "-C", str(root), "-cf", str(archive), "."], check=True)
    return archive
