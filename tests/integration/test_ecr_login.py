"""Amazon ECR's login: the real SDK, an emulation of the APIs that checks signatures, a real registry behind it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from replicator.errors import AccessDenied
from replicator.model import Repository, Tag
from replicator.proxies import proxies_of
from replicator.registry.client import RegistryClient, open_registry
from replicator.registry.logins.aws import EcrImages, EcrLogins
from replicator.registry.logins.sdk_proxies import SdkProxies
from replicator.registry.logins.source import NoProof
from replicator.registry.origin import Origin
from replicator.settings.clouds import AwsLogin
from replicator.settings.credentials import Credentials
from replicator.settings.registries import ReplicaSettings
from tests.integration.site import arrival, run_site
from tests.support.aws import KEY_ID, REGION, ROLE, Aws, environ_of, run_aws
from tests.support.fake_clock import FakeClock
from tests.support.images import make_image, push

_TEAM = Repository("team/app")
_IMAGE = make_image("image")


@pytest.fixture
async def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    """Run AWS, with an image in a repository, and an identity in the environment."""
    async with run_aws(tmp_path) as running:
        for name, value in environ_of(running, tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        running.repositories[_TEAM] = {}
        await push(running.upstream, _TEAM, "v1", _IMAGE)
        yield running


def _client(aws: Aws, clock: FakeClock, **more: Any) -> RegistryClient:
    credentials = Credentials.model_validate({"aws": {"region": REGION, **more}})
    return open_registry(ReplicaSettings(name="eu", url=aws.url, credentials=credentials), clock=clock)


async def _reads(client: RegistryClient) -> bool:
    return (await client.read_manifest(_TEAM, Tag("v1"))).digest == _IMAGE.digest


async def test_a_password_is_got_once_and_renewed_before_its_twelve_hours_end(aws: Aws) -> None:
    clock = FakeClock()
    async with _client(aws, clock) as client:
        assert await _reads(client)
        clock.advance(11.8 * 3600)
        assert await _reads(client)
        assert aws.calls == ["GetAuthorizationToken"]
        clock.advance(0.1 * 3600)
        assert await _reads(client)
        assert aws.calls == ["GetAuthorizationToken"] * 2


async def test_a_password_that_ended_early_is_got_anew_at_once(aws: Aws) -> None:
    clock = FakeClock()
    async with _client(aws, clock) as client:
        assert await _reads(client)
        aws.passwords.clear()
        clock.advance(10)
        assert await _reads(client)


async def test_a_role_that_the_identity_takes_on(aws: Aws) -> None:
    async with _client(aws, FakeClock(), role_arn=ROLE) as client:
        assert await _reads(client)
    assert aws.calls == ["AssumeRole", "GetAuthorizationToken"]
    assert aws.signers == [KEY_ID, "ASIAEXAMPLE"]


async def test_a_profile(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    aws.keys["AKIAPROFILE"] = "profile-canary"
    (tmp_path / "aws-credentials").write_text(
        "[mirror]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = profile-canary\n"
    )
    async with _client(aws, FakeClock(), profile="mirror") as client:
        assert await _reads(client)
    assert aws.signers == ["AKIAPROFILE"]


@pytest.mark.parametrize(
    ("refusal", "temporary"), [((400, "UnrecognizedClientException"), False), ((500, "ServerException"), True)]
)
async def test_a_refusal_is_told_by_its_code(aws: Aws, refusal: tuple[int, str], temporary: bool) -> None:
    aws.refusal = refusal
    async with _client(aws, FakeClock()) as client:
        with pytest.raises(AccessDenied, match=rf"AWS refused ecr:GetAuthorizationToken \({refusal[1]}\)") as caught:
            await _reads(client)
    assert caught.value.temporary == temporary
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"


async def test_no_identity_at_all(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with _client(aws, FakeClock()) as client:
        with pytest.raises(AccessDenied, match="NoCredentialsError"):
            await _reads(client)
    assert aws.calls == []


async def test_a_replica_whose_repositories_are_made_when_they_are_missing(aws: Aws, tmp_path: Path) -> None:
    how = {"immutable": True, "scan_on_push": True, "tags": {"team": "platform"}}
    login = {"aws": {"region": REGION, "create_repositories": how}}
    section = {"name": "eu", "url": aws.url, "credentials": login}
    image = make_image("pushed", (100_000, 50_000))
    environ = environ_of(aws, tmp_path)
    async with run_site(tmp_path, replicas=(), sections={"replicas": [section]}, environ=environ) as site:
        await push(site.primary.url, "team/new", "v1", image)
        await arrival(aws.upstream, "team/new", "v1", image.digest)
        assert aws.repositories["team/new"] == {
            "repositoryName": "team/new",
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "encryptionConfiguration": {"encryptionType": "AES256"},
            "tags": [{"Key": "team", "Value": "platform"}],
        }
        assert [line for line in site.daemon.log_lines() if "canary" in str(line)] == []


async def test_a_missing_right_to_make_repositories_is_said(aws: Aws) -> None:
    aws.may_create = False
    async with _client(aws, FakeClock(), create_repositories={}) as client:
        with pytest.raises(AccessDenied, match=r"AWS refused ecr:CreateRepository \(AccessDeniedException\)"):
            await client.write_manifest(
                Repository("team/new"), Tag("v1"), await client.read_manifest(_TEAM, Tag("v1"))
            )


async def test_ecr_public_is_asked_in_its_own_region_and_believed_as_docker_would_be(aws: Aws) -> None:
    """Its host cannot stand here: the password that its API gives is what the registry takes as user AWS."""
    origin = Origin("https", "public.ecr.aws", 443)
    logins = EcrLogins(AwsLogin(), SdkProxies(proxies_of(None, {})), origin)
    proof, life = await logins.fetch()
    assert aws.calls == ["GetAuthorizationToken"]
    assert 11 * 3600 < life <= 12 * 3600
    assert proof.password is not None
    assert (proof.username, proof.password.reveal()) == ("AWS", aws.passwords[0])
    aws.refusal = (400, "AccessDeniedException")
    with pytest.raises(NoProof, match=r"AWS refused ecr-public:GetAuthorizationToken \(AccessDeniedException\)"):
        await logins.fetch()


async def test_one_client_of_the_sdk_lists_images_until_a_while_is_over_or_it_is_refused(aws: Aws) -> None:
    clock = FakeClock()
    settings = AwsLogin(region=REGION, role_arn=ROLE)
    ecr = EcrImages(settings, SdkProxies(proxies_of(None, {})), Origin("http", "127.0.0.1", 80), clock)
    told = [{"imageTag": "v1", "imageDigest": str(_IMAGE.digest)}]
    for _ in range(2):
        assert await ecr.images(_TEAM) == told
    assert aws.calls == ["AssumeRole", "ListImages", "ListImages"]
    clock.advance(900)
    assert await ecr.images(_TEAM) == told
    assert aws.calls[3:] == ["AssumeRole", "ListImages"]
    aws.may_list = False
    with pytest.raises(NoProof, match=r"AWS refused ecr:ListImages \(AccessDeniedException\)"):
        await ecr.images(_TEAM)
    aws.may_list = True
    assert await ecr.images(_TEAM) == told
    assert aws.calls[6:] == ["AssumeRole", "ListImages"]
