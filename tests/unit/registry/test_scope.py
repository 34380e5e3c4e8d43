"""Scopes are merged and in one order, so that they can be compared (A5)."""

import pytest

from replicator.model import Repository
from replicator.registry import scope


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repository:a/b:pull", ["repository:a/b:pull"]),
        ("repository:a/b:push,pull", ["repository:a/b:pull,push"]),
        ("repository:host:5000/a:pull", ["repository:host:5000/a:pull"]),
        ("repository(plugin):a:pull", ["repository(plugin):a:pull"]),
        ("registry:catalog:*", ["registry:catalog:*"]),
        ("repository:a:pull repository:a:push", ["repository:a:pull,push"]),
        ("repository:a:pull,*", ["repository:a:*"]),
        ("repository:a:pull repository:z:push", ["repository:z:push", "repository:a:pull"]),
        ("nonsense repository:a repository:a: :a:pull", []),
        ("", []),
    ],
)
def test_a5_scopes_are_read_merged_and_ordered_with_the_written_one_first(text: str, expected: list[str]) -> None:
    assert [str(one) for one in scope.parse(text)] == expected


def test_a5_a_push_asks_for_pull_and_push_and_never_for_delete() -> None:
    assert [str(one) for one in scope.push(Repository("a/b"))] == ["repository:a/b:pull,push"]
    assert [str(one) for one in scope.pull(Repository("a/b"))] == ["repository:a/b:pull"]


def test_a_flood_of_scopes_is_cut() -> None:
    assert len(scope.parse(" ".join(f"repository:r{n}:pull" for n in range(1_000)))) == 32
