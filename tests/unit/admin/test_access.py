"""Who may use the API: the table of listen address, token, Host and Authorization."""

from pathlib import Path

import pytest

from replicator.admin.access import OPEN_PATHS, Access
from replicator.errors import SettingsError
from replicator.settings.secrets import Secret

_TOKEN = "right-token-canary"
_API = "/api/v1/status"


def _status(access: Access, path: str = _API, *, host: str = "127.0.0.1:9464", authorization: str = "") -> int:
    refusal = access.refusal(path, host=host, authorization=authorization)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("listen", "token", "host", "authorization", "status"),
    [
        ("127.0.0.1", None, "127.0.0.1:9464", "", 200),
        ("127.0.0.1", None, "localhost:9464", "", 200),
        ("127.0.0.1", None, "localhost", "", 200),
        ("::1", None, "[::1]:9464", "", 200),
        ("localhost", None, "127.0.0.1", "", 200),
        ("127.0.0.1", None, "evil.example.com:9464", "", 403),
        ("127.0.0.1", None, "127.0.0.1.evil.example.com", "", 403),
        ("127.0.0.1", None, "localhost.evil.example.com", "", 403),
        ("127.0.0.1", None, "[evil]", "", 403),
        ("127.0.0.1", None, "", "", 403),
        ("127.0.0.1", _TOKEN, "127.0.0.1", "", 401),
        ("127.0.0.1", _TOKEN, "names.are.fine.example.com", f"Bearer {_TOKEN}", 200),
        ("0.0.0.0", None, "127.0.0.1", "", 403),
        ("::", None, "[::1]", "", 403),
        ("10.0.0.1", None, "10.0.0.1", "", 403),
        ("admin.example.com", None, "127.0.0.1", "", 403),
        ("0.0.0.0", _TOKEN, "any.example.com", f"Bearer {_TOKEN}", 200),
        ("0.0.0.0", _TOKEN, "any.example.com", f"bearer {_TOKEN}", 200),
        ("0.0.0.0", _TOKEN, "any.example.com", "", 401),
        ("0.0.0.0", _TOKEN, "any.example.com", "Bearer", 401),
        ("0.0.0.0", _TOKEN, "any.example.com", "Bearer ", 401),
        ("0.0.0.0", _TOKEN, "any.example.com", "Bearer wrong", 401),
        ("0.0.0.0", _TOKEN, "any.example.com", f"Bearer {_TOKEN[:-1]}", 401),
        ("0.0.0.0", _TOKEN, "any.example.com", f"Bearer {_TOKEN}x", 401),
        ("0.0.0.0", _TOKEN, "any.example.com", f"Basic {_TOKEN}", 401),
        ("0.0.0.0", _TOKEN, "any.example.com", _TOKEN, 401),
        ("0.0.0.0", _TOKEN, "any.example.com", "Bearer t\u00f6ken\udcff", 401),
    ],
)
def test_access_to_the_api(listen: str, token: str | None, host: str, authorization: str, status: int) -> None:
    access = Access(token=None if token is None else Secret.of_text(token), listen_host=listen)
    assert _status(access, host=host, authorization=authorization) == status


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_probes_and_metrics_need_nothing(path: str) -> None:
    for token in (None, Secret.of_text(_TOKEN)):
        assert _status(Access(token=token, listen_host="0.0.0.0"), path, host="any.example.com") == 200


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1/openapi.json", "/metrics/", "/API/v1/status", "//metrics"])
def test_every_other_path_is_guarded(path: str) -> None:
    assert _status(Access(token=Secret.of_text(_TOKEN), listen_host="0.0.0.0"), path) == 401


def test_a_rotated_token_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    access = Access(token=Secret.of_file(file), listen_host="0.0.0.0")
    assert _status(access, authorization="Bearer old") == 200
    file.write_text("new\n")
    assert _status(access, authorization="Bearer old") == 401
    assert _status(access, authorization="Bearer new") == 200


def test_an_unreadable_token_opens_nothing(tmp_path: Path) -> None:
    access = Access(token=Secret.of_file(tmp_path / "gone"), listen_host="127.0.0.1")
    with pytest.raises(SettingsError):
        _status(access, authorization="Bearer anything")
