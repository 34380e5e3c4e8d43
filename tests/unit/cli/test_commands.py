"""The command line without any network: use, configuration, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from replicator.cli.main import main

VALID = """
version: 1
primary:
  url: https://registry.example.com
  credentials: {username: puller, password_env: PULLER_PASSWORD}
replicas:
  - {name: eu, url: https://eu.example.com}
  - {name: us, url: https://us.example.com}
webhooks:
  endpoints: [{path: /webhooks/primary, auth: none}]
"""
SECRET = "canary-of-the-command-line"


def _run(*arguments: str, config: Path | None = None) -> Result:
    chosen = ["-c", str(config)] if config is not None else []
    return CliRunner(env={"PULLER_PASSWORD": SECRET}).invoke(main, [*chosen, *arguments])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a valid file."""
    file = tmp_path / "replicator.yaml"
    file.write_text(VALID)
    return file


def test_a_valid_file_is_said_to_be_valid(config: Path) -> None:
    result = _run("config", "check", config=config)
    assert (result.exit_code, result.stderr) == (0, "")
    assert str(config) in result.stdout
    assert "replicas 2" in result.stdout


def test_the_file_may_come_from_the_environment(config: Path) -> None:
    environ = {"PULLER_PASSWORD": SECRET, "REPLICATOR_CONFIG": str(config)}
    assert CliRunner(env=environ).invoke(main, ["config", "check"]).exit_code == 0


@pytest.mark.parametrize(
    "command",
    [("config", "check"), ("config", "show"), ("run",), ("check",), ("status",), ("wait", "a:b"), ("copy", "a:b")],
)
def test_every_mistake_goes_to_stderr_and_the_exit_code_is_2(config: Path, command: tuple[str, ...]) -> None:
    config.write_text(VALID.replace("name: us", "name: eu").replace("version: 1", "version: 2"))
    result = _run(*command, config=config)
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith(f"{config}:") for line in lines)
    assert "Traceback" not in result.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = _run("config", "check", config=tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "none.yaml" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("status", "--nonsense"),
        ("status", "--replica", "none"),
        ("status", "--limit", "0"),
        ("wait",),
        ("wait", "team/app"),
        ("wait", "team/app:v1", "--replica", "none"),
        ("wait", "team/app:v1", "--timeout", "soon"),
        ("wait", "team/app:v1", "--timeout", "2h"),
        ("copy", "Team/app:v1"),
        ("copy", "team/app:v1", "--replica", "none"),
        ("copy", "team/app:v1", "--tag", "a:b"),
    ],
)
def test_wrong_use_ends_with_2(config: Path, arguments: tuple[str, ...]) -> None:
    result = _run(*arguments, config=config)
    assert result.exit_code == 2
    assert "Error:" in result.stderr


def test_show_prints_defaults_and_where_secrets_are_but_no_secret(config: Path) -> None:
    plain = _run("config", "show", config=config)
    as_json = _run("config", "show", "--json", config=config)
    assert (plain.exit_code, as_json.exit_code) == (0, 0)
    assert SECRET not in plain.output + as_json.output
    document = json.loads(as_json.stdout)
    assert yaml.safe_load(plain.stdout) == document
    assert document["primary"]["credentials"]["password_env"] == "PULLER_PASSWORD"
    assert document["replicas"][0]["max_connections"] == 32


def test_show_prints_a_file_that_is_valid_again(config: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.yaml"
    again.write_text(_run("config", "show", config=config).stdout)
    result = _run("config", "show", config=again)
    assert result.stdout == again.read_text(), result.output


def test_schema_is_json_schema_and_needs_no_file() -> None:
    result = _run("config", "schema", config=Path("/nonexistent"))
    assert result.exit_code == 0
    assert "primary" in json.loads(result.stdout)["properties"]


def test_help_names_every_command_and_every_option_has_words() -> None:
    result = _run("--help")
    assert result.exit_code == 0
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert name in result.stdout
        for parameter in command.params:
            assert parameter.param_type_name == "argument" or getattr(parameter, "help", None)


def test_version() -> None:
    assert _run("--version").exit_code == 0


@pytest.mark.parametrize(
    ("command", "expected"), [("config", set()), ("copy", {"aiohttp"}), ("run", {"aiohttp", "sqlalchemy"})]
)
def test_a_command_imports_only_what_it_needs(command: str, expected: set[str]) -> None:
    """A start costs little else than imports. `run` takes no step of a migration, as nearly always."""
    large = {"aiohttp", "alembic", "sqlalchemy"}
    ask = f"""
import click, sys
from replicator.cli.main import main
assert main.get_command(click.Context(main), {command!r}).name == {command!r}
print(sorted({large} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(expected))
