"""Receivers of outgoing webhooks in the configuration: their names, their keys, and what is refused."""

import base64
from pathlib import Path

import pytest

from tests.unit.settings.files import BASE, mistakes, settings

KEY = "whsec_" + base64.b64encode(b"k" * 24).decode()
URL = "https://deploy.example.com/arrived"


def text(*receivers: str) -> str:
    return BASE + "notify:\n" + "".join(f"  - {receiver}\n" for receiver in receivers)


def test_a_receiver_is_named_by_its_host_and_all_its_keys_sign(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_text(KEY + "\n")
    found = settings(
        tmp_path,
        text(
            f"{{url: {URL}, events: [replicated, late], secret_file: [old, new]}}",
            "{url: 'http://[::1]:8080/', events: [parked], secret_env: KEY, name: chat, proxy: off}",
        ),
        KEY=KEY,
    ).notify
    assert [one.name for one in found] == ["deploy.example.com", "chat"]
    assert found[0].events == ("replicated", "late")
    assert [key.origin for one in found for key in one.keys] == [str(tmp_path / "old"), str(tmp_path / "new"), "KEY"]
    assert found[1].proxy is not None


@pytest.mark.parametrize(
    ("receiver", "expected"),
    [
        (f"{{url: {URL}, events: [parked]}}", "6: notify[0]: holds no secret; add secret_file: PATH or secret_env:"),
        (f"{{url: {URL}, events: [], secret_env: KEY}}", "6: notify[0].events: "),
        (f"{{url: {URL}, events: [arrived], secret_env: KEY}}", "6: notify[0].events[0]: "),
        (f"{{url: {URL}, secret_env: KEY}}", "6: notify[0].events: is missing"),
        (f"{{url: '{URL}?a=b', events: [parked], secret_env: KEY}}", "6: notify[0].url: is not a URL to post to"),
        ("{url: 'https://u:p@a.example', events: [parked], secret_env: KEY}", "6: notify[0].url: is not a URL to"),
        (
            "{url: 'https://a.example:99999/', events: [parked], secret_env: KEY}",
            "6: notify[0]: has a url that names",
        ),
        ("{url: 'ftp://a.example/', events: [parked], secret_env: KEY}", "6: notify[0].url: is not a URL to post to"),
        (f"{{url: {URL}, events: [parked], secret_env: WEAK}}", "6: notify[0]: the secret in WEAK is no key"),
        (f"{{url: {URL}, events: [parked], secret_env: TEXT}}", "6: notify[0]: the secret in TEXT is no key"),
        (f"{{url: {URL}, events: [parked], secret: {KEY}}}", "6: notify[0].secret: "),
        (f"{{url: {URL}, events: [parked], secret_env: KEY, secret_file: f}}", "6: notify[0].secret_env: stands "),
        (
            "{url: http://a.example/, events: [parked], secret_env: KEY, tls: {insecure_skip_verify: true}}",
            "6: notify[0].tls: is of no use with an http:// URL",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, receiver: str, expected: str) -> None:
    (tmp_path / "f").write_text(KEY)
    weak = "whsec_" + base64.b64encode(b"k" * 23).decode()
    (mistake,) = mistakes(tmp_path, text(receiver), KEY=KEY, WEAK=weak, TEXT="no key at all!")
    assert mistake.startswith(expected)
    assert KEY not in mistake


def test_two_receivers_at_one_host_need_names(tmp_path: Path) -> None:
    one = f"{{url: {URL}, events: [parked], secret_env: KEY}}"
    (mistake,) = mistakes(tmp_path, text(one, one.replace("arrived", "other")), KEY=KEY)
    assert mistake == "7: notify[1].name: 'deploy.example.com' is taken by notify[0]; choose another"
