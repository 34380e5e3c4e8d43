"""Subscriptions to NATS: what may be written, what is refused, and that nothing secret is shown."""

import sys
from pathlib import Path

import pytest

from tests.support.nats_users import Operator
from tests.unit.settings.files import BASE, mistakes, settings

LEAST = {"name": "zot", "url": "nats://nats.example.com:4222", "subject": "zot.events"}


def with_one(**more: str) -> str:
    written = ", ".join(f"{key}: {value}" for key, value in (LEAST | more).items() if value)
    return f"{BASE}webhooks: {{subscriptions: [{{{written}}}]}}\n"


def test_the_least_that_is_enough(tmp_path: Path) -> None:
    (one,) = settings(tmp_path, with_one()).webhooks.subscriptions
    assert (one.url, one.stream, one.durable, one.format) == (
        ("nats://nats.example.com:4222",),
        "auto",
        "replicator",
        "zot",
    )
    assert not one.encrypted


@pytest.mark.parametrize("more", [{"url": "[nats://a, 'tls://b:4223']"}, {"tls": "{insecure_skip_verify: true}"}])
def test_one_word_of_tls_means_that_all_is_encrypted(tmp_path: Path, more: dict[str, str]) -> None:
    (one,) = settings(tmp_path, with_one(**more)).webhooks.subscriptions
    assert one.encrypted


@pytest.mark.parametrize("subject", ["zot", "zot.>", "*.events", "zot.*.events", "'>'", "'*'", "$x.zot-1_y"])
def test_subjects(tmp_path: Path, subject: str) -> None:
    assert settings(tmp_path, with_one(subject=f"'{subject.strip(chr(39))}'")).webhooks.subscriptions


MISTAKES = {
    "name": ("''", "name: is not a name; write letters, digits, dots, dashes and underscores, at most 63"),
    "url": ("https://nats.example.com", "url: does not start with nats:// or tls://; write nats://HOST:PORT or "),
    "subject": ("zot..events", "subject: is not a subject of NATS; write words with dots between them, as in "),
    "stream": ("a.b", "stream: is not a name; write letters, digits, dashes and underscores, at most 128"),
    "durable": ("a b", "durable: is not a name; write letters, digits, dashes and underscores, at most 128"),
    "format": ("sns", "format: SNS delivers to endpoints only; write it under endpoints:"),
    "credentials": ("{}", "credentials: is empty; write username and password_file, or remove it to be anonymous"),
}


@pytest.mark.parametrize(("key", "value", "message"), [(key, *said) for key, said in MISTAKES.items()])
def test_what_is_wrong_is_said(tmp_path: Path, key: str, value: str, message: str) -> None:
    (found,) = mistakes(tmp_path, with_one(**{key: value}))
    assert message in found


@pytest.mark.parametrize("url", ["nats://hook:canary@nats.example.com", "tls://canary@nats.example.com:4222"])
def test_a_secret_in_the_address_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    (found,) = mistakes(tmp_path, with_one(url=url))
    assert "holds a user name, password or token; write them under credentials:" in found
    assert "canary" not in found


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ("{username: hook}", "has a user name without a password"),
        ("{password_env: SECRET}", "has a password without a user name"),
        ("{token_env: SECRET, username: hook, password_env: SECRET}", "holds user name and password and token"),
        ("{creds_file: no.creds}", "does not hold the token and the seed of a user of NATS"),
        ("{password: canary, username: hook}", "password"),
    ],
)
def test_credentials_go_together(tmp_path: Path, credentials: str, message: str) -> None:
    (tmp_path / "no.creds").write_text("canary")
    found = mistakes(tmp_path, with_one(credentials=credentials), SECRET="canary")
    assert any(message in line for line in found)
    assert not any("canary" in line for line in found)


def test_a_creds_file_is_taken_and_not_shown(tmp_path: Path) -> None:
    text = Operator().user()
    (tmp_path / "hook.creds").write_text(text)
    loaded = settings(tmp_path, with_one(credentials="{creds_file: hook.creds}"))
    shown = f"{loaded!r} {loaded.model_dump_json()}"
    assert "hook.creds" in shown
    assert not any(line in shown for line in text.splitlines() if line.startswith(("eyJ", "SU")))


def test_names_are_those_of_endpoints_too(tmp_path: Path) -> None:
    text = with_one().replace("{subscriptions", "{endpoints: [{path: /webhooks/zot, auth: none}], subscriptions")
    (found,) = mistakes(tmp_path, text)
    assert "subscriptions[0].name: 'zot' is taken by endpoints[0]; choose another" in found


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name.split(".")[0] == "nats"]:
        monkeypatch.delitem(sys.modules, name)
    (found,) = mistakes(tmp_path, with_one())
    assert found.endswith(
        "webhooks.subscriptions[0]: needs the extra nats, which is not installed; "
        'install it: pip install "replicator[nats]"'
    )
