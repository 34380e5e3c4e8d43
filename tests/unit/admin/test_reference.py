"""REF is read as people write it, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.admin.reference import parse_ref, ref_text
from replicator.errors import NameInvalid
from replicator.model import Digest, Repository, Tag

_DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("primary", "text", "repository", "reference"),
    [
        ("https://registry.example.com", "team/app:v1", "team/app", "v1"),
        ("https://registry.example.com", f"team/app@{_DIGEST}", "team/app", _DIGEST),
        ("https://registry.example.com", "registry.example.com/team/app:v1", "team/app", "v1"),
        ("https://registry.example.com", "registry.example.com:443/team/app:v1", "team/app", "v1"),
        ("https://registry.example.com:443", "registry.example.com/team/app:v1", "team/app", "v1"),
        ("http://localhost:5000", "localhost:5000/app:v1", "app", "v1"),
        ("http://127.0.0.1:5000", f"127.0.0.1:5000/app@{_DIGEST}", "app", _DIGEST),
        ("http://localhost:5000", "localhost/app:5000", "localhost/app", "5000"),
    ],
)
def test_ref_names_repository_and_reference(primary: str, text: str, repository: str, reference: str) -> None:
    found = parse_ref(text, primary)
    assert (found[0], str(found[1])) == (repository, reference)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "team/app",
        "team/app:",
        "team/app@",
        "team/app@v1",
        f"team/app:v1@{_DIGEST}",
        "Team/app:v1",
        "team/app:v1\n",
        "../app:v1",
        "other:5000/team/app",
        "other:5000/team/app:v1",
        "a:" + "b" * 700,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse_ref(text, "https://registry.example.com")


@given(
    st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,3}", fullmatch=True).map(Repository),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True).map(Tag)
    | st.binary(max_size=8).map(Digest.of),
)
def test_what_is_written_is_read_back(repository: Repository, reference: Tag | Digest) -> None:
    """`ref_text` and `parse_ref` are inverse."""
    assert parse_ref(ref_text(repository, reference), "https://registry.example.com") == (repository, reference)
