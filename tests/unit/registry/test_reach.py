"""Where a registry may send us, and where its credentials may go (S2, S4, S13)."""

import pytest

from replicator.errors import RegistryError
from replicator.registry.endpoint import Endpoint
from replicator.registry.origin import Target, parse_url
from replicator.registry.reach import Reach


def reach(url: str = "https://reg.example.com", *, realm_allow: str = "", redirect_allow: str = "") -> Reach:
    return Reach(
        registry="replica",
        origin=Endpoint.of(url).origin,
        realm_allow=frozenset(realm_allow.split()),
        redirect_allow=frozenset(redirect_allow.split()),
    )


def target(url: str) -> Target:
    parsed = parse_url(url)
    assert parsed is not None
    return parsed


HOME = "https://reg.example.com/v2/a/blobs/uploads/"


@pytest.mark.parametrize(
    "realm",
    [
        "https://evil.example.net/token",
        "http://reg.example.com/token",
        "https://reg.example.com:8443/token",
        "https://reg.example.com./token",
        "https://sub.reg.example.com/token",
        "https://example.com/token",
        "https://user@reg.example.com/token",
        "https://reg.example.com@evil.example.net/token",
        "https://169.254.169.254/token",
        "https://[::ffff:127.0.0.1]/token",
        "https://2130706433/token",
        "https://auth.docker.io/token",
        "ftp://reg.example.com/token",
        "//evil.example.net/token",
        "https://reg.example.com\\@evil.example.net/",
    ],
)
def test_s2_a_realm_elsewhere_is_refused(realm: str) -> None:
    with pytest.raises(RegistryError) as caught:
        reach().realm(target(HOME), realm)
    assert not caught.value.temporary


@pytest.mark.parametrize(
    ("url", "realm", "allow"),
    [
        ("https://reg.example.com", "https://reg.example.com/token?a=b", ""),
        ("https://reg.example.com", "/token", ""),
        ("https://reg.example.com", "https://auth.example.com/token", "auth.example.com"),
        ("https://reg.example.com", "https://auth.example.com:8443/token", "auth.example.com:8443"),
        ("https://reg.example.com", "https://auth.example.com/token", "auth.example.com:443"),
        ("https://docker.io", "https://auth.docker.io/token", ""),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", ""),
        ("http://reg.local:5000", "http://reg.local:5000/token", ""),
        ("http://reg.local:5000", "http://auth.local:5001/token", "auth.local:5001"),
    ],
)
def test_s2_the_registrys_own_realm_known_pairs_and_allowed_ones_are_taken(url: str, realm: str, allow: str) -> None:
    policy = reach(url, realm_allow=allow)
    assert policy.realm(Target(policy.origin, "/v2/"), realm).text.startswith("http")


@pytest.mark.parametrize("allow", ["auth.example.com", "auth.example.com:443"])
def test_s2_allowing_a_host_does_not_allow_its_other_ports(allow: str) -> None:
    with pytest.raises(RegistryError):
        reach(realm_allow=allow).realm(target(HOME), "https://auth.example.com:8443/token")


def test_s13_an_http_realm_of_an_https_registry_is_refused_even_when_the_host_is_allowed() -> None:
    with pytest.raises(RegistryError, match="plain http"):
        reach(realm_allow="auth.example.com auth.example.com:80").realm(target(HOME), "http://auth.example.com/token")


def test_s2_the_refusal_says_what_to_write() -> None:
    with pytest.raises(RegistryError, match=r"put auth\.example\.com:8443 into realm_allow"):
        reach().realm(target(HOME), "https://auth.example.com:8443/token?service=x")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/x?_state=1", "https://reg.example.com/v2/x?_state=1"),
        ("http://reg.example.com/v2/x", "https://reg.example.com/v2/x"),
        ("https://cdn.example.net/x", "https://cdn.example.net/x"),
        ("https://reg.example.com:8443/x", "https://reg.example.com:8443/x"),
    ],
)
def test_s4_an_upload_goes_on_over_https_only(location: str, expected: str) -> None:
    assert reach().upload(target(HOME), location).text == expected


def test_s4_a_port_that_a_proxy_lost_is_put_back() -> None:
    policy = reach("https://reg.example.com:5000")
    assert policy.upload(target("https://reg.example.com:5000/v2/"), "http://reg.example.com/x").text == (
        "https://reg.example.com:5000/x"
    )


@pytest.mark.parametrize(
    "location", ["http://cdn.example.net/x", "http://reg.example.com:80/x", "http://reg.example.com.:80/", "ftp://x/"]
)
def test_s4_an_upload_never_goes_on_to_plain_http(location: str) -> None:
    with pytest.raises(RegistryError):
        reach(redirect_allow="cdn.example.net").upload(target(HOME), location)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.net/v2/_catalog?n=1",
        "https://reg.example.com:444/v2/_catalog",
        "https://reg.example.com./v2/_catalog",
        "http://reg.example.com:80/v2/_catalog",
        "https://a@reg.example.com/v2/_catalog",
    ],
)
def test_s4_the_next_page_is_never_elsewhere(link: str) -> None:
    with pytest.raises(RegistryError):
        reach(redirect_allow="evil.example.net", realm_allow="evil.example.net").page(target(HOME), link)


def test_f37_s5_a_redirect_never_goes_from_https_to_http() -> None:
    with pytest.raises(RegistryError, match="plain http"):
        reach(redirect_allow="minio.local").redirect(target(HOME), "http://minio.local/x")
    assert (
        reach().redirect(target(HOME), "https://s3.example.net/x?sig=a%2Fb").text
        == "https://s3.example.net/x?sig=a%2Fb"
    )


@pytest.mark.parametrize(
    ("url", "takes"),
    [
        ("https://reg.example.com/v2/", True),
        ("https://reg.example.com/v2/x?_state=a&digest=b", True),
        ("https://reg.example.com:444/v2/", False),
        ("http://reg.example.com/v2/", False),
        ("https://reg.example.com./v2/", False),
        ("https://sub.reg.example.com/v2/", False),
        ("https://reg.example.com/bucket?X-Amz-Signature=abc", False),
        ("https://reg.example.com/bucket?se=1&sig=abc", False),
    ],
)
def test_s4_credentials_go_to_the_exact_origin_and_not_beside_a_signature(url: str, takes: bool) -> None:
    assert reach().takes_credentials(target(url)) is takes


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        ("reg.example.com", 443, True),
        ("reg.example.com", 9464, False),
        ("minio.local", 9000, True),
        ("minio.local", 443, False),
        ("auth.local", 443, True),
        ("auth.local", 80, True),
        ("auth.local", 8080, False),
        ("other.local", 443, False),
    ],
)
def test_s3_only_hosts_that_the_operator_named_may_be_private(host: str, port: int, allowed: bool) -> None:
    assert reach(realm_allow="auth.local", redirect_allow="minio.local:9000").may_be_private(host, port) is allowed


def test_m2_docker_hub_goes_by_its_three_names_and_has_a_library() -> None:
    for name in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        assert str(Endpoint.of(f"https://{name}").origin) == "https://registry-1.docker.io"
