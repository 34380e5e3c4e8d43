"""Outgoing webhooks end to end: real registries, the real daemon, and receivers that work, refuse, hang or die."""

import base64
import sqlite3
import ssl
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from aiohttp import web

from tests.integration.site import Site, run_site
from tests.support.arrivals import KEY, SECRET, Arrival, Arrivals, run_arrivals
from tests.support.daemon import Daemon
from tests.support.eventually import eventually
from tests.support.faults import Answer
from tests.support.images import fetch_closure, make_image, push, tag_digest

ALL = ["replicated", "parked", "recovered", "late"]


def receivers(folder: Path, arrivals: Arrivals, **events: list[str]) -> list[dict[str, Any]]:
    """Return a receiver for each name, at the path of that name."""
    secret = folder / "whsec"
    secret.write_text(SECRET + "\n")
    return [
        {"name": name, "url": f"{arrivals.url}/{name}", "events": kinds, "secret_file": str(secret)}
        for name, kinds in events.items()
    ]


async def test_an_image_can_be_pulled_when_its_arrival_is_told_and_who_hangs_delays_nobody(tmp_path: Path) -> None:
    # Each another image: Distribution on a file system answers 500 to a reader of a manifest that is put anew.
    images = [make_image(f"app {number}", (50_000,)) for number in range(6)]
    image = images[0]
    async with run_arrivals() as arrivals:
        notify = receivers(tmp_path, arrivals, deploy=["replicated"], hangs=["replicated"])
        async with run_site(tmp_path, replicas=("eu",), sections={"notify": notify}) as site:
            pulled: list[object] = []

            async def pull(arrival: Arrival) -> None:
                if arrival.path == "/deploy":
                    await fetch_closure(site.url("eu"), "team/app", arrival.data["digest"], deep=True)
                    pulled.append(await tag_digest(site.url("eu"), "team/app", arrival.data["reference"]))

            arrivals.on_arrival = pull
            for number, one in enumerate(images):
                await push(site.primary.url, "team/app", f"v{number}", one)
            await eventually(lambda: len(pulled) == 6, within=20, what="all are told, and pulled by their digest")
            assert sorted(map(str, pulled)) == sorted(str(one.digest) for one in images)
            (first,) = (one for one in arrivals.at("/deploy") if one.data["reference"] == "v0")
            assert (first.kind, first.signed_by) == ("replicated", (KEY,))
            assert first.headers["content-type"] == "application/json"
            assert {key: first.data[key] for key in ("replica", "repository", "reference", "digest", "result")} == {
                "replica": "eu",
                "repository": "team/app",
                "reference": "v0",
                "digest": str(image.digest),
                "result": "copied",
            }
            assert 0 <= first.data["lag_seconds"] < 60
            await eventually(lambda: arrivals.hanging >= 4, what="the other receiver was tried all the time")
            assert len({one.id for one in arrivals.at("/deploy")}) == len(arrivals.at("/deploy")) == 6


async def test_what_was_settled_before_a_kill_is_delivered_by_the_next_life(tmp_path: Path) -> None:
    image = make_image("app")
    async with run_arrivals() as arrivals:
        notify = receivers(tmp_path, arrivals, hangs=["replicated"])
        async with run_site(tmp_path, replicas=("eu",), sections={"notify": notify}) as site:
            await push(site.primary.url, "team/app", "v1", image)
            await eventually(lambda: arrivals.hanging, what="the message is on its way")
            site.daemon.kill9()
            before = len(arrivals.all)
            await site.daemon.start()
            await eventually(lambda: len(arrivals.all) > before, what="it is sent again")
            assert {one.id for one in arrivals.all} == {arrivals.all[0].id}
            assert len({one.headers["webhook-timestamp"] for one in arrivals.all}) <= 2
            assert all(one.signed_by == (KEY,) for one in arrivals.all)


async def test_what_is_parked_and_mended_is_told_and_refusals_are_tried_again(tmp_path: Path) -> None:
    image = make_image("app")
    async with run_arrivals() as arrivals:
        refusals = iter([503, 302, 500])

        def answer() -> web.Response:
            return web.Response(status=next(refusals, 200), headers={"Location": f"{arrivals.url}/elsewhere"})

        arrivals.answers["/over"] = lambda: web.Response(status=410)
        notify = receivers(tmp_path, arrivals, flaky=ALL, over=["parked"])
        sections = {"notify": notify, "objective": {"lag": "1h"}}
        async with run_site(tmp_path, replicas=("eu",), proxied=("eu",), sections=sections) as site:
            refused = site.lines["eu"].add(Answer(method="POST", status=403, times=None))
            await push(site.primary.url, "team/app", "v1", image)
            await eventually(lambda: _taken(site.daemon) == 1, within=30, what="it is told that it is parked")
            await eventually(lambda: _waiting(site) == {}, what="it is taken, and the other wants no more of it")
            arrivals.answers["/flaky"] = answer
            # Not before: of what is late before it was tried nobody knows a reason.
            site.daemon.write_config(site.config | {"objective": {"lag": "1s"}})
            assert (await site.daemon.reload())["event"] == "config_reloaded"
            await eventually(lambda: arrivals.at("/flaky", "late"), within=30, what="it is told that it is late")
            site.lines["eu"].remove(refused)
            await _order(site.daemon, "/api/v1/retry", {"ref": "team/app:v1"})
            await eventually(lambda: _taken(site.daemon) == 4, within=30, what="all is delivered in the end")
            assert len(arrivals.at("/flaky")) == 7, "three refusals, and what was refused is sent again"
            by_id = {one.id: one for one in arrivals.at("/flaky")}
            assert sorted(one.kind for one in by_id.values()) == sorted(ALL)
            told = {one.kind: one.data for one in by_id.values()}
            assert (told["parked"]["reason"], told["late"]["reason"], told["recovered"]["reason"]) == (
                "auth",
                "auth",
                None,
            )
            assert told["recovered"]["digest"] == told["replicated"]["digest"] == str(image.digest)
            assert arrivals.at("/elsewhere") == [], "a redirect is not followed"
            assert len(arrivals.at("/over")) == 1, "it wants no more of this message"
            (dropped,) = site.daemon.events("notification_dropped")
            assert (dropped["receiver"], dropped["notification"], dropped["result"]) == ("over", "parked", "gone")
            failures = site.daemon.events("notification_failed")
            # Two messages that are sent together are answered, and so told of, in either order.
            assert {line["error"] for line in failures} == {"it answered 503", "it answered 302", "it answered 500"}
            assert len(failures) == 3
            log = site.daemon.log.read_text()
            assert arrivals.url not in log


async def test_a_reload_uses_other_receivers_and_rotated_secrets(tmp_path: Path) -> None:
    async with run_arrivals() as arrivals:
        arrivals.keys.append(b"another-key-canary-0123456789")
        notify = receivers(tmp_path, arrivals, hangs=["replicated"], old=["replicated"])
        async with run_site(tmp_path, replicas=("eu",), sections={"notify": notify}) as site:
            await push(site.primary.url, "team/app", "v1", make_image("one"))
            await eventually(lambda: arrivals.hanging and arrivals.at("/old"), what="it is told")
            await eventually(lambda: _waiting(site) == {"hangs": 1}, what="the old one waits for nothing")
            second = tmp_path / "second"
            second.write_text("whsec_" + base64.b64encode(arrivals.keys[1]).decode())
            both = {"secret_file": [str(tmp_path / "whsec"), str(second)]}
            one = {**notify[1], "name": "new", "url": f"{arrivals.url}/new"}
            site.daemon.write_config(site.config | {"notify": [one | both]})
            assert (await site.daemon.reload())["event"] == "config_reloaded"
            await eventually(lambda: site.daemon.events("notification_dropped"), what="nobody waits for it any more")
            (dropped,) = site.daemon.events("notification_dropped")
            assert (dropped["receiver"], dropped["count"], dropped["result"]) == ("hangs", 1, "unconfigured")
            await push(site.primary.url, "team/app", "v2", make_image("two"))
            await eventually(lambda: arrivals.at("/new"), what="the new receiver is told")
            assert arrivals.at("/new")[0].signed_by == tuple(arrivals.keys)
            (tmp_path / "whsec").write_text(second.read_text())
            await push(site.primary.url, "team/app", "v3", make_image("three"))
            await eventually(lambda: len(arrivals.at("/new")) == 2, what="and again")
            assert arrivals.at("/new")[1].signed_by == (arrivals.keys[1],), "without a signal"
            assert len(arrivals.at("/old")) == 1


async def test_certificates_that_are_exchanged_count_without_a_signal(tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("127.0.0.1").configure_cert(server)
    trusted = tmp_path / "ca.pem"
    other.cert_pem.write_to_path(str(trusted))
    async with run_arrivals(server) as arrivals:
        (notify,) = receivers(tmp_path, arrivals, deploy=["replicated"])
        notify |= {"url": notify["url"].replace("http:", "https:"), "tls": {"ca_file": str(trusted)}}
        async with run_site(tmp_path, replicas=("eu",), sections={"notify": [notify]}) as site:
            await push(site.primary.url, "team/app", "v1", make_image("app"))
            await eventually(lambda: site.daemon.events("notification_failed"), what="it is not trusted")
            assert site.daemon.events("notification_failed")[0]["error"] == "its certificate is not trusted"
            ours.cert_pem.write_to_path(str(trusted))
            await eventually(lambda: arrivals.at("/deploy"), within=20, what="it is delivered")
            assert len(site.daemon.events("certificates_renewed")) == 1


def _taken(daemon: Daemon) -> float:
    return daemon.metric("replicator_notifications_total", receiver="flaky", result="delivered")


def _waiting(site: Site) -> dict[str, int]:
    """Return how many messages wait for whom: one that was taken is counted a moment before it is forgotten."""
    database = site.config["store"]["url"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT receiver, count(*) FROM notification GROUP BY receiver").fetchall())


async def _order(daemon: Daemon, path: str, body: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as client, client.post(daemon.admin_url + path, json=body) as answer:
        assert answer.status == 200, await answer.text()
