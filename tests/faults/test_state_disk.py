"""The disk of the state is full or slow, the process stands still, webhooks come faster than it can write.

Numbers are those of docs/faults.md.
"""

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import aiohttp
import anyio
import pytest

from replicator.model import Digest
from tests.integration.events import post_push, push_event
from tests.integration.site import HOOK_SECRET, Site, run_site
from tests.integration.test_store_durability import stored
from tests.support.eventually import eventually
from tests.support.images import Image, fetch_closure, make_image, push
from tests.support.processes import require_tool

_TEAM = "team/app"
_REPLICATOR = str(Path(sysconfig.get_path("scripts")) / "replicator")
_MIB = 1024 * 1024


def _owed(site: Site) -> float:
    return site.daemon.metric("replicator_replica_pending_updates")


async def _status(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status


async def _refused_while_full(site: Site) -> None:
    """Post until a webhook is refused, and see that the daemon says so by itself and lives."""
    image = make_image("full")

    async def refused() -> bool:
        return await post_push(site.hook_url, _TEAM, "full", image.digest) == HTTPStatus.SERVICE_UNAVAILABLE

    await eventually(refused, within=30, what="webhooks are refused")

    async def unready() -> bool:
        return await _status(f"{site.daemon.admin_url}/readyz") == HTTPStatus.SERVICE_UNAVAILABLE

    await eventually(unready, within=20, what="it is not ready")
    assert site.daemon.running


async def _well_again(site: Site) -> None:
    async def ready() -> bool:
        return await _status(f"{site.daemon.admin_url}/readyz") == HTTPStatus.OK

    await eventually(ready, within=30, what="it is ready without anybody's help")


async def test_f09_a_full_disk_refuses_webhooks_and_is_recovered_from_unaided(tmp_path: Path) -> None:
    """No file of the daemon may grow any more, which it meets as on a full disk; the registry repeats its event."""
    image = make_image("pushed while full", (50_000,))
    async with run_site(tmp_path, replicas=("eu",)) as site:
        pid = site.daemon.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
        await _refused_while_full(site)
        await push(site.primary.url, _TEAM, "v1", image)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        await _well_again(site)
        await site.arrived(_TEAM, "v1", image.digest, within=30)
        await eventually(lambda: _owed(site) <= 1, what="only the tag that is not there is looked for")


@contextlib.contextmanager
def _tmpfs(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir(parents=True)
    mount = ("mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder))
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(("umount", str(folder)), check=True)


@pytest.mark.prove
async def test_f09_on_a_small_file_system_that_is_full(tmp_path: Path) -> None:
    image = make_image("pushed while full", (50_000,))
    with _tmpfs(tmp_path / "state", 3 * _MIB):
        await _fill_and_free(tmp_path, image)


async def _fill_and_free(tmp_path: Path, image: Image) -> None:
    async with run_site(tmp_path, replicas=("eu",)) as site:
        ballast = tmp_path / "state" / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        await _refused_while_full(site)
        await push(site.primary.url, _TEAM, "v1", image)
        ballast.unlink()
        await _well_again(site)
        await site.arrived(_TEAM, "v1", image.digest, within=30)
        await site.daemon.terminate()


def _slow_disk(seconds: float) -> tuple[str, ...]:
    """Return what is run in place of the daemon's command so that each sync takes as long."""
    delay = f"inject=fdatasync,fsync:delay_enter={int(seconds * 1e6)}"
    strace = (require_tool("strace"), "-f", "-qq", "-o", os.devnull, "-e", "trace=fdatasync,fsync", "-e", delay)
    return (*strace, _REPLICATOR)


@pytest.mark.prove
async def test_f11_a_disk_that_takes_seconds_to_sync_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    """While a webhook waits for its sync, probes are answered; its sender's repetition is coalesced.

    A probe says 503 where the store took longer than three: that it says so is what the loop's life is seen by.
    """
    image = make_image("slow disk")
    program = _slow_disk(2.0)
    async with run_site(tmp_path, replicas=("eu",), notifies=False, running=False, program=program) as site:
        await push(site.primary.url, _TEAM, "v1", image)
        await site.daemon.start(within=90)
        posted = [asyncio.create_task(post_push(site.hook_url, _TEAM, "v1", image.digest)) for _ in range(2)]
        answered = 0
        while not any(one.done() for one in posted):
            status = await _status(f"{site.daemon.admin_url}/healthz")
            assert status in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}
            answered += 1
        assert answered >= 1, "it lived while they waited"
        assert [await one for one in posted] == [HTTPStatus.ACCEPTED] * 2
        metrics = site.daemon.metrics()
        assert metrics.value("replicator_webhook_ack_duration_seconds_sum") >= 2.0
        assert metrics.value("replicator_webhook_events_total", endpoint="primary", result="accepted") == 1
        await site.arrived(_TEAM, "v1", image.digest, within=60)


@pytest.mark.prove
@pytest.mark.timeout(300)
async def test_f14_a_process_that_stood_still_for_longer_than_its_leases_ends_at_the_newest(tmp_path: Path) -> None:
    """The watchdog, which replaces it, is shown in tests/integration/test_systemd_boot.py."""
    old, new = make_image("old", (8 * _MIB,)), make_image("new", (8 * _MIB,))
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",)) as site:
        line = site.lines["eu"]
        line.link.rate_up = 4.0 * _MIB
        await push(site.primary.url, _TEAM, "v1", old)
        await eventually(lambda: line.sent("upload") > _MIB, what="the layer is on its way")
        site.daemon.process.pause()
        await push(site.primary.url, _TEAM, "v1", new)
        await anyio.sleep(70.0)
        site.daemon.process.signal(signal.SIGCONT)
        await site.arrived(_TEAM, "v1", new.digest, within=90)
        await fetch_closure(site.url("eu"), _TEAM, "v1", deep=True)
        await eventually(lambda: _owed(site) == 0, within=30, what="nothing is owed")


@pytest.mark.prove
@pytest.mark.timeout(600)
async def test_f21_a_storm_of_webhooks_is_bounded_in_memory_and_loses_nothing(tmp_path: Path) -> None:
    """64 senders for twenty seconds over a disk that syncs slowly: what was answered 202 is owed afterwards."""
    digest = make_image("storm").digest
    taken: set[str] = set()
    refused = 0
    async with run_site(tmp_path, replicas=("eu",), notifies=False) as site:
        await site.replicas["eu"].stop()
        before = site.daemon.rss()
        largest = before
        end = time.monotonic() + 20.0

        async def send(sender: int, session: aiohttp.ClientSession) -> None:
            nonlocal refused, largest
            number = 0
            while time.monotonic() < end:
                number += 1
                tag = f"s{sender}-{number}"
                status = await post_push(site.hook_url, _TEAM, tag, digest, session=session)
                if status == HTTPStatus.ACCEPTED:
                    taken.add(tag)
                else:
                    assert status == HTTPStatus.SERVICE_UNAVAILABLE
                    refused += 1
                if number % 50 == 0:
                    largest = max(largest, site.daemon.rss())

        async with aiohttp.ClientSession() as session, anyio.create_task_group() as group:
            for sender in range(64):
                group.start_soon(send, sender, session)
        site.daemon.kill9()
        kept = await stored(tmp_path / "state" / "replicator.db")
        print(f"f21: {len(taken)} taken, {refused} refused, {(largest - before) / _MIB:.0f} MiB more at most")
        assert taken <= kept
        assert largest - before < 200 * _MIB


@contextlib.contextmanager
def _hanging_disk(pid: int, seconds: float) -> Iterator[None]:
    """Have each sync of a running process take as long, until the block ends."""
    delay = f"inject=fdatasync,fsync:delay_enter={int(seconds * 1e6)}"
    strace = (require_tool("strace"), "-f", "-qq", "-o", os.devnull, "-e", "trace=fdatasync,fsync", "-e", delay)
    with subprocess.Popen((*strace, "-p", str(pid))) as tracer:
        try:
            status = Path(f"/proc/{pid}/status")
            while f"TracerPid:\t{tracer.pid}\n" not in status.read_text():
                assert tracer.poll() is None, "the process cannot be traced"
                time.sleep(0.05)
            yield
        finally:
            tracer.terminate()


@dataclass(slots=True)
class _Storm:
    """64 senders, each with an event of its own, which it repeats until it is taken; one of them waits longer.

    `patience` of the others in seconds.
    """

    site: Site
    digest: Digest
    patience: float
    taken: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    largest: int = 0

    async def rage(self, until: Callable[[], bool]) -> None:
        """Send until all is taken, or that is so."""
        async with anyio.create_task_group() as watch:
            watch.start_soon(self._watch)
            async with anyio.create_task_group() as senders:
                for number in range(64):
                    senders.start_soon(self._send, f"s{number}", self.patience if number else 30.0, until)
            watch.cancel_scope.cancel()

    async def _watch(self) -> None:
        while True:
            self.largest = max(self.largest, self.site.daemon.rss())
            await anyio.sleep(0.5)

    async def _send(self, tag: str, patience: float, until: Callable[[], bool]) -> None:
        host, _, rest = self.site.hook_url.removeprefix("http://").partition("/")
        body = json.dumps({"events": [push_event(_TEAM, tag, self.digest)]}).encode()
        head = f"POST /{rest} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {HOOK_SECRET}\r\n"
        delivery = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        while tag not in self.taken and not until():
            reader, writer = await asyncio.open_connection("127.0.0.1", int(host.partition(":")[2]))
            writer.write(delivery)
            try:
                with anyio.fail_after(patience):
                    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
            except TimeoutError:
                continue
            finally:
                writer.close()
            if answer.startswith("HTTP/1.1 202 "):
                self.taken.add(tag)
            else:
                assert answer.startswith("HTTP/1.1 503 ")
                self.refusals += [line for line in answer.split("\r\n") if line.startswith("Retry-After: ")]


@pytest.mark.prove
@pytest.mark.timeout(600)
async def test_f21_a_storm_over_a_disk_that_hangs_is_refused_until_it_writes_again(tmp_path: Path) -> None:
    """Senders that give up after a fifth of a second and come again: what waits for the disk has a limit.

    Beyond it they are told 503 and when to come again; once the disk writes, all is taken and arrives.
    """
    image = make_image("storm")
    async with run_site(tmp_path, replicas=("eu",), notifies=False) as site:
        for number in range(64):
            await push(site.primary.url, _TEAM, f"s{number}", image)
        before = site.daemon.rss()
        storm = _Storm(site, image.digest, patience=0.2)
        with _hanging_disk(site.daemon.process.pid, 300.0):
            await storm.rage(lambda: bool(storm.refusals))
        assert storm.taken == set(), "nothing is acknowledged that is not on the disk"
        assert all(int(line.split()[1]) > 0 for line in storm.refusals)
        storm.patience = 30.0
        await storm.rage(lambda: False)
        for number in range(64):
            await site.arrived(_TEAM, f"s{number}", image.digest, within=60)
        print(f"f21: {len(storm.refusals)} refused, {(storm.largest - before) / _MIB:.0f} MiB more at most")
        assert storm.largest - before < 250 * _MIB, "ten thousand deliveries wait at most"
