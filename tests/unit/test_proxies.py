"""Which requests go through which proxy, by the environment and by the settings."""

import pytest

from replicator.errors import SettingsError
from replicator.proxies import DIRECT, Proxies, proxies_of, proxies_of_environment
from replicator.settings.proxies import ProxySettings
from replicator.settings.secrets import Secret


def _way(proxies: Proxies, scheme: str, host: str, port: int = 443) -> str:
    return str(proxies.towards(scheme, host, port) or "")


def test_without_variables_there_is_no_proxy() -> None:
    assert _way(proxies_of(None, {}), "https", "registry.example.com") == ""


def test_each_scheme_has_its_variable() -> None:
    proxies = proxies_of_environment({"HTTPS_PROXY": "http://one:3128", "HTTP_PROXY": "two:8080"})
    assert _way(proxies, "https", "registry.example.com") == "http://one:3128"
    assert _way(proxies, "http", "registry.example.com", 80) == "http://two:8080"
    proxy = proxies.towards("https", "registry.example.com", 443)
    assert proxy is not None
    assert proxy.named_by == "HTTPS_PROXY"


def test_a_proxy_for_https_is_none_for_http() -> None:
    assert _way(proxies_of_environment({"https_proxy": "http://one:3128"}), "http", "example.com", 80) == ""


def test_lower_case_goes_first_and_what_is_empty_says_nothing() -> None:
    variables = {"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:2", "http_proxy": "", "HTTP_PROXY": "up:2"}
    proxies = proxies_of_environment(variables)
    assert _way(proxies, "https", "example.com") == "http://low:1"
    assert _way(proxies, "http", "example.com") == "http://up:2"


@pytest.mark.parametrize(
    ("exempt", "host", "port", "direct"),
    [
        ("example.com", "example.com", 443, True),
        ("example.com", "eu.example.com", 443, True),
        ("example.com", "myexample.com", 443, False),
        (".example.com", "eu.example.com", 443, True),
        ("EXAMPLE.com", "eu.example.com", 443, True),
        ("eu.example.com", "example.com", 443, False),
        ("a.test, example.com", "example.com", 443, True),
        ("example.com:5000", "example.com", 5000, True),
        ("example.com:5000", "eu.example.com", 5000, True),
        ("example.com:5000", "example.com", 443, False),
        ("*", "example.com", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "registry.example.com", 443, False),
        ("192.0.2.7", "192.0.2.7", 5000, True),
        ("192.0.2.7:5000", "192.0.2.7", 5000, True),
        ("192.0.2.7:5000", "192.0.2.7", 443, False),
        ("2001:db8::/32", "2001:db8::1", 443, True),
        ("2001:db8::1", "2001:db8::1", 443, True),
        ("no network/8", "10.1.2.3", 443, False),
        ("", "localhost", 5000, True),
        ("", "127.0.0.1", 5000, True),
        ("", "::1", 5000, True),
        ("", "10.1.2.3", 5000, False),
    ],
)
def test_what_the_environment_exempts(exempt: str, host: str, port: int, *, direct: bool) -> None:
    proxies = proxies_of_environment({"HTTPS_PROXY": "http://one:3128", "NO_PROXY": exempt})
    assert (_way(proxies, "https", host, port) == "") is direct


def test_the_login_in_a_variable_is_used_and_never_shown() -> None:
    proxies = proxies_of_environment({"HTTPS_PROXY": "http://mirror:p%40ss-canary@one:3128"})
    proxy = proxies.towards("https", "example.com", 443)
    assert proxy is not None
    assert (proxy.username, proxy.password and proxy.password.reveal()) == ("mirror", "p@ss-canary")
    assert proxy.authorization() == "Basic bWlycm9yOnBAc3MtY2FuYXJ5"
    assert "canary" not in f"{proxy} {proxy!r} {proxies!r}"


@pytest.mark.parametrize(
    "value", ["socks5://canary:1080", "http://", "http://canary:99999", "http://canary:port", "http://[canary"]
)
def test_a_variable_that_names_no_http_proxy_is_a_mistake_that_shows_nothing(value: str) -> None:
    with pytest.raises(SettingsError, match=r"HTTPS_PROXY names no HTTP proxy; write http://HOST:PORT") as caught:
        proxies_of_environment({"HTTPS_PROXY": value})
    assert "canary" not in str(caught.value)


def test_what_is_configured_hides_the_environment() -> None:
    environ = {"HTTPS_PROXY": "http://one:3128", "NO_PROXY": "example.com"}
    settings = ProxySettings(url="http://two:8080", no_proxy=("10.0.0.0/8", "storage.example.com:9000"))
    proxies = proxies_of(settings, environ)
    for scheme in ("https", "http"):
        assert _way(proxies, scheme, "example.com") == "http://two:8080"
        assert _way(proxies, scheme, "127.0.0.1") == "http://two:8080"
        assert _way(proxies, scheme, "10.0.0.1") == ""
        assert _way(proxies, scheme, "storage.example.com", 9000) == ""
    assert proxies_of(ProxySettings(url=None), environ) is DIRECT


def test_the_login_of_a_configured_proxy_is_read_when_it_is_used() -> None:
    environ: dict[str, str] = {}
    settings = ProxySettings(
        url="https://two", username="mirror", password_env=Secret.of_environment("WORD", environ)
    )
    proxy = proxies_of(settings, {}).towards("https", "example.com", 443)
    assert proxy is not None
    assert str(proxy) == "https://two:443"
    with pytest.raises(SettingsError, match="WORD is not set"):
        proxy.authorization()
    environ["WORD"] = "word"
    assert proxy.authorization() == "Basic bWlycm9yOndvcmQ="


def test_where_proxies_are_is_known() -> None:
    proxies = proxies_of_environment({"HTTPS_PROXY": "http://[2001:db8::1]:3128"})
    assert proxies.includes("2001:db8::1", 3128)
    assert not proxies.includes("2001:db8::1", 443)
    assert _way(proxies, "https", "example.com") == "http://[2001:db8::1]:3128"
