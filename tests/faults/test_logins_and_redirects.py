"""A token that ends in the middle of an upload; redirects that lead astray. The login is shown to nobody else.

Numbers are those of docs/faults.md.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web

from tests.integration.events import post_push
from tests.integration.site import Site, arrival, run_site
from tests.support.eventually import eventually
from tests.support.faults import Answer
from tests.support.front import pass_on
from tests.support.images import Image, fetch_closure, make_image, push, tag_digest
from tests.support.proxy import Proxy, run_proxy
from tests.support.registries import DockerRegistry, run_registry
from tests.support.tls_registry import write_authority
from tests.support.token_server import SERVICE, TokenRequest, User, run_auth_registry
from tests.support.web import basic, serve

_TEAM = "team/app"
_MIB = 1024 * 1024
_PASSWORD = "puller-password-canary"
_LOGIN = basic("puller", _PASSWORD)


def _layer(image: Image) -> str:
    return f"/blobs/{image.layers[0].digest}"


def _failures(site: Site) -> list[dict[str, Any]]:
    return [one for one in site.daemon.log_lines() if one.get("event") in {"reference_failed", "reference_parked"}]


async def test_f28_a_token_that_ends_in_the_middle_of_an_upload_is_fetched_anew_once(tmp_path: Path) -> None:
    """The replica asks for a login again after half of a layer; the first image has left a token that still lives."""
    first, image = make_image("first"), make_image("token ends", (2 * _MIB, 1_000))
    users = {"pusher": User(password="pusher-password-canary", access={"*": ("pull", "push", "delete")})}
    secret = tmp_path / "pusher"
    secret.write_text(users["pusher"].password)
    async with run_auth_registry(tmp_path, users, name="eu") as eu, run_proxy(eu.registry.url) as line:
        replica = {
            "name": "eu",
            "url": line.url,
            "credentials": {"username": "pusher", "password_file": str(secret)},
            "realm_allow": [eu.tokens.url.partition("://")[2]],
        }
        challenge = f'Bearer realm="{eu.tokens.realm}",service="{SERVICE}",scope="repository:{_TEAM}:pull,push"'
        ended = Answer(
            method="PUT",
            path=image.layers[0].digest.encoded,
            status=401,
            headers={"WWW-Authenticate": f'{challenge},error="invalid_token"'},
            after=_MIB,
        )

        def fetched() -> list[TokenRequest]:
            return [one for one in eu.tokens.requests if one.scopes == (f"repository:{_TEAM}:pull,push",)]

        async with run_site(tmp_path, replicas=(), sections={"replicas": [replica]}) as site:
            reading = eu.tokens.headers("pusher", _TEAM)
            await push(site.primary.url, _TEAM, "v1", first)
            await arrival(eu.registry.url, _TEAM, "v1", first.digest, headers=reading)
            assert len(fetched()) == 1
            refused = line.add(ended)
            await push(site.primary.url, _TEAM, "v2", image)
            await arrival(eu.registry.url, _TEAM, "v2", image.digest, headers=reading)
            await fetch_closure(eu.registry.url, _TEAM, "v2", deep=True, headers=reading)
            assert refused.acted == 1
            assert len(fetched()) == 2, "a new token is fetched once"
            sent = [one for one in line.requests if one.method == "PUT" and ended.path in one.target]
            assert [one.status for one in sent] == [401, 201]
            assert sent[1].sent == image.layers[0].size, "the blob begins again"
            assert sent[0].target.partition("?")[0] != sent[1].target.partition("?")[0], "in a session of its own"
            assert _failures(site) == []
            assert "canary" not in site.daemon.log.read_text()


@dataclass(frozen=True, slots=True)
class _Astray:
    """A primary that asks for a login, one elsewhere that asks for none and has the same, and a site of the first."""

    primary: DockerRegistry
    elsewhere: DockerRegistry
    other: Proxy
    site: Site

    async def push(self, tag: str, image: Image) -> None:
        await push(self.primary.url, _TEAM, tag, image, headers=_LOGIN)
        await push(self.elsewhere.url, _TEAM, tag, image)
        assert await post_push(self.site.hook_url, _TEAM, tag, image.digest) == 202

    async def again(self, tag: str, image: Image) -> None:
        """Tell that what only an operator can mend, and what is not tried soon, is mended: it arrives."""
        assert await post_push(self.site.hook_url, _TEAM, tag, image.digest) == 202
        await self.site.arrived(_TEAM, tag, image.digest)

    async def failed(self, tag: str, words: str) -> list[dict[str, Any]]:
        def told() -> list[dict[str, Any]]:
            return [one for one in _failures(self.site) if one["reference"] == tag]

        found = await eventually(told, what=f"{tag} failed")
        assert words in str(found[0]["error"])
        assert await tag_digest(self.site.url("eu"), _TEAM, tag) is None
        return found


@contextlib.asynccontextmanager
async def _astray(
    folder: Path, before: Callable[[DockerRegistry, contextlib.AsyncExitStack], Awaitable[dict[str, Any]]]
) -> AsyncIterator[_Astray]:
    """Run it; `before` puts something before the primary and returns its section of the configuration."""
    (folder / "password").write_text(_PASSWORD)
    async with contextlib.AsyncExitStack() as stack:
        primary = await stack.enter_async_context(run_registry(folder, name="real", htpasswd={"puller": _PASSWORD}))
        elsewhere = await stack.enter_async_context(run_registry(folder, name="elsewhere"))
        other = await stack.enter_async_context(run_proxy(elsewhere.url))
        login = {"username": "puller", "password_file": str(folder / "password")}
        section = await before(primary, stack) | {"credentials": login, "redirect_allow": [other.host]}
        site = await stack.enter_async_context(
            run_site(folder, replicas=("eu",), notifies=False, sections={"primary": section})
        )
        yield _Astray(primary, elsewhere, other, site)


async def test_f37_redirects_in_a_circle_end_and_elsewhere_nobody_gets_the_login(tmp_path: Path) -> None:
    circling, moved, lured = (make_image(name, (100_000, 1_000)) for name in ("circling", "moved", "lured"))
    lines: list[Proxy] = []

    async def line(primary: DockerRegistry, stack: contextlib.AsyncExitStack) -> dict[str, Any]:
        lines.append(await stack.enter_async_context(run_proxy(primary.url)))
        return {"url": lines[0].url}

    def leading(image: Image, to: str) -> Answer:
        target = f"{to}/v2/{_TEAM}{_layer(image)}"
        return Answer(method="GET", path=_layer(image), status=307, headers={"Location": target}, times=None)

    async with _astray(tmp_path, line) as here, run_proxy(here.elsewhere.url) as stranger:
        (primary,) = lines
        with primary.during(leading(circling, "")) as turned:
            await here.push("circling", circling)
            failures = await here.failed("circling", "is redirected more than 5 times")
            assert 6 <= turned.acted <= 6 * (len(failures) + 1)
        primary.add(leading(moved, here.other.url))
        await here.push("moved", moved)
        await here.site.arrived(_TEAM, "moved", moved.digest)
        await here.again("circling", circling)
        assert [one.target for one in here.other.requests] == [f"/v2/{_TEAM}{_layer(moved)}"]
        assert "Authorization" not in here.other.requests[0].headers
        primary.add(leading(lured, stranger.url))
        await here.push("lured", lured)
        await here.failed("lured", "redirect_allow")
        assert stranger.requests == [], "an address of the inside that nobody has named"


async def test_f37_a_redirect_from_https_to_http_is_not_followed(tmp_path: Path) -> None:
    image, other = make_image("downgraded", (100_000, 1_000)), make_image("other", (50_000,))
    authority = trustme.CA()
    downgrade: list[str] = []

    async def front(primary: DockerRegistry, stack: contextlib.AsyncExitStack) -> dict[str, Any]:
        async def answer(request: web.Request) -> web.StreamResponse:
            if downgrade and request.path.endswith(_layer(image)):
                return web.Response(status=307, headers={"Location": f"{downgrade[0]}{request.raw_path}"})
            return await pass_on(request, primary.url)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        application = web.Application()
        application.router.add_route("*", "/{anything:.*}", answer)
        url = await stack.enter_async_context(serve(application, tls=context))
        ca = write_authority(authority, tmp_path / "ca.pem")
        return {"url": url.replace("http://", "https://"), "tls": {"ca_file": str(ca)}}

    async with _astray(tmp_path, front) as here:
        downgrade.append(here.other.url)
        await here.push("downgraded", image)
        failures = await here.failed("downgraded", "redirects from https to plain http")
        assert failures[0]["reason"] == "tls"
        await here.push("other", other)
        await here.site.arrived(_TEAM, "other", other.digest)
        assert here.other.requests == []
        downgrade.clear()
        await here.again("downgraded", image)
