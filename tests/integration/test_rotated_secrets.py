"""Secrets and certificates that are rotated in their files count without a signal or a restart."""

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from aiohttp import web

from tests.integration.events import push_event
from tests.integration.site import HOOK_SECRET, Site, arrival, run_site
from tests.support.eventually import eventually
from tests.support.images import make_image, push
from tests.support.ports import Port
from tests.support.registries import run_registry
from tests.support.token_server import User, run_auth_registry
from tests.support.web import basic


class Mounted:
    """A folder of files that is exchanged as a whole, as Kubernetes mounts a Secret: by one link, `..data`."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        self._version = 0
        folder.mkdir()
        self.exchange(files)
        for name in files:
            (folder / name).symlink_to(f"..data/{name}")

    def exchange(self, files: Mapping[str, str]) -> None:
        """Put these in place of the former ones, at one moment."""
        self._version += 1
        version = self.folder / f"..version{self._version}"
        version.mkdir()
        for name, value in files.items():
            (version / name).write_text(value)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(self.folder / "..data")


def _credentials(mounted: Mounted) -> dict[str, Any]:
    return {"username": "pusher", "password_file": str(mounted.folder / "password")}


async def _parked(site: Site) -> None:
    await eventually(lambda: site.daemon.events("reference_parked"), what="it is parked")
    assert {line["reason"] for line in site.daemon.events("reference_parked")} == {"auth"}


async def test_a_password_rotated_at_a_token_server(tmp_path: Path) -> None:
    image, later = make_image("first"), make_image("second")
    mounted = Mounted(tmp_path / "secrets", {"password": "old-canary"})
    users = {"pusher": User(password="new-canary")}
    async with contextlib.AsyncExitStack() as stack:
        replica = await stack.enter_async_context(run_auth_registry(tmp_path, users))
        section = {
            "name": "eu",
            "url": replica.registry.url,
            "credentials": _credentials(mounted),
            "realm_allow": [replica.tokens.url.partition("://")[2]],
        }
        site = await stack.enter_async_context(run_site(tmp_path, replicas=(), sections={"replicas": [section]}))
        await push(site.primary.url, "team/app", "v1", image)
        await _parked(site)
        mounted.exchange({"password": "new-canary"})
        headers = replica.tokens.headers("pusher", "team/app")
        await arrival(replica.registry.url, "team/app", "v1", image.digest, headers=headers, within=20.0)
        await push(site.primary.url, "team/app", "v2", later)
        await arrival(replica.registry.url, "team/app", "v2", later.digest, headers=headers)
        assert [line["registry"] for line in site.daemon.events("secret_changed")] == ["eu"]
        assert [line for line in site.daemon.log_lines() if "canary" in str(line)] == []


async def test_f27_a_password_rotated_at_a_registry_with_basic_authentication(tmp_path: Path) -> None:
    image, later = make_image("first"), make_image("second")
    mounted = Mounted(tmp_path / "secrets", {"password": "old-canary"})
    users = {"pusher": "old-canary"}
    async with run_registry(tmp_path, name="guarded", htpasswd=users) as replica:
        section = {"name": "eu", "url": replica.url, "credentials": _credentials(mounted)}
        async with run_site(tmp_path, replicas=(), sections={"replicas": [section]}) as site:
            await push(site.primary.url, "team/app", "v1", image)
            await arrival(replica.url, "team/app", "v1", image.digest, headers=basic("pusher", "old-canary"))
            await replica.stop()
            users["pusher"] = "new-canary"
            await replica.start()
            await push(site.primary.url, "team/app", "v2", later)
            await _parked(site)
            mounted.exchange({"password": "new-canary"})
            new = basic("pusher", "new-canary")
            await arrival(replica.url, "team/app", "v2", later.digest, headers=new, within=20.0)


async def test_a_login_rotated_in_a_file_of_docker(tmp_path: Path) -> None:
    image, later = make_image("first"), make_image("second")
    users = {"pusher": "old-canary"}
    async with run_registry(tmp_path, name="guarded", htpasswd=users) as replica:
        host = replica.url.partition("://")[2]

        def logins(password: str) -> dict[str, str]:
            auth = basic("pusher", password)["Authorization"].removeprefix("Basic ")
            return {"config.json": json.dumps({"auths": {host: {"auth": auth}}})}

        mounted = Mounted(tmp_path / "secrets", logins("old-canary"))
        credentials = {"docker_config": str(mounted.folder / "config.json")}
        section = {"name": "eu", "url": replica.url, "credentials": credentials}
        async with run_site(tmp_path, replicas=(), sections={"replicas": [section]}) as site:
            await push(site.primary.url, "team/app", "v1", image)
            await arrival(replica.url, "team/app", "v1", image.digest, headers=basic("pusher", "old-canary"))
            await replica.stop()
            users["pusher"] = "new-canary"
            await replica.start()
            await push(site.primary.url, "team/app", "v2", later)
            await _parked(site)
            mounted.exchange(logins("new-canary"))
            new = basic("pusher", "new-canary")
            await arrival(replica.url, "team/app", "v2", later.digest, headers=new, within=20.0)
            assert [line["registry"] for line in site.daemon.events("secret_changed")] == ["eu"]
            assert [line for line in site.daemon.log_lines() if "canary" in str(line)] == []


async def test_the_secret_of_an_endpoint(tmp_path: Path) -> None:
    image = make_image("image")
    async with run_site(tmp_path, replicas=("eu",), notifies=False) as site, aiohttp.ClientSession() as session:

        async def status(secret: str) -> int:
            document = {"events": [push_event("team/app", "v1", image.digest)]}
            headers = {"Authorization": f"Bearer {secret}"}
            async with session.post(site.hook_url, json=document, headers=headers) as answer:
                return answer.status

        async def taken() -> bool:
            return await status("the-next-canary") == 202

        await push(site.primary.url, "team/app", "v1", image)
        assert await status(HOOK_SECRET) == 202
        assert await status("the-next-canary") == 401
        (tmp_path / "hook-secret").write_text("the-next-canary\n")
        await eventually(taken, what="the new one counts")
        assert await status(HOOK_SECRET) == 401


@contextlib.asynccontextmanager
async def _tls_front(url: str, authority: trustme.CA) -> AsyncIterator[str]:
    """Pass everything on to a registry, behind a certificate of `authority`."""
    port, context = Port(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def pass_on(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            headers = {key: value for key, value in request.headers.items() if key.lower() != "content-length"}
            async with session.request(
                request.method, f"{url}{request.rel_url}", headers=headers, data=body, allow_redirects=False
            ) as answer:
                content = await answer.read()
                kept = {
                    key: value.replace("http://", "https://") if key == "Location" else value
                    for key, value in answer.headers.items()
                    if key.lower() not in {"content-length", "transfer-encoding"} or request.method == "HEAD"
                }
                return web.Response(status=answer.status, headers=kept, body=content)

        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{rest:.*}", pass_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port.number, ssl_context=context, reuse_address=True).start()
            yield f"https://127.0.0.1:{port.number}"
        finally:
            await runner.cleanup()
            port.release()


async def test_the_certificates_to_trust(tmp_path: Path) -> None:
    """The registry's new authority is believed once its file holds it; until then it is a failure of TLS."""
    image = make_image("image")
    old, new = trustme.CA(), trustme.CA()
    mounted = Mounted(tmp_path / "tls", {"ca.pem": old.cert_pem.bytes().decode()})
    async with run_registry(tmp_path, name="behind") as replica, _tls_front(replica.url, new) as url:
        section = {"name": "eu", "url": url, "tls": {"ca_file": str(mounted.folder / "ca.pem")}}
        async with run_site(tmp_path, replicas=(), sections={"replicas": [section]}) as site:
            await push(site.primary.url, "team/app", "v1", image)
            await eventually(lambda: site.daemon.events("reference_failed"), what="it is not believed")
            assert {line["reason"] for line in site.daemon.events("reference_failed")} == {"tls"}
            mounted.exchange({"ca.pem": "no certificate"})
            await eventually(lambda: site.daemon.events("certificates_refused"), what="the file is looked at")
            mounted.exchange({"ca.pem": new.cert_pem.bytes().decode()})
            await arrival(replica.url, "team/app", "v1", image.digest, within=30.0)
            assert len(site.daemon.events("certificates_renewed")) == 1
