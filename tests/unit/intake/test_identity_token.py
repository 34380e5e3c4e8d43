"""Tokens of an identity provider: the right one from the right sender passes, everything else does not (S16)."""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jwt
import pytest
import trustme
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from replicator.intake.fetching import LONGEST, FetchFailed, fetch
from replicator.intake.gate_settings import gate_of
from replicator.intake.gates import Gate, Head, Verdict
from replicator.intake.identity_token import LEEWAY
from replicator.intake.signing_keys import ASK_EVERY, FRESH_SECONDS, USABLE_SECONDS
from replicator.settings.credentials import EndpointAuth, JwtAuth
from tests.support.fake_clock import FakeClock
from tests.support.forward_proxy import run_forward_proxy
from tests.support.ports import Port
from tests.support.web import serve

AUDIENCE = "replicator"
EMAIL = "push@project.iam.gserviceaccount.com"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def jwk(private: Any, name: str) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(private, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(private.public_key())), "kid": name, "use": "sig"}


@dataclass
class Provider:
    """An identity provider, over HTTPS, whose answers tests change; `asked` are the paths it was asked for."""

    url: str
    tls: ssl.SSLContext
    keys: list[dict[str, Any]] = field(default_factory=lambda: [jwk(RSA, "one"), jwk(EC, "two")])
    asked: list[str] = field(default_factory=list)
    status: int = 200
    body: Callable[[], bytes] | None = None
    issuer: str | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": f"{self.url}/elsewhere"})
        if self.body is not None:
            return web.Response(body=self.body())
        if request.path == "/.well-known/openid-configuration":
            return web.json_response({"issuer": self.issuer or self.url, "jwks_uri": f"{self.url}/keys"})
        return web.json_response({"keys": self.keys})

    def gate(self, clock: FakeClock, **more: Any) -> Gate:
        auth = JwtAuth(issuer=self.url, audience=(AUDIENCE, "other"), **{"claims": {"email": EMAIL}, **more})
        gate = gate_of(EndpointAuth(jwt=auth), clock, partial(fetch, tls=self.tls))
        assert gate is not None
        return gate

    def token(self, clock: FakeClock, *, key: Any = RSA, name: str = "one", **claims: Any) -> str:
        now = clock.now()
        said: dict[str, Any] = {"iss": self.url, "aud": AUDIENCE, "email": EMAIL, "email_verified": True}
        said |= {"iat": now, "exp": now + 600}
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        held = {name: value for name, value in {**said, **claims}.items() if value is not None}
        return jwt.encode(held, key, algorithm=algorithm, headers={"kid": name})


@asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    authority, port = trustme.CA(), Port()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    provider = Provider(f"https://127.0.0.1:{port.number}", client)
    application = web.Application()
    application.router.add_get("/{path:.*}", provider.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port.number, ssl_context=server, reuse_address=True).start()
        yield provider
    finally:
        await runner.cleanup()
        port.release()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as here:
        yield here


async def verdict_on(gate: Gate, *values: str) -> Verdict:
    return await gate.admit(Head(CIMultiDict(("Authorization", value) for value in values), URL("/webhooks/gar")))


@pytest.mark.parametrize(("key", "name"), [(RSA, "one"), (EC, "two")])
async def test_a_token_for_us_from_whom_we_expect_is_admitted(
    provider: Provider, fake_clock: FakeClock, key: Any, name: str
) -> None:
    gate = provider.gate(fake_clock)
    for audience in (AUDIENCE, ["x", "other"]):
        token = provider.token(fake_clock, key=key, name=name, aud=audience)
        assert await verdict_on(gate, f"Bearer {token}") is Verdict.ADMITTED
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_the_keys_may_be_named_in_the_settings(provider: Provider, fake_clock: FakeClock) -> None:
    gate = provider.gate(fake_clock, keys_url=f"{provider.url}/certs")
    assert await verdict_on(gate, f"Bearer {provider.token(fake_clock)}") is Verdict.ADMITTED
    assert provider.asked == ["/certs"]


async def test_claims_of_other_providers_count_too(provider: Provider, fake_clock: FakeClock) -> None:
    """As Entra tells which application sends."""
    gate = provider.gate(fake_clock, claims={"appid": "4962773b", "tid": "tenant"})
    right: dict[str, Any] = {"email": None, "email_verified": None, "appid": "4962773b", "tid": "tenant"}
    assert await verdict_on(gate, f"Bearer {provider.token(fake_clock, **right)}") is Verdict.ADMITTED
    wrong = provider.token(fake_clock, **{**right, "tid": "another"})
    assert await verdict_on(gate, f"Bearer {wrong}") is Verdict.REFUSED


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody-else"},
        {"aud": []},
        {"aud": None},
        {"iss": "https://another.example.com"},
        {"iss": None},
        {"email": "thief@project.iam.gserviceaccount.com"},
        {"email": None},
        {"email": [EMAIL]},
        {"email_verified": False},
        {"email_verified": "true"},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"nbf": 9_999_999_999},
        {"iat": 9_999_999_999},
        {"iat": "now"},
    ],
)
async def test_a_token_that_says_anything_else_is_refused(
    provider: Provider, fake_clock: FakeClock, claims: Mapping[str, Any]
) -> None:
    # The library insists on some kinds of values when it writes a token, so this one is written by hand.
    said = {"iss": provider.url, "aud": AUDIENCE, "email": EMAIL, "exp": fake_clock.now() + 600, **claims}
    payload = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
    token = jwt.api_jws.encode(payload, RSA, algorithm="RS256", headers={"kid": "one"})
    assert await verdict_on(provider.gate(fake_clock), f"Bearer {token}") is Verdict.REFUSED


async def test_only_a_key_of_the_provider_signs_and_only_in_its_own_way(
    provider: Provider, fake_clock: FakeClock
) -> None:
    gate, said = provider.gate(fake_clock), {"iss": provider.url, "aud": AUDIENCE, "email": EMAIL, "exp": 9e9}
    public = jwk(RSA, "one")["n"]
    forged = [
        provider.token(fake_clock, key=OTHER_RSA),
        provider.token(fake_clock, key=EC, name="one"),
        provider.token(fake_clock, name="unknown"),
        jwt.encode(said, "", algorithm="none", headers={"kid": "one"}),
        jwt.encode(said, public, algorithm="HS256", headers={"kid": "one"}),
        jwt.encode(said, RSA, algorithm="PS256", headers={"kid": "one"}),
        jwt.encode(said, RSA, algorithm="RS256"),
        provider.token(fake_clock)[:-4],
        provider.token(fake_clock).rpartition(".")[0] + ".",
    ]
    for token in forged:
        assert await verdict_on(gate, f"Bearer {token}") is Verdict.REFUSED


@pytest.mark.parametrize(
    "values", [(), ("",), ("Bearer",), ("Bearer ",), ("Bearer a.b.c",), ("Bearer \udcff.\u20ac",)]
)
async def test_what_is_no_token_is_refused_and_nobody_is_asked(
    provider: Provider, fake_clock: FakeClock, values: tuple[str, ...]
) -> None:
    gate = provider.gate(fake_clock)
    assert await verdict_on(gate, *values) is Verdict.REFUSED
    token = provider.token(fake_clock)
    for wrong in (token, f"Basic {token}", f"Bearer {token * 100}"):
        assert await verdict_on(gate, wrong) is Verdict.REFUSED
    assert await verdict_on(gate, f"Bearer {token}", f"Bearer {token}") is Verdict.REFUSED
    assert provider.asked == []


async def test_a_token_counts_until_it_ends_by_our_clock(provider: Provider, fake_clock: FakeClock) -> None:
    gate, token = provider.gate(fake_clock), provider.token(fake_clock)
    fake_clock.advance(600 + LEEWAY - 1)
    assert await verdict_on(gate, f"Bearer {token}") is Verdict.ADMITTED
    fake_clock.advance(1)
    assert await verdict_on(gate, f"Bearer {token}") is Verdict.REFUSED


async def test_new_keys_are_fetched_when_they_are_used_but_not_for_every_stranger(
    provider: Provider, fake_clock: FakeClock
) -> None:
    gate = provider.gate(fake_clock, keys_url=f"{provider.url}/keys")
    assert await verdict_on(gate, f"Bearer {provider.token(fake_clock)}") is Verdict.ADMITTED
    provider.keys = [jwk(OTHER_RSA, "next")]
    rotated = provider.token(fake_clock, key=OTHER_RSA, name="next")
    for _ in range(5):
        assert await verdict_on(gate, f"Bearer {rotated}") is Verdict.REFUSED
    assert len(provider.asked) == 1
    fake_clock.advance(ASK_EVERY)
    assert await verdict_on(gate, f"Bearer {rotated}") is Verdict.ADMITTED
    assert await verdict_on(gate, f"Bearer {provider.token(fake_clock)}") is Verdict.REFUSED, "it was taken back"
    assert len(provider.asked) == 2


async def test_keys_serve_for_a_day_while_the_provider_is_away(provider: Provider, fake_clock: FakeClock) -> None:
    gate = provider.gate(fake_clock)
    assert await verdict_on(gate, f"Bearer {provider.token(fake_clock)}") is Verdict.ADMITTED
    provider.status = 503
    fake_clock.advance(FRESH_SECONDS + 1)
    assert await verdict_on(gate, f"Bearer {provider.token(fake_clock)}") is Verdict.ADMITTED
    fake_clock.advance(USABLE_SECONDS)
    assert await verdict_on(gate, f"Bearer {provider.token(fake_clock)}") is Verdict.UNKNOWN
    provider.status = 200
    fake_clock.advance(ASK_EVERY)
    assert await verdict_on(gate, f"Bearer {provider.token(fake_clock)}") is Verdict.ADMITTED


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500},
        {"status": 302},
        {"body": lambda: b"<html>"},
        {"body": lambda: b"[]"},
        {"body": lambda: b"x" * (LONGEST + 1)},
        {"body": lambda: b"[" * 100_000},
        {"keys": []},
        {"keys": ["x", {"kid": "one"}, {"kid": "one", "kty": "RSA", "n": "!", "e": 3}, {"kty": "oct", "k": "eA"}]},
        {"issuer": "https://another.example.com"},
    ],
)
async def test_without_keys_nobody_can_be_told_from_anybody(
    provider: Provider, fake_clock: FakeClock, trouble: Mapping[str, Any]
) -> None:
    for name, value in trouble.items():
        setattr(provider, name, value)
    gate = provider.gate(fake_clock)
    assert await verdict_on(gate, f"Bearer {provider.token(fake_clock)}") is Verdict.UNKNOWN
    assert "/elsewhere" not in provider.asked


async def test_a_provider_whose_certificate_is_not_believed_gives_no_keys(provider: Provider) -> None:
    with pytest.raises(FetchFailed, match="ClientConnectorCertificateError"):
        await fetch(provider.url)


async def _keys(_: web.Request) -> web.Response:
    return web.Response(text="keys")


async def test_documents_are_fetched_through_the_proxy_of_the_environment(provider: Provider) -> None:
    host = provider.url.partition("://")[2]
    async with run_forward_proxy({"issuer.test:443": host}) as proxy:
        proxy.login = ("mirror", "proxy-canary")
        environ = {"HTTPS_PROXY": proxy.url.replace("//", "//mirror:proxy-canary@"), "NO_PROXY": "direct.test"}
        url = "https://issuer.test/keys"
        with pytest.raises(FetchFailed, match=rf"through the proxy {proxy.url} \(ClientConnectorCertificateError\)"):
            await fetch(url, environ=environ)
        assert proxy.tunnels == ["issuer.test:443"]
        proxy.login = ("mirror", "another-canary")
        with pytest.raises(FetchFailed, match=r"through the proxy .* \(ClientHttpProxyError 407\)") as caught:
            await fetch(url, environ=environ)
        assert "canary" not in f"{caught.value} {caught.value.__cause__!r}"
        with pytest.raises(FetchFailed, match=r"direct.test: no answer \("):
            await fetch("https://direct.test", environ=environ)
        assert len(proxy.asked) == 2
        answering = web.Application()
        answering.router.add_get("/keys", _keys)
        async with serve(answering) as there:
            proxy.login, proxy.hosts["issuer.test:80"] = None, there.partition("://")[2]
            assert await fetch("http://issuer.test/keys", environ={"http_proxy": proxy.url}) == b"keys"
    with pytest.raises(FetchFailed, match="HTTPS_PROXY names no HTTP proxy"):
        await fetch(url, environ={"HTTPS_PROXY": "socks5://canary"})


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_garbage_raises_or_passes(text: str) -> None:
    async def nobody(url: str) -> bytes:
        raise FetchFailed(url)

    auth = JwtAuth(issuer="https://issuer.test", audience=(AUDIENCE,), claims={"email": EMAIL})
    gate = gate_of(EndpointAuth(jwt=auth), FakeClock(), nobody)
    assert gate is not None
    for value in (text, f"Bearer {text}", f"Bearer {text}.{text}.{text}"):
        assert await verdict_on(gate, value) in {Verdict.REFUSED, Verdict.UNKNOWN}
