"""Logins of clouds: what has to be said together, what a missing extra says, and what ECR's host names say."""

import sys
from pathlib import Path

import pytest

from replicator.settings.ecr_host import EcrPlace, ecr_place
from tests.unit.settings.files import but, mistakes, settings

PRINCIPAL = "identity: service_principal, tenant_id: t, client_id: c"


def login(section: str, host: str = "registry.example.com") -> str:
    return but("registry.example.com}", f"{host}, credentials: {{{section}}}}}")


MISTAKES = {
    f"azure: {{{PRINCIPAL}}}": (
        "azure: lacks a part of the service principal; write tenant_id, client_id and client_secret_file "
        "or client_certificate_file"
    ),
    "azure: {identity: managed_identity, client_secret_env: SECRET}": (
        "azure: holds a client secret that is of no use; write identity: service_principal, or remove it"
    ),
    f"azure: {{{PRINCIPAL}, client_secret_env: SECRET, client_certificate_file: replicator.yaml}}": (
        "azure: holds a client secret and a certificate; keep one of them"
    ),
    "azure: {identity: workload_identity, client_certificate_file: replicator.yaml}": (
        "azure: holds a client secret that is of no use; write identity: service_principal, or remove it"
    ),
    "aws: {}": "aws: does not say the region, and the URL does not either; add region: REGION",
    "aws: {region: eu-central-1, create_repositories: {}}": (
        "aws.create_repositories: is of no use at the primary; remove it"
    ),
}


@pytest.mark.parametrize(("section", "message"), MISTAKES.items())
def test_what_does_not_go_together_is_said(tmp_path: Path, section: str, message: str) -> None:
    assert mistakes(tmp_path, login(section), SECRET="x") == [f"2: primary.credentials.{message}"]


@pytest.mark.parametrize(
    "section",
    [
        f"azure: {{{PRINCIPAL}, client_secret_env: SECRET}}",
        f"azure: {{{PRINCIPAL}, client_certificate_file: replicator.yaml}}",
        "azure: {identity: managed_identity}",
        "azure: {identity: workload_identity}",
        "aws: {region: eu-central-1}",
        "gcp: {}",
    ],
)
def test_what_is_enough(tmp_path: Path, section: str) -> None:
    assert settings(tmp_path, login(section), SECRET="x").primary.credentials is not None


def test_the_region_may_be_in_the_host_name(tmp_path: Path) -> None:
    found = settings(tmp_path, login("aws: {}", "123456789012.dkr.ecr.eu-central-1.amazonaws.com"))
    assert found.primary.credentials is not None


def test_ecr_public_is_in_one_region_and_makes_no_repositories(tmp_path: Path) -> None:
    assert settings(tmp_path, login("aws: {}", "public.ecr.aws")).primary.credentials is not None
    assert mistakes(tmp_path, login("aws: {region: eu-central-1, create_repositories: {}}", "public.ecr.aws")) == [
        f"2: primary.credentials.aws.{key}: is of no use at Amazon ECR Public; remove it"
        for key in ("create_repositories", "region")
    ]


@pytest.mark.parametrize(
    ("module", "extra", "section"),
    [
        ("azure", "azure", "azure: {identity: managed_identity}"),
        ("google", "gcp", "gcp: {}"),
        ("botocore", "aws", "aws: {region: eu-central-1}"),
    ],
)
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str, section: str
) -> None:
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    (found,) = mistakes(tmp_path, login(section))
    assert f"needs the extra {extra}, which is not installed; " in found
    assert found.endswith(f'install it: pip install "replicator[{extra}]"')


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", EcrPlace("123456789012", "eu-central-1")),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", EcrPlace("123456789012", "us-gov-west-1")),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", EcrPlace("123456789012", "cn-north-1")),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", EcrPlace("123456789012", "eu-west-1")),
        ("public.ecr.aws", None),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example", None),
        ("registry.example.com", None),
    ],
)
def test_the_host_names_of_ecr(host: str, place: EcrPlace | None) -> None:
    assert ecr_place(host) == place
