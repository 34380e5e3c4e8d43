"""A whole site for end-to-end tests: a primary that notifies, replicas, and the real daemon between them."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replicator.model import Digest
from tests.support.daemon import Daemon
from tests.support.eventually import eventually
from tests.support.images import tag_digest
from tests.support.ports import Port
from tests.support.proxy import Proxy, run_proxy
from tests.support.registries import Kind, Notification, Registry, make_registry

HOOK_PATH = "/webhooks/primary"
HOOK_SECRET = "hook-secret-canary"


@dataclass(frozen=True, slots=True)
class Site:
    """The running parts; `lines` are proxies before some of them, `config` is what the daemon was started with."""

    primary: Registry
    replicas: Mapping[str, Registry]
    daemon: Daemon
    lines: Mapping[str, Proxy]
    config: dict[str, Any]
    hook_url: str

    def url(self, replica: str) -> str:
        """Return the base URL of a replica."""
        return self.replicas[replica].url

    async def settled(self) -> None:
        """Wait until the store owes nobody anything: a replica has a tag a moment before that is kept and counted."""
        await eventually(lambda: self.daemon.metric("replicator_replica_pending_updates") == 0, what="all is settled")

    async def arrived(
        self,
        repository: str,
        reference: object,
        digest: Digest,
        *,
        within: float = 20.0,
        on: Sequence[str] | None = None,
    ) -> None:
        """Wait until the reference names `digest` on every replica, or on those named."""
        for name in on if on is not None else tuple(self.replicas):
            await arrival(self.url(name), repository, reference, digest, within=within, where=name)


async def arrival(
    url: str,
    repository: str,
    reference: object,
    digest: Digest,
    *,
    within: float = 20.0,
    where: str = "replica",
    headers: Mapping[str, str] | None = None,
) -> None:
    """Wait until `reference` at `url` names `digest`."""

    async def there() -> bool:
        try:
            return await tag_digest(url, repository, reference, headers=headers) == digest
        except AssertionError as error:
            # Distribution on a file system answers 500 to a reader of a tag that is being written.
            if ": 500 instead" in str(error):
                return False
            raise

    await eventually(there, within=within, what=f"{repository} {reference} is {digest} on {where}")


def daemon_config(
    folder: Path,
    primary: str,
    replicas: Mapping[str, str],
    *,
    hooks: Port,
    sections: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a configuration with quick retries; `sections` replace whole top-level keys."""
    secret = folder / "hook-secret"
    secret.write_text(HOOK_SECRET)
    config: dict[str, Any] = {
        "version": 1,
        "primary": {"url": primary},
        "replicas": [{"name": name, "url": url} for name, url in replicas.items()],
        "webhooks": {
            "listen": f"127.0.0.1:{hooks.number}",
            "untagged_hold": "1s",
            "endpoints": [
                {
                    "name": "primary",
                    "path": HOOK_PATH,
                    "format": "distribution",
                    "auth": {"bearer_token_file": str(secret)},
                }
            ],
        },
        "store": {"url": f"sqlite:///{folder / 'state' / 'replicator.db'}"},
        "retry": {"first": "200ms", "max": "2s", "park_after": "1h"},
        "shutdown": {"grace": "5s"},
        "sweep": "off",
        "verify": "off",
    }
    return config | dict(sections or {})


@contextlib.asynccontextmanager
async def run_site(
    folder: Path,
    *,
    replicas: tuple[str, ...] = ("eu", "us"),
    proxied: Sequence[str] = (),
    through: Mapping[str, str] | None = None,
    running: bool = True,
    notifies: bool = True,
    kinds: Mapping[str, Kind] | None = None,
    fast: bool = True,
    sections: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    debug: str | None = None,
    program: Sequence[str] = (),
) -> AsyncIterator[Site]:
    """Run a primary, `replicas` and the daemon.

    The daemon reaches those named in `proxied` ("primary" or a replica) through `site.lines`; `through` are further
    replicas by URL. `running` False leaves the daemon stopped, `notifies` False leaves it to the test to post events.
    `kinds` says what "primary" or a replica is, if not a Distribution 2.8; with an "oci" primary `notifies` is False.
    `sections` replace top-level keys of the configuration, `fast` False keeps registries' data on the disk.
    `environ` is added to the daemon's, `program` is run in place of its command.
    `debug` is the address of the primary's debug listener, if it is to have one.
    """
    async with contextlib.AsyncExitStack() as stack:
        hooks = Port()
        stack.callback(hooks.release)
        hook_url = f"http://127.0.0.1:{hooks.number}{HOOK_PATH}"
        # What a slow disk keeps waiting is not sent twice: who wants a repetition kills the daemon, or posts it.
        notification = Notification(
            url=hook_url, name="replicator", headers={"Authorization": [f"Bearer {HOOK_SECRET}"]}, timeout="30s"
        )
        chosen = kinds or {}
        primary = make_registry(
            chosen.get("primary", "distribution2"),
            folder,
            name="primary",
            notifications=[notification] if notifies else [],
            fast=fast,
            debug=debug,
        )
        found = {
            name: make_registry(chosen.get(name, "distribution2"), folder, name=name, fast=fast) for name in replicas
        }
        for registry in (primary, *found.values()):
            stack.callback(registry.discard)
            registry.launch()
        for registry in (primary, *found.values()):
            registry.wait_ready()
        lines = {
            name: await stack.enter_async_context(run_proxy((found | {"primary": primary})[name].url))
            for name in proxied
        }
        urls = {name: registry.url for name, registry in (found | {"primary": primary}).items()}
        urls |= {name: line.url for name, line in lines.items()} | dict(through or {})
        config = daemon_config(folder, urls.pop("primary"), urls, hooks=hooks, sections=sections)
        daemon = Daemon(folder, config, environ=environ, program=program, preloaded=True)
        stack.push_async_callback(daemon.discard)
        if running:
            await daemon.start()
        yield Site(primary, found, daemon, lines, config, hook_url)
        crashes = [line for line in daemon.log_lines() if line.get("event") == "attempt_crashed"]
        if crashes:
            raise AssertionError(f"the daemon met an error that it has no name for: {crashes[0]}")
