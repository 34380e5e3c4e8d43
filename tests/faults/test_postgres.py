"""The store on PostgreSQL: its server dies, hangs up and fails over, and daemons follow one another on it.

What must hold is looked at from outside: registries, probes and the answers to webhooks.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.integration.events import post_push
from tests.integration.site import Site, run_site
from tests.support.daemon import Daemon
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, make_image, push
from tests.support.postgres import Postgres, run_postgres

_REPOSITORY = "team/app"


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    with run_postgres(tmp_path) as server:
        yield server


async def _push_all(site: Site, first: int, count: int) -> dict[str, Any]:
    images = {f"v{number}": make_image(f"image {number}") for number in range(first, first + count)}
    for tag, image in images.items():
        await push(site.primary.url, _REPOSITORY, tag, image)
    return images


async def _arrived(site: Site, images: dict[str, Any]) -> None:
    for tag, image in images.items():
        await site.arrived(_REPOSITORY, tag, image.digest, within=45)
        await fetch_closure(site.url("eu"), _REPOSITORY, tag)


async def test_f12_a_server_that_hangs_up_is_called_again_and_nothing_is_lost(
    tmp_path: Path, postgres: Postgres
) -> None:
    async with run_site(tmp_path, replicas=("eu",), sections={"store": {"url": postgres.url()}}) as site:
        images = await _push_all(site, 0, 3)
        await _arrived(site, images)
        for number in range(3, 9):
            postgres.cut_all()
            images |= await _push_all(site, number, 1)
        await _arrived(site, images)
        await eventually(lambda: site.daemon.metric("replicator_leases_held") == 0, what="all leases are over")
        assert site.daemon.probe("/readyz") == 200
        assert len(site.daemon.events("daemon_started")) == 1


async def test_f12_a_standby_that_is_promoted_goes_on_with_all_that_was_acknowledged(
    tmp_path: Path, postgres: Postgres
) -> None:
    """The primary waits for its standby at each commit, and dies. Senders are told 503 until that takes over."""
    with ExitStack() as stack:
        standby = Postgres(tmp_path)
        stack.callback(standby.discard)
        standby.copy_of(postgres)
        standby.start()
        postgres.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        postgres.ask("SELECT pg_reload_conf()")
        url = postgres.url("public", standby)
        async with run_site(tmp_path, replicas=("eu",), notifies=False, sections={"store": {"url": url}}) as site:
            images = await _push_all(site, 0, 20)
            await site.replicas["eu"].stop()
            for tag, image in images.items():
                assert await post_push(site.hook_url, _REPOSITORY, tag, image.digest) == 202
            postgres.kill()
            assert await post_push(site.hook_url, _REPOSITORY, "v0", images["v0"].digest) == 503
            assert (site.daemon.probe("/healthz"), site.daemon.probe("/readyz")) == (200, 503)
            standby.promote()
            await eventually(lambda: site.daemon.probe("/readyz") == 200, within=30, what="the standby is found")
            late = await _push_all(site, 20, 1)
            for tag, image in late.items():
                assert await post_push(site.hook_url, _REPOSITORY, tag, image.digest) == 202
            await site.replicas["eu"].start()
            await _arrived(site, images | late)
            assert len(site.daemon.events("daemon_started")) == 1


async def test_f12_of_two_daemons_one_works_and_the_other_takes_its_place(tmp_path: Path, postgres: Postgres) -> None:
    """The second is alive and not ready until the first is killed; the first, come back, stands by in its turn."""
    async with run_site(
        tmp_path, replicas=("eu",), notifies=False, sections={"store": {"url": postgres.url()}}
    ) as site:
        images = await _push_all(site, 0, 5)
        folder = tmp_path / "second"
        folder.mkdir()
        second = Daemon(folder, deepcopy(site.config), preloaded=True)
        try:
            second.launch()
            await eventually(lambda: second.events("daemon_standing_by"), within=30, what="the second stands by")
            await eventually(lambda: second.probe("/healthz") == 200, what="the second is alive")
            assert second.probe("/readyz") == 503
            await site.replicas["eu"].stop()
            for tag, image in images.items():
                assert await post_push(site.hook_url, _REPOSITORY, tag, image.digest) == 202
            site.daemon.kill9()
            await site.replicas["eu"].start()
            await eventually(lambda: second.probe("/readyz") == 200, within=30, what="the second works")
            await _arrived(site, images)
            site.daemon.launch()
            await eventually(
                lambda: len(site.daemon.events("daemon_standing_by")) == 1, within=30, what="the first stands by"
            )
            assert await site.daemon.terminate() == 0
        finally:
            await second.discard()


async def test_f16_a_daemon_whose_place_was_taken_while_it_stood_still_ends(
    tmp_path: Path, postgres: Postgres
) -> None:
    async with run_site(
        tmp_path, replicas=("eu",), notifies=False, sections={"store": {"url": postgres.url()}}
    ) as site:
        folder = tmp_path / "second"
        folder.mkdir()
        second = Daemon(
            folder,
            deepcopy(site.config) | {"webhooks": site.config["webhooks"] | {"listen": "127.0.0.1:0"}},
            preloaded=True,
        )
        try:
            second.launch()
            await eventually(lambda: second.events("daemon_standing_by"), within=30, what="the second stands by")
            site.daemon.process.pause()
            postgres.cut_all()
            await eventually(lambda: second.probe("/readyz") == 200, within=30, what="the second works")
            site.daemon.process.resume()
            # It finds out with the next thing that it keeps.
            image = make_image("late")
            assert await post_push(site.hook_url, _REPOSITORY, "late", image.digest) == 503
            assert await anyio.to_thread.run_sync(site.daemon.process.wait, 30.0) == 1
            assert "another daemon has taken the store over" in site.daemon.log.read_text()
        finally:
            await second.discard()
