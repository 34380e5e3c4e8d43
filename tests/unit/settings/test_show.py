"""`config show`: what is in force, in the words of the file, without secrets."""

from pathlib import Path

import yaml

from replicator.settings.show import effective
from tests.unit.settings.files import BASE, settings

FULL = """\
rules:
  - {repositories: ["team/**"], replicas: [eu-west], priority: high}
webhooks:
  untagged_hold: 90s
  endpoints:
    - {path: /a, auth: none, max_body: 2MiB}
    - {path: /b, auth: {bearer_token_file: [one, two]}}
    - {path: /c, auth: {basic: {username: me, password_file: one}}}
    - {path: /d, auth: {header: {name: X, value_env: TOKEN}}}
admin: {listen: "[::1]:9", token_file: one}
retry: {first: 250ms}
"""


def prepare(directory: Path) -> None:
    (directory / "one").write_text("hunter2\n")
    (directory / "two").write_text("hunter2\n")


def test_values_have_the_form_in_which_people_write_them(tmp_path: Path) -> None:
    prepare(tmp_path)
    shown = effective(settings(tmp_path, BASE + FULL, TOKEN="hunter2"))
    assert shown["retry"] == {"first": "250ms", "max": "5m", "park_after": "1d"}
    assert shown["webhooks"]["untagged_hold"] == "90s"
    assert shown["webhooks"]["endpoints"] == [
        {"path": "/a", "name": "a", "format": "distribution", "hosts": [], "max_body": "2MiB", "auth": "none"},
        {
            "path": "/b",
            "name": "b",
            "format": "distribution",
            "hosts": [],
            "max_body": "8MiB",
            "auth": {"bearer_token_file": [f"{tmp_path}/one", f"{tmp_path}/two"]},
        },
        {
            "path": "/c",
            "name": "c",
            "format": "distribution",
            "hosts": [],
            "max_body": "8MiB",
            "auth": {"basic": {"username": "me", "password_file": f"{tmp_path}/one"}},
        },
        {
            "path": "/d",
            "name": "d",
            "format": "distribution",
            "hosts": [],
            "max_body": "8MiB",
            "auth": {"header": {"name": "X", "value_env": "TOKEN"}},
        },
    ]
    assert shown["admin"] == {"listen": "[::1]:9", "token_file": f"{tmp_path}/one"}
    assert shown["sweep"] == {"every": "1h", "full_every": "1d", "repositories": []}
    assert effective(settings(tmp_path, BASE + "sweep: off"))["sweep"] == "off"
    assert shown["rules"][0]["platforms"] == "all"
    assert "hunter2" not in yaml.safe_dump(shown)


def test_what_is_shown_loads_as_the_same_settings(tmp_path: Path) -> None:
    prepare(tmp_path)
    loaded = settings(tmp_path, BASE + FULL, TOKEN="hunter2")
    shown = effective(loaded)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert settings(elsewhere, yaml.safe_dump(shown), TOKEN="hunter2") == loaded
