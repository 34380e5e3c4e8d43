"""`proxy:` of a registry, in all its forms."""

from pathlib import Path
from typing import Any

import pytest

from replicator.settings.load import load
from replicator.settings.proxies import ProxySettings
from replicator.settings.registries import PrimarySettings
from replicator.settings.show import effective
from tests.unit.settings.files import but, mistakes

_URL = "https://registry.example.com"


def _with(written: str) -> str:
    return but("eu.example.com}", f"eu.example.com, proxy: {written}}}")


def _loaded(folder: Path, written: str) -> ProxySettings | None:
    file = folder / "replicator.yaml"
    file.write_text(_with(written))
    return load(file, {"PROXY_PASSWORD": "canary"}).replicas[0].proxy


def test_absent_it_is_the_environments() -> None:
    assert PrimarySettings(url=_URL).proxy is None


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://Proxy.example.com:3128", "http://proxy.example.com:3128"),
        ("https://proxy.example.com/", "https://proxy.example.com"),
        ("off", None),
        ('"off"', None),
        ("none", None),
        ("{url: 'http://[2001:db8::1]:3128'}", "http://[2001:db8::1]:3128"),
    ],
)
def test_a_proxy_is_a_url_or_off(tmp_path: Path, written: str, url: str | None) -> None:
    assert _loaded(tmp_path, written) == ProxySettings(url=url)


def test_the_environment_may_be_named(tmp_path: Path) -> None:
    assert _loaded(tmp_path, "environment") is None


def test_all_keys(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    found = _loaded(
        tmp_path,
        "{url: https://p:1, username: u, password_env: PROXY_PASSWORD, ca_file: ca.pem, no_proxy: [.B, 10.0.0.0/8]}",
    )
    assert found is not None
    assert found.password is not None
    assert (found.password.reveal(), found.ca_file, found.no_proxy) == (
        "canary",
        tmp_path / "ca.pem",
        (".b", "10.0.0.0/8"),
    )


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("environment", "environment"),
        ("off", "off"),
        ("http://p:1", "http://p:1"),
        (
            "{url: http://p:1, username: u, password_env: PROXY_PASSWORD}",
            {"url": "http://p:1", "username": "u", "password_env": "PROXY_PASSWORD"},
        ),
    ],
)
def test_it_is_shown_as_it_is_written_and_the_password_is_not(tmp_path: Path, written: str, shown: Any) -> None:
    _loaded(tmp_path, written)
    settings = load(tmp_path / "replicator.yaml", {"PROXY_PASSWORD": "canary"})
    document = effective(settings)
    assert document["replicas"][0]["proxy"] == shown
    assert "canary" not in repr(settings) + str(document)


CASES = {
    "a login in the URL": (
        "http://user:canary@p:1",
        ".url: holds a user name or password; write them beside url: as username: and password_file:",
    ),
    "another kind of proxy": (
        "socks5://canary:1080",
        ".url: is not the URL of an HTTP proxy; write http://HOST:PORT, or https:// for one that is spoken to by TLS",
    ),
    "a path": (
        "http://p:1/canary",
        ".url: holds more than a host and a port; write http://HOST:PORT",
    ),
    "no port": ("http://p:99999", ".url: is not a URL; write http://HOST:PORT"),
    "no host": ("'http://:1'", ".url: names no valid host; write http://HOST:PORT"),
    "nothing": (
        "{username: u}",
        ".url: is missing; add it, as in url: http://proxy.example.com:3128",
    ),
    "a password inline": (
        "{url: http://p:1, password: canary}",
        ".password: a secret cannot stand in this file; write password_file: PATH or password_env: VARIABLE",
    ),
    "half a login": (
        "{url: http://p:1, username: u}",
        ": has a user name or a password without the other; write username: and password_file: PATH",
    ),
    "trust in plain HTTP": (
        "{url: http://p:1, ca_file: replicator.yaml}",
        ": has a ca_file for a proxy that is not spoken to by TLS; write https:// in url, or remove ca_file",
    ),
    "no exception": (
        "{url: http://p:1, no_proxy: [http://canary]}",
        ".no_proxy[0]: is no host; write HOST, .DOMAIN, HOST:PORT, an address, or a network as in 10.0.0.0/8",
    ),
}


@pytest.mark.parametrize(("written", "expected"), CASES.values(), ids=CASES)
def test_mistakes_say_what_would_be_right_and_show_nothing(tmp_path: Path, written: str, expected: str) -> None:
    (found,) = mistakes(tmp_path, _with(written))
    assert found.replace("'", "") == f"4: replicas[0].proxy{expected}"
    assert "canary" not in found
