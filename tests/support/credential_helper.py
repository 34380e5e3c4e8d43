"""A real credential helper: a program `docker-credential-NAME` in a folder that a test puts on PATH."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Helper:
    """The program in `folder`; what it was asked stands in a file beside it."""

    folder: Path
    name: str

    def runs(self, script: str) -> None:
        """Let it run these lines of shell, with the question in `$server`."""
        path = self.folder / f"docker-credential-{self.name}"
        path.write_text(
            f'#!/bin/sh\nread -r server\necho "$1 $server" >> {shlex.quote(str(self._asked))}\n{script}\n'
        )
        path.chmod(0o755)

    def knows(self, server: str, user: str, secret: str) -> None:
        """Let it know one server, and say of all others that there is nothing, in the protocol's words."""
        answer = json.dumps({"ServerURL": server, "Username": user, "Secret": secret})
        self.runs(
            f'if [ "$server" = {shlex.quote(server)} ]; then echo {shlex.quote(answer)}; '
            "else echo 'credentials not found in native keychain'; exit 1; fi"
        )

    def asked(self) -> list[str]:
        """Return what it was asked, as `get SERVER`."""
        return self._asked.read_text().splitlines() if self._asked.exists() else []

    @property
    def _asked(self) -> Path:
        return self.folder / f"{self.name}.asked"
