"""A real Gitea as a process, with its container registry: accounts, access tokens, and webhooks of an owner.

It is built by tests/tools/build-programs.sh; where that could not be, what needs it is skipped with the reason.
"""

import base64
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.processes import Process
from tests.support.programs import BUILT, require_program
from tests.support.registries import Registry

_EVENTS = ["package"]
_SECRET = "a-canary-of-gitea-itself"


class Gitea(Registry):
    """One Gitea. Accounts are made while it runs."""

    def launch(self) -> None:
        """Start the process without waiting for it."""
        if self._process is not None:
            raise AssertionError(f"{self.name} runs already")
        self._settings().write_text(self._config())
        self._process = Process(self._command(), log=self._folder / "log", cwd=self._folder)

    def user(self, name: str) -> str:
        """Make an account and return its password."""
        password = f"canary-{name}-1"
        self._admin("create", "--username", name, "--email", f"{name}@gitea.test", "--password", password)
        return password

    def token(self, name: str, scopes: str) -> str:
        """Return a new access token of an account, good for `scopes` alone."""
        return self._admin("generate-access-token", "--username", name, "--scopes", scopes, "--raw").split()[-1]

    async def hook(self, login: Mapping[str, str], url: str, secret: str) -> None:
        """Have Gitea tell `url` of the packages of the account that logs in, as its settings page does."""
        config = {"url": url, "content_type": "json", "secret": secret}
        wanted = {"type": "gitea", "active": True, "events": _EVENTS, "config": config}
        await self.ask("POST", "/api/v1/user/hooks", login, wanted)

    async def ask(self, method: str, path: str, login: Mapping[str, str], document: Any = None) -> None:
        """Send a request that must succeed."""
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}{path}", headers=login, json=document) as answer,
        ):
            assert answer.status < 300, await answer.text()

    def _admin(self, *arguments: str) -> str:
        options = ["--must-change-password=false"] if arguments[0] == "create" else []
        command = [require_program("gitea"), "-c", str(self._settings()), "admin", "user", *arguments, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _settings(self) -> Path:
        return self._folder / "app.ini"

    def _command(self) -> list[str]:
        return [require_program("gitea"), "-c", str(self._settings()), "web"]

    def _config(self) -> str:
        """Return an app.ini with nothing on but what the tests need; no request leaves the machine."""
        host, _, port = self.host.partition(":")
        return f"""
RUN_MODE = prod
RUN_USER = {os.environ.get("USER", "root" if os.geteuid() == 0 else "git")}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = {str(os.geteuid() == 0).lower()}
WORK_PATH = {self.root}
[server]
HTTP_ADDR = {host}
HTTP_PORT = {port}
ROOT_URL = {self.url}/
STATIC_ROOT_PATH = {BUILT / "gitea.source"}
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
PATH = {self.root / "gitea.db"}
[security]
INSTALL_LOCK = true
SECRET_KEY = {_SECRET}
INTERNAL_TOKEN = {_SECRET}
[oauth2]
ENABLED = false
[webhook]
ALLOWED_HOST_LIST = loopback
[indexer]
ISSUE_INDEXER_TYPE = db
[session]
PROVIDER = memory
[cron]
ENABLED = false
[log]
MODE = console
LEVEL = Warn
"""


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header that logs in."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@contextlib.asynccontextmanager
async def run_gitea(folder: Path, *, name: str = "gitea") -> AsyncIterator[Gitea]:
    """Run one for one test."""
    gitea = Gitea(folder, name=name)
    try:
        gitea.launch()
        gitea.wait_ready(60.0)
        yield gitea
    finally:
        gitea.discard()
