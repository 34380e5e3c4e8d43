"""A secret is read when needed and shown nowhere."""

from pathlib import Path

import pytest

from replicator.errors import Reason, SettingsError
from replicator.settings.secrets import Secret


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("hunter2\n")
    return path


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        ("hunter2\n\n", "hunter2\n"),
        (" hunter2 \n", " hunter2 "),
        ("h\u00fcnter2\n", "h\u00fcnter2"),
    ],
)
def test_one_trailing_newline_is_dropped_and_nothing_else(file: Path, written: str, read: str) -> None:
    file.write_bytes(written.encode())
    assert Secret.of_file(file).reveal() == read
    assert Secret.of_environment("NAME", {"NAME": written}).reveal() == read
    assert Secret.of_text(written).reveal() == read


def test_a_rotated_file_counts_at_once(file: Path) -> None:
    secret = Secret.of_file(file)
    assert secret.reveal() == "hunter2"
    file.write_text("correct horse\n")
    assert secret.reveal() == "correct horse"


def test_text_and_repr_show_only_the_origin(file: Path) -> None:
    secrets = [Secret.of_file(file), Secret.of_environment("NAME", {"NAME": "hunter2"}), Secret.of_text("hunter2")]
    expected = [f"Secret(***, {file})", "Secret(***, NAME)", "Secret(***, text)"]
    assert [repr(secret) for secret in secrets] == expected
    assert [f"{secret}" for secret in secrets] == expected
    assert "hunter2" not in f"{secrets} {secrets!r}"


def test_secrets_are_equal_when_they_come_from_the_same_place(file: Path) -> None:
    assert Secret.of_file(file) == Secret.of_file(file)
    assert Secret.of_environment("A", {"A": "x"}) == Secret.of_environment("A", {})
    assert Secret.of_environment("A", {}) != Secret.of_environment("B", {})
    assert Secret.of_text("a") != Secret.of_text("b")


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xffhunter2", "does not hold UTF-8 text"),
        (b"x" * 70_000, "is longer than any secret (64 KiB)"),
    ],
)
def test_an_unusable_file_is_an_error_worth_another_try(tmp_path: Path, content: bytes | None, wrong: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        Secret.of_file(path).reveal()
    assert str(caught.value) == f"the file {path} {wrong}"
    assert (caught.value.reason, caught.value.temporary) == (Reason.AUTH, True)
    assert not isinstance(caught.value.__cause__, UnicodeDecodeError)


@pytest.mark.parametrize(("environ", "wrong"), [({}, "is not set"), ({"NAME": "\n"}, "is empty")])
def test_an_unusable_variable_is_an_error(environ: dict[str, str], wrong: str) -> None:
    with pytest.raises(SettingsError, match=f"^the environment variable NAME {wrong}$"):
        Secret.of_environment("NAME", environ).reveal()
