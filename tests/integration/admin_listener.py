"""A real admin listener over a real store, with lanes and registries as the test scripts them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from replicator.admin.server import AdminPorts, build_admin, serve_admin
from replicator.clock import SystemClock
from replicator.observability.metrics import Metrics, Scope
from replicator.settings.schema import Admin, ListenAddress
from replicator.settings.secrets import Secret
from replicator.store.sweeps import Sweeps
from tests.unit.admin.scene import Scene, open_scene, settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A lane's view as the engine gives it."""

    state: str = "running"
    inflight: int = 0
    last_error: str = ""
    last_success: float | None = None


@dataclass(slots=True, kw_only=True)
class Listener:
    """A running admin listener and what is behind it."""

    scene: Scene
    port: int
    session: aiohttp.ClientSession
    views: dict[str, Lane] = field(default_factory=dict)
    heeded: list[str] = field(default_factory=list)
    open_for_webhooks: bool = True

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    def lanes(self) -> Mapping[str, Lane]:
        """Return the lanes that the test set."""
        return self.views

    async def heed_pause(self, replica: str) -> None:
        """Keep that a lane was told."""
        self.heeded.append(replica)

    def mended(self, replica: str) -> None:
        """Keep that a lane was told."""
        self.heeded.append(f"{replica} mended")

    async def order(self, path: str, **more: Any) -> tuple[int, Any]:
        """Post an order without a body."""
        return await self.ask(path, method="POST", headers={"Content-Type": "application/json"}, **more)

    async def ask(self, path: str, *, method: str = "GET", **more: Any) -> tuple[int, Any]:
        """Return status and JSON body."""
        async with self.session.request(method, f"{self.url}{path}", **more) as response:
            return response.status, await response.json()

    async def tell(self, document: object) -> tuple[int, Any]:
        """Post a change."""
        return await self.ask("/api/v1/changes", method="POST", json=document)


@asynccontextmanager
async def listening(folder: Path, *, host: str = "127.0.0.1", token: Secret | None = None) -> AsyncIterator[Listener]:
    """Run the listener. `host` is what the configuration says; the socket is bound to loopback anyhow."""
    chosen = settings(admin=Admin(listen=ListenAddress(host, 0), token_file=token))
    clock = SystemClock()
    async with open_scene(folder) as scene, aiohttp.ClientSession() as session:
        listener = Listener(scene=scene, port=0, session=session)
        listener.views = {"eu": Lane(inflight=2, last_success=1.7e9), "us": Lane(state="open", last_error="no route")}
        ports = AdminPorts(
            store=scene.store,
            lanes=listener,
            source=scene.primary,
            presence=scene.holdings,
            comparisons=Sweeps(scene.store),
            looks=scene.holdings,
            routes=scene.router,
            metrics=Metrics(Scope(replicas=("eu", "us")), clock=clock),
            intake_open=lambda: listener.open_for_webhooks,
            clock=clock,
        )
        async with serve_admin(build_admin(lambda: chosen, ports), "127.0.0.1", 0) as port:
            listener.port = port
            yield listener
