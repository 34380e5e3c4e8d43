"""Docker's and podman's files of logins: which entry is for which registry, and what is refused (A12)."""

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import SettingsError
from replicator.settings.docker_config import DockerConfig, read
from replicator.settings.proof import NOBODY, Proof
from replicator.settings.secrets import Secret
from tests.unit.settings.files import but, mistakes, settings

HOST = "registry.example.com"


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def config(**document: Any) -> DockerConfig:
    return read(json.dumps(document).encode())


def login(user: str, password: str) -> Proof:
    return Proof(username=user, password=Secret.of_text(password))


def words(proof: Proof) -> tuple[str, ...]:
    values = (proof.password, proof.token, proof.identity_token)
    return (proof.username or "", *("" if value is None else value.reveal() for value in values))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (auth("puller:a-canary"), ("puller", "a-canary", "", "")),
        (auth("robot$mirror+eu:a:b"), ("robot$mirror+eu", "a:b", "", "")),
        (auth("puller:a-canary\0\0"), ("puller", "a-canary", "", "")),
        ({"username": "puller", "password": "a-canary"}, ("puller", "a-canary", "", "")),
        (auth("puller:a-canary") | {"username": "x", "password": "y"}, ("puller", "a-canary", "", "")),
        (auth("00000000-0000-0000-0000-000000000000:x") | {"identitytoken": "i-canary"}, ("", "", "", "i-canary")),
        ({"registrytoken": "r-canary", "identitytoken": "i"}, ("", "", "r-canary", "")),
        ({}, ("", "", "", "")),
        ({"email": "somebody@example.com"}, ("", "", "", "")),
    ],
)
def test_an_entry_holds_a_password_or_a_token(entry: dict[str, str], expected: tuple[str, ...]) -> None:
    proof = config(auths={HOST: entry}).proof((HOST,), "team/app")
    assert words(proof) == expected
    assert "canary" not in repr(proof)


@pytest.mark.parametrize(
    ("key", "hosts"),
    [
        (HOST, (HOST,)),
        ("Registry.Example.COM", (HOST,)),
        (f"https://{HOST}", (HOST,)),
        (f"https://{HOST}/v1/", (HOST,)),
        (f"http://{HOST}/v2/", (HOST,)),
        (f"{HOST}/v1/", (HOST,)),
        (f"{HOST}:5000", (f"{HOST}:5000",)),
        (f"{HOST}:443", (HOST, f"{HOST}:443")),
        ("https://index.docker.io/v1/", ("docker.io",)),
        ("registry-1.docker.io", ("docker.io",)),
    ],
)
def test_hosts_are_written_in_many_forms(key: str, hosts: tuple[str, ...]) -> None:
    assert config(auths={key: auth("a:b")}).proof(hosts, "team/app")


@pytest.mark.parametrize(
    "key",
    [
        f"{HOST}:5000",
        f"sub.{HOST}",
        f"{HOST}.evil.example",
        "example.com",
        f"{HOST}/other",
        f"{HOST}/team/ap",
        f"{HOST}/team/app/below",
        "",
    ],
)
def test_a_login_is_for_exactly_its_host_and_port(key: str) -> None:
    assert config(auths={key: auth("a:b")}).proof((HOST,), "team/app") == NOBODY


def test_the_longest_key_of_podman_wins() -> None:
    keys = {HOST: "host", f"{HOST}/team": "team", f"{HOST}/team/app": "app"}
    logins = config(auths={key: auth(f"{user}:x") for key, user in keys.items()})
    repositories = {"team/app": "app", "team/app/below": "app", "team/appendix": "team", "other": "host", "": "host"}
    assert {name: logins.proof((HOST,), name).username for name in repositories} == repositories


def test_an_empty_entry_is_none() -> None:
    """Docker leaves one where a helper holds the login."""
    logins = config(auths={f"{HOST}/team": {}, HOST: {}, f"https://{HOST}": auth("a:b")})
    assert logins.proof((HOST,), "team/app") == login("a", "b")


def test_the_key_that_is_the_host_goes_before_older_forms() -> None:
    logins = config(auths={f"https://{HOST}/v1/": auth("old:x"), HOST: auth("new:x")})
    assert logins.proof((HOST,), "").username == "new"


def test_a_helper_of_the_host_goes_before_the_store() -> None:
    logins = config(credHelpers={HOST: "ecr-login", "plain.example.com": ""}, credsStore="secretservice")
    assert logins.helper((HOST,)) == "ecr-login"
    assert logins.helper((f"{HOST}:5000",)) == "secretservice"
    assert logins.helper(("plain.example.com",)) == "", "said to be in the file"
    assert config().helper((HOST,)) == ""


REFUSED = {
    b"[]": "it is not a JSON object",
    b'{"auths": [1]}': "auths is not an object",
    b'{"auths": {"a.example": "x"}}': "auths of 'a.example' is not an object",
    b'{"auths": {"a.example": {"auth": 1}}}': "auth of 'a.example' is not text",
    b'{"auths": {"a.example": {"auth": "canary!"}}}': "auth of 'a.example' is not base64 of text",
    b'{"auths": {"a.example": {"auth": "Y2FuYXJ5"}}}': "auth of 'a.example' does not hold USER:PASSWORD",
    b'{"auths": {"a.example": {"auth": "OmNhbmFyeQ=="}}}': "auth of 'a.example' does not hold USER:PASSWORD",
    b'{"credsStore": "../x"}': "credsStore is not the name of a credential helper",
    b'{"credsStore": 1}': "credsStore is not the name of a credential helper",
    b'{"credHelpers": {"a.example": "x y"}}': "credHelpers of 'a.example' is not the name of a credential helper",
    b'{"auths": {"a.example": {}, "a.example": {}}}': "JSON object has the key 'a.example' twice",
    b"{": "not JSON: Expecting property name enclosed in double quotes at line 1 column 2",
}


@pytest.mark.parametrize(("data", "message"), REFUSED.items())
def test_what_cannot_be_used_is_said_without_what_it_holds(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(data)
    assert str(caught.value) == message
    assert "canary" not in str(caught.value)
    file = tmp_path / "config.json"
    file.write_bytes(data)
    text = but("registry.example.com}", "registry.example.com, credentials: {docker_config: config.json}}")
    (found,) = mistakes(tmp_path, text)
    assert found.startswith(f"2: primary.credentials.docker_config: the file {file} cannot be used: {message}; write")


def test_a_file_that_can_be_used_is_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {HOST: auth("a:b")}}))
    text = but("registry.example.com}", "registry.example.com, credentials: {docker_config: config.json}}")
    credentials = settings(tmp_path, text).primary.credentials
    assert credentials is not None
    assert credentials.docker_config == tmp_path / "config.json"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["auths", "credHelpers", "credsStore", "auth", "a/b"]), inner, max_size=4)
    ),
)


@given(_JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64))
def test_whatever_stands_in_the_file_no_other_error_comes(data: bytes) -> None:
    with contextlib.suppress(SettingsError):
        read(data).proof((HOST,), "team/app")
