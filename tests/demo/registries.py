"""A registry for the demo: the docker-registry program where it is installed, else a container of it."""

import platform
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import yaml

from tests.support.eventually import eventually
from tests.support.ports import Port
from tests.support.registries import Notification, run_registry

IMAGE = "docker.io/library/registry:2.8.3"
_HOST_NAMES = {"docker": "host.docker.internal", "podman": "host.containers.internal"}
_PULL_AND_START = 300.0


class NoRegistry(Exception):
    """Nothing on this machine can run a registry."""


@asynccontextmanager
async def open_registry(folder: Path, name: str, webhook: Notification | None = None) -> AsyncIterator[str]:
    """Run an empty registry that notifies `webhook`, and yield its URL. Its data go away with it."""
    notifications = [webhook] if webhook is not None else []
    if shutil.which("docker-registry") is not None:
        # Not in shared memory: people push big images into a demo.
        async with run_registry(folder, name=name, notifications=notifications, fast=False) as registry:
            yield registry.url
        return
    async with _container(await _engine(), folder, name, notifications) as url:
        yield url


async def _engine() -> str:
    for engine in _HOST_NAMES:
        if shutil.which(engine) is not None:
            done = await anyio.run_process([engine, "info"], check=False)
            if done.returncode == 0:
                return engine
    raise NoRegistry("install docker-registry, or start docker or podman")


@asynccontextmanager
async def _container(engine: str, folder: Path, name: str, notifications: list[Notification]) -> AsyncIterator[str]:
    port = Port()
    # On Linux a container can use the host's loopback as it is; elsewhere it lives in a machine of its own.
    shared = platform.system() == "Linux"
    config = folder / f"{name}.yml"
    address = f"127.0.0.1:{port.number}" if shared else "0.0.0.0:5000"
    host = "127.0.0.1" if shared else _HOST_NAMES[engine]
    config.write_text(yaml.safe_dump(_config(address, [_seen_from(one, host) for one in notifications])))
    network = ["--network=host"] if shared else [f"--publish=127.0.0.1:{port.number}:5000"]
    volume = f"--volume={config}:/etc/docker/registry/config.yml:ro"
    container = f"replicator-demo-{name}-{port.number}"
    try:
        command = [engine, "run", "--detach", "--rm", f"--name={container}", *network, volume, IMAGE]
        started = await anyio.run_process(command, check=False)
        if started.returncode != 0:
            raise NoRegistry(f"{engine} cannot run {IMAGE}: {started.stderr.decode(errors='replace').strip()}")
        url = f"http://127.0.0.1:{port.number}"
        await eventually(lambda: _answers(url), within=_PULL_AND_START, what=f"{name} answers")
        yield url
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.run_process([engine, "rm", "--force", "--volumes", container], check=False)
        port.release()


def _seen_from(webhook: Notification, host: str) -> Notification:
    return replace(webhook, url=webhook.url.replace("127.0.0.1", host))


def _config(address: str, notifications: list[Notification]) -> dict[str, Any]:
    endpoints = [
        {
            "name": one.name,
            "url": one.url,
            "headers": {key: list(values) for key, values in one.headers.items()},
            "timeout": one.timeout,
            "threshold": one.threshold,
            "backoff": one.backoff,
            "ignore": {"actions": list(one.ignore_actions), "mediatypes": list(one.ignore_media_types)},
        }
        for one in notifications
    ]
    return {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": "/var/lib/registry"}, "delete": {"enabled": True}},
        "http": {"addr": address},
        "notifications": {"endpoints": endpoints},
    }


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/v2/") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
