"""A real NATS server as a process, with its port and its streams, and somebody who publishes there as zot does."""

import contextlib
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import nats
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.support.ports import Port
from tests.support.processes import Process, require_tool


class NatsServer:
    """One server. `config` are more lines of its configuration; port and streams survive `stop` and `start`."""

    def __init__(self, folder: Path, *, jetstream: bool = False, config: str = "") -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="nats-", dir=folder))
        self._port = Port()
        lines = [f"listen: {self.host}", "max_payload: 8MB", config]
        if jetstream:
            lines.append(f"jetstream {{ store_dir: {self._folder / 'streams'} }}")
        self._config = self._folder / "nats.conf"
        self._config.write_text("\n".join(lines))
        self._process: Process | None = None

    @property
    def host(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._port.number}"

    @property
    def url(self) -> str:
        """Its address, without TLS."""
        return f"nats://{self.host}"

    def log(self) -> str:
        """Return the end of what it wrote."""
        return "" if self._process is None else self._process.tail()

    async def start(self) -> None:
        """Start with the same port and streams, and return when it answers."""
        command = [require_tool("nats-server"), "-c", str(self._config)]
        self._process = Process(command, log=self._folder / "log", cwd=self._folder)
        await anyio.to_thread.run_sync(self._wait_ready, self._process)

    async def stop(self) -> None:
        """Kill it; port and streams are kept."""
        if self._process is not None:
            await anyio.to_thread.run_sync(self._process.kill)
            self._process = None

    async def discard(self) -> None:
        """End for good."""
        await self.stop()
        self._port.release()

    def _wait_ready(self, process: Process) -> None:
        deadline = time.monotonic() + 30.0
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port.number), 2) as one:
                if one.recv(4) == b"INFO":
                    return
            if process.exit_code is not None or time.monotonic() > deadline:
                raise AssertionError(f"nats-server did not start:\n{process.tail()}")
            time.sleep(0.01)


@contextlib.asynccontextmanager
async def run_nats(folder: Path, *, jetstream: bool = False, config: str = "") -> AsyncIterator[NatsServer]:
    """Run a server for one test."""
    server = NatsServer(folder, jetstream=jetstream, config=config)
    try:
        await server.start()
        yield server
    finally:
        await server.discard()


@contextlib.asynccontextmanager
async def publisher(server: NatsServer, **login: str) -> AsyncIterator[Client]:
    """Hold a connection of a sender; `login` as `nats.connect` takes it."""
    client = await nats.connect(server.url, **login)
    try:
        yield client
    finally:
        await client.close()


async def keep(client: Client, subject: str, stream: str = "events") -> JetStreamContext:
    """Have a stream keep what is published under `subject`."""
    jetstream = client.jetstream()
    await jetstream.add_stream(name=stream, subjects=[subject])
    return jetstream
