"""Everything that the demo runs: a primary, two replicas, and the daemon that hears of every push to the primary."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from tests.demo.arrivals import Watcher, Wrong
from tests.demo.registries import open_registry
from tests.support.daemon import Daemon
from tests.support.ports import Port
from tests.support.registries import Notification

REPLICAS = ("eu-west", "ap-south")
HOOK = "/webhooks/primary"
SECRET = "demo"


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs: who watches it, and the daemon's files."""

    watcher: Watcher
    config: Path
    log: Path


@asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    """Start the registries and the daemon, the primary's notifications pointed at it; stop all in reverse."""
    async with AsyncExitStack() as stack:
        hook = Port()
        stack.callback(hook.release)
        secret = folder / "hook.secret"
        secret.write_text(SECRET)
        webhook = Notification(
            url=f"http://127.0.0.1:{hook.number}{HOOK}",
            headers={"Authorization": [f"Bearer {SECRET}"]},
        )
        primary = await stack.enter_async_context(open_registry(folder, "primary", webhook))
        replicas = {name: await stack.enter_async_context(open_registry(folder, name)) for name in REPLICAS}
        config: dict[str, Any] = {
            "version": 1,
            "primary": {"url": primary},
            "replicas": [{"name": name, "url": url} for name, url in replicas.items()],
            "webhooks": {
                "listen": f"127.0.0.1:{hook.number}",
                "endpoints": [
                    {
                        "name": "primary",
                        "path": HOOK,
                        "format": "distribution",
                        "auth": {"bearer_token_file": str(secret)},
                    }
                ],
            },
            "shutdown": {"grace": "5s"},
            "sweep": "off",
        }
        daemon = await stack.enter_async_context(_running(Daemon(folder, config)))
        yield Stage(Watcher(primary, replicas, daemon.admin_url), daemon.config, daemon.log)


@asynccontextmanager
async def _running(daemon: Daemon) -> AsyncIterator[Daemon]:
    try:
        await daemon.start()
        yield daemon
        # Not after a failure: that one is the story, not how the daemon took its end.
        await _end(daemon)
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await _end(daemon)
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await daemon.discard()


async def _end(daemon: Daemon) -> None:
    code = await daemon.terminate()
    if code != 0:
        raise Wrong(f"the daemon ended with exit code {code}:\n{daemon.process.tail()}")
