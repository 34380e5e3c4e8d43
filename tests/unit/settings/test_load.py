"""What a valid file becomes: defaults, units, resolved paths, secrets, and words for nothing."""

from pathlib import Path

import pydantic
import pytest

from replicator.settings.load import load
from replicator.settings.schema import (
    Admin,
    Credentials,
    Endpoint,
    ListenAddress,
    PrimarySettings,
    ReplicaSettings,
    Retry,
    Rule,
    Settings,
    Tls,
)
from replicator.settings.secrets import Secret
from tests.unit.settings.files import BASE, but, settings


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    loaded = settings(tmp_path, BASE)
    assert (loaded.primary.name, loaded.primary.url) == ("primary", "https://registry.example.com")
    assert (loaded.primary.max_connections, loaded.replicas[0].max_connections) == (32, 32)
    assert (loaded.replicas[0].source, loaded.replicas[0].repository_prefix) == ("primary", "")
    assert (loaded.rules, loaded.webhooks.endpoints, loaded.notify) == ((), (), ())
    assert (loaded.webhooks.listen, loaded.webhooks.untagged_hold) == (ListenAddress("0.0.0.0", 8080), 5.0)
    assert (loaded.admin.listen, loaded.admin.token) == (ListenAddress("127.0.0.1", 9464), None)
    assert loaded.store.sqlite_path == Path("/var/lib/replicator/replicator.db")
    assert loaded.sweep is not None
    assert (loaded.sweep.every, loaded.sweep.full_every, loaded.sweep.repositories) == (3600.0, 86400.0, ())
    assert (loaded.deletes.grace, loaded.deletes.protect) == (3600.0, ())
    assert (loaded.deletes.breaker.count, loaded.deletes.breaker.percent) == (100, 5)
    assert (loaded.retry.first, loaded.retry.max, loaded.retry.park_after) == (1.0, 300.0, 86400.0)
    assert (loaded.objective.lag, loaded.objective.percent) == (900.0, 99.9)
    assert (loaded.shutdown.grace, loaded.log.level, loaded.log.format) == (30.0, "info", "auto")
    assert loaded.primary.credentials is None


def test_units_become_seconds_and_bytes(tmp_path: Path) -> None:
    text = (
        BASE
        + "retry: {first: 500ms, max: 2m, park_after: 7d}\n"
        + "webhooks: {endpoints: [{path: /a, auth: none, max_body: 2MiB}]}"
    )
    loaded = settings(tmp_path, text)
    assert (loaded.retry.first, loaded.retry.max, loaded.retry.park_after) == (0.5, 120.0, 604800.0)
    assert loaded.webhooks.endpoints[0].max_body == 2 * 1024 * 1024


@pytest.mark.parametrize("word", ["off", "Off", '"off"', "false", "no"])
def test_off_is_understood_in_each_spelling(tmp_path: Path, word: str) -> None:
    assert settings(tmp_path, f"{BASE}sweep: {word}").sweep is None


def test_a_url_is_kept_as_scheme_and_host(tmp_path: Path) -> None:
    loaded = settings(tmp_path, but("https://eu.example.com", "HTTP://EU.example.com:5000/"))
    assert loaded.replicas[0].url == "http://eu.example.com:5000"


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("0.0.0.0:1", ListenAddress("0.0.0.0", 1)),
        ("'[::1]:65535'", ListenAddress("::1", 65535)),
        ("localhost:0", ListenAddress("localhost", 0)),
    ],
)
def test_addresses(tmp_path: Path, written: str, address: ListenAddress) -> None:
    loaded = settings(tmp_path, f"{BASE}admin: {{listen: {written}}}")
    assert loaded.admin.listen == address
    assert str(address) == written.strip("'")


def test_an_endpoint_is_named_by_the_last_part_of_its_path(tmp_path: Path) -> None:
    text = BASE + "webhooks: {endpoints: [{path: /hooks/main, auth: none}, {path: /, name: root, auth: none}]}"
    assert [endpoint.name for endpoint in settings(tmp_path, text).webhooks.endpoints] == ["main", "root"]


def test_paths_start_at_the_directory_of_the_file_and_at_home(tmp_path: Path) -> None:
    home, etc = tmp_path / "home", tmp_path / "etc"
    home.mkdir()
    etc.mkdir()
    (home / "ca.pem").write_text("certificates")
    (etc / "password").write_text("hunter2\n")
    credentials = "credentials: {username: me, password_file: password}, tls: {ca_file: ~/ca.pem}"
    text = but("registry.example.com}", f"registry.example.com, {credentials}}}")
    loaded = settings(etc, text + "store: {url: sqlite:///state/db}", HOME=str(home))
    assert loaded.primary.credentials is not None
    assert loaded.primary.credentials.password == Secret.of_file(etc / "password")
    assert loaded.primary.credentials.password.reveal() == "hunter2"
    assert loaded.primary.tls is not None
    assert loaded.primary.tls.ca_file == home / "ca.pem"
    assert loaded.store.sqlite_path == etc / "state/db"


def test_the_directory_of_a_relative_file_name_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("hunter2")
    (tmp_path / "replicator.yaml").write_text(BASE + "admin: {token_file: token}")
    monkeypatch.chdir(tmp_path)
    loaded = load(Path("replicator.yaml"), {})
    monkeypatch.chdir("/")
    assert loaded.admin.token is not None
    assert loaded.admin.token.reveal() == "hunter2"


def test_secrets_come_from_the_given_environment(tmp_path: Path) -> None:
    text = (
        BASE
        + "admin: {token_env: ADMIN}\nwebhooks: {endpoints: [{path: /a, auth: {header: {name: X, value_env: X}}}]}"
    )
    loaded = settings(tmp_path, text, ADMIN="one", X="two\n")
    assert loaded.admin.token is not None
    assert loaded.admin.token.reveal() == "one"
    auth = loaded.webhooks.endpoints[0].auth
    assert auth is not None
    assert auth.header is not None
    assert [value.reveal() for value in auth.header.values] == ["two"]


@pytest.mark.parametrize(("files", "expected"), [("a", ["1"]), ("[a, b]", ["1", "2"])])
def test_several_secrets_are_valid_while_one_replaces_another(
    tmp_path: Path, files: str, expected: list[str]
) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    text = f"{BASE}webhooks: {{endpoints: [{{path: /a, auth: {{bearer_token_file: {files}}}}}]}}"
    auth = settings(tmp_path, text).webhooks.endpoints[0].auth
    assert auth is not None
    assert [token.reveal() for token in auth.bearer_tokens] == expected


def test_the_word_none_is_no_authentication(tmp_path: Path) -> None:
    text = BASE + "webhooks: {endpoints: [{path: /a, auth: none}]}"
    assert settings(tmp_path, text).webhooks.endpoints[0].auth is None


@pytest.mark.parametrize(
    "line",
    [
        "sweep: off",
        "notify: []",
        "rules: [{deletes: ignore, conflicts: overwrite, platforms: all, referrers: false}]",
        "webhooks: {endpoints: [{path: /a, auth: none, format: distribution}]}",
    ],
)
def test_off_values_of_what_is_not_built_are_taken(tmp_path: Path, line: str) -> None:
    assert settings(tmp_path, BASE + line).version == 1


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    loaded = settings(tmp_path, BASE)
    with pytest.raises(pydantic.ValidationError):
        loaded.version = 1  # type: ignore[misc]  # the very thing that must not work
    with pytest.raises(pydantic.ValidationError):
        loaded.replicas[0].name = "other"  # type: ignore[misc]  # and not further down either


def test_settings_can_be_made_in_code() -> None:
    made = Settings(
        version=1,
        primary=PrimarySettings(
            url="http://127.0.0.1:5000/",
            credentials=Credentials(username="me", password_file=Secret.of_text("hunter2")),
        ),
        replicas=(ReplicaSettings(name="a", url="http://127.0.0.1:5001"),),
        rules=(Rule(tags=("v*",), replicas=("a",)),),
        retry=Retry(first=0.1, max=1),
    )
    assert (made.retry.first, made.retry.max, made.primary.url) == (0.1, 1.0, "http://127.0.0.1:5000")
    assert Endpoint(path="/x/y", auth=None).name == "y"
    assert made.replica("a") == made.replicas[0]
    assert made.replica("b") is None
    assert "hunter2" not in repr(made)


@pytest.mark.parametrize("name", ["password", "token", "identity_token"])
def test_a_credential_is_found_in_either_form(name: str) -> None:
    found = [
        getattr(Credentials.model_validate({f"{name}_{form}": Secret.of_text(form)}), name)
        for form in ("file", "env")
    ]
    assert [secret.reveal() for secret in found] == ["file", "env"]
    assert getattr(Credentials(), name) is None


def test_in_code_values_are_taken_as_they_are() -> None:
    assert Admin(listen=ListenAddress("::1", 0)).listen == ListenAddress("::1", 0)
    assert Tls.model_validate({"ca_file": "x/ca.pem"}).ca_file == Path("x/ca.pem")
    assert Admin.model_validate({"token_file": "x/token"}).token == Secret.of_file(Path("x/token"))


def test_rules_are_known_by_their_lines_too(tmp_path: Path) -> None:
    lines = BASE.count("\n")
    loaded = settings(tmp_path, f"{BASE}rules:\n\n- tags: [v*]\n\n  # theirs\n- repositories: [team/**]\n")
    assert [loaded.rule_line(position) for position in range(3)] == [lines + 3, lines + 6, None]
    assert loaded.model_copy(update={"notify": ()}).rule_line(1) == lines + 6, "as a reload makes them"
    alone = settings(tmp_path, f"{BASE}rules: [{{tags: [v*]}}]\n")
    assert alone.rule_line(0) == lines + 1
    below = settings(tmp_path, f"{BASE}rules:\n- tags: [v*]\n")
    assert (below.rule_line(0), below == alone) == (lines + 2, True), "where it stands is not what it says"
    assert settings(tmp_path, BASE).rule_line(0) is None
