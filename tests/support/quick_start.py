"""What `init` printed, taken as people take it: the configuration into a file, the steps into a shell."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from replicator.cli.main import main


@dataclass(frozen=True, slots=True)
class QuickStart:
    """`config` is stdout, `script` stderr."""

    config: str
    script: str

    def step(self, of: str) -> str:
        """Return the commands of the one step whose heading holds `of`."""
        (found,) = [one for one in re.split(r"(?m)^# [0-9]+\. ", self.script)[1:] if of in one.splitlines()[0]]
        return found.partition("\n")[2]

    @property
    def files(self) -> set[str]:
        """The files of secrets that the steps write."""
        return {one.removesuffix(".new") for one in re.findall(r"> (secrets/[a-z0-9.-]+)(?= |\n)", self.script)}


def quick_start(*arguments: str) -> QuickStart:
    """Run `init`, which must end well."""
    result = CliRunner().invoke(main, ["init", *arguments])
    assert result.exit_code == 0, result.output
    return QuickStart(result.stdout, result.stderr)


def run_step(commands: str, folder: Path, *, environ: Mapping[str, str] | None = None) -> str:
    """Run commands in a shell in `folder` and return what they print; the first that fails ends the test."""
    done = subprocess.run(
        ["sh", "-eu"], input=commands, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
