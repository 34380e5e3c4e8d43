"""The SDKs of the clouds ask through the registry's proxy, with its login; with `off` not even the environment's."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from replicator.errors import AccessDenied
from replicator.model import Repository, Tag
from replicator.proxies import proxies_of
from replicator.registry.client import open_registry
from replicator.registry.logins.sdk_proxies import SdkProxies
from replicator.settings.credentials import Credentials
from replicator.settings.proxies import ProxySettings
from replicator.settings.registries import ReplicaSettings
from replicator.settings.secrets import Secret
from tests.support.acr import run_acr
from tests.support.aws import KEY_ID, REGION, ROLE, run_aws
from tests.support.entra import CLIENT, TENANT, run_entra
from tests.support.fake_clock import FakeClock
from tests.support.forward_proxy import ForwardProxy, run_forward_proxy
from tests.support.google import run_google
from tests.support.images import make_image, push
from tests.support.token_server import User, run_auth_registry

_TEAM = Repository("team/app")
_IMAGE = make_image("image")


@pytest.fixture
async def proxy() -> AsyncIterator[ForwardProxy]:
    async with run_forward_proxy() as running:
        running.login = ("mirror", "proxy/canary")
        yield running


@pytest.fixture
async def strange(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ForwardProxy]:
    """Run a proxy that only the environment names."""
    async with run_forward_proxy() as running:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, running.url)
        yield running


def _through(proxy: ForwardProxy) -> ProxySettings:
    return ProxySettings(url=proxy.url, username="mirror", password_file=Secret.of_text("proxy/canary"))


_OFF = ProxySettings(url=None)


async def _read(url: str, credentials: dict[str, object], way: ProxySettings, *realms: str) -> None:
    settings = ReplicaSettings(
        name="eu", url=url, credentials=Credentials.model_validate(credentials), proxy=way, realm_allow=realms
    )
    async with open_registry(settings, clock=FakeClock()) as client:
        assert (await client.read_manifest(_TEAM, Tag("v1"))).digest == _IMAGE.digest


async def test_azure(
    tmp_path: Path, proxy: ForwardProxy, strange: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "client-secret").write_text("s-canary\n")
    async with contextlib.AsyncExitStack() as stack:
        entra = await stack.enter_async_context(run_entra(tmp_path))
        users = {"identity": User(password="unused-canary"), "ci": User(password="ci-canary")}
        acr = await stack.enter_async_context(run_acr(tmp_path, users))
        acr.entra_tokens, acr.holder = entra.issued.__contains__, "identity"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "entra.pem"))
        await push(acr.url, _TEAM, "v1", _IMAGE, headers=acr.tokens.headers("ci", _TEAM))
        credentials: dict[str, object] = {
            "azure": {
                "identity": "service_principal",
                "tenant_id": TENANT,
                "client_id": CLIENT,
                "client_secret_file": str(tmp_path / "client-secret"),
                "authority": entra.authority,
            }
        }
        await _read(acr.url, credentials, _through(proxy))
        assert set(proxy.tunnels) == {entra.authority.partition("://")[2]}
        assert f"{acr.url}/oauth2/exchange" in proxy.plain
        await _read(acr.url, credentials, _OFF)
        proxy.login = ("mirror", "another")
        with pytest.raises(AccessDenied, match="Microsoft Entra gave no token") as caught:
            await _read(acr.url, credentials, _through(proxy))
    assert caught.value.temporary
    assert "canary" not in str(caught.value)
    assert not strange.asked


async def test_aws_in_a_role(
    tmp_path: Path, proxy: ForwardProxy, strange: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run_aws(tmp_path) as aws:
        for name, value in {
            "AWS_ENDPOINT_URL": aws.api,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": "secret-canary",
            "AWS_CONFIG_FILE": str(tmp_path / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        aws.repositories[_TEAM] = {}
        await push(aws.upstream, _TEAM, "v1", _IMAGE)
        credentials: dict[str, object] = {"aws": {"region": REGION, "role_arn": ROLE}}
        await _read(aws.url, credentials, _through(proxy))
        assert [one for one in proxy.plain if one.startswith(aws.api)] == [f"{aws.api}/"] * 2
        assert aws.calls == ["AssumeRole", "GetAuthorizationToken"]
        await _read(aws.url, credentials, _OFF)
    assert not strange.asked


async def test_google(tmp_path: Path, proxy: ForwardProxy, strange: ForwardProxy) -> None:
    async with contextlib.AsyncExitStack() as stack:
        google = await stack.enter_async_context(run_google())
        users = {"oauth2accesstoken": User(password="none yet"), "ci": User(password="ci-canary")}
        registry = await stack.enter_async_context(run_auth_registry(tmp_path, users))

        def issue(token: str) -> None:
            registry.tokens.users = users | {"oauth2accesstoken": User(password=token)}

        google.issue = issue
        await push(registry.registry.url, _TEAM, "v1", _IMAGE, headers=registry.tokens.headers("ci", _TEAM))
        credentials: dict[str, object] = {"gcp": {"key_file": str(google.write_key(tmp_path / "key.json"))}}
        realm = registry.tokens.url.partition("://")[2]
        await _read(registry.registry.url, credentials, _through(proxy), realm)
        assert f"{google.url}/token" in proxy.plain
        await _read(registry.registry.url, credentials, _OFF, realm)
    assert google.asked == ["assertion"] * 2
    assert not strange.asked


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://login.example.com/token", "http://mirror:proxy%2Fcanary@proxy.test:3128"),
        ("https://login.internal/token", None),
        ("http://169.254.169.254/metadata", None),
        ("http://metadata.google.internal/", None),
    ],
)
def test_metadata_services_and_exempt_hosts_are_asked_directly(url: str, found: str | None) -> None:
    settings = ProxySettings(
        url="http://proxy.test:3128",
        username="mirror",
        password_file=Secret.of_text("proxy/canary"),
        no_proxy=("login.internal",),
    )
    told = SdkProxies(proxies_of(settings, {})).towards(url)
    assert told == ({} if found is None else {"http": found, "https": found})


def test_what_the_environment_says_is_left_to_the_sdk() -> None:
    environ = {"HTTPS_PROXY": "http://proxy.test:3128"}
    assert SdkProxies(proxies_of(None, environ)).towards("https://login.example.com") is None
