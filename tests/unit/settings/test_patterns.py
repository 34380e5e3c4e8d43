"""The pattern language of rules."""

import pytest

from replicator.settings.patterns import Patterns, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("team/*", ["team/app"], ["team", "team/a/b", "xteam/app"]),
        ("team/**", ["team/app", "team/a/b"], ["team", "team/", "teams/app", "x/team/app"]),
        ("**/app", ["app", "a/app", "a/b/app"], ["a/app2", "xapp", "app/x"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "a/b/c"]),
        ("a**/b", ["a/b", "ax/y/b"], ["ab", "b"]),
        ("**/**", ["a", "a/b"], []),
        ("**", ["a", "a/b/c"], []),
        ("*", ["app"], ["a/b"]),
        ("v?", ["v1"], ["v", "v12", "v/"]),
        ("a.b", ["a.b"], ["axb"]),
        ("release-*", ["release-1", "release-"], ["Release-1"]),
        (
            "semver:>=1.2 <3",
            ["1.2.0", "v2.9.9", "v1.2.0"],
            ["v1.1.9", "3.0.0", "v2.0.0-rc.1", "latest", "vv2.0.0", "1.2"],
        ),
        ("semver:^1.0.0-rc.1", ["v1.0.0-rc.2", "1.4.0"], ["v1.1.0-rc.1", "2.0.0"]),
        ("regex:^release-\\d+$", ["release-12"], ["release-", "xrelease-1", "release-1\n", "release-1x"]),
        ("regex:a|b", ["a", "b"], ["ab", "ax"]),
    ],
)
def test_a_pattern_matches_whole_names(pattern: str, matching: list[str], others: list[str]) -> None:
    matcher = compile_pattern(pattern, versions=True)
    assert [name for name in matching if not matcher(name)] == []
    assert [name for name in others if matcher(name)] == []


@pytest.mark.parametrize(
    ("patterns", "matching", "others"),
    [
        (["v*", "!*-dev"], ["v1"], ["v1-dev", "x"]),
        (["!*-dev", "!tmp"], ["v1", "x"], ["v1-dev", "tmp"]),
        (["v*", "semver:>=1", "!semver:>=2"], ["v1", "v1.0.0", "1.5.0"], ["v2.0.0", "0.1.0"]),
        (["!regex:.*-\\d{8}"], ["nightly"], ["nightly-20240101"]),
        ([], ["anything"], []),
    ],
)
def test_any_positive_and_no_negative(patterns: list[str], matching: list[str], others: list[str]) -> None:
    compiled = Patterns(patterns, versions=True)
    assert [name for name in matching if not compiled.match(name)] == []
    assert [name for name in others if compiled.match(name)] == []


@pytest.mark.parametrize(
    ("pattern", "versions", "wrong"),
    [
        ("", True, "a pattern cannot be empty"),
        ("!", True, "a pattern cannot be empty"),
        ("a b", True, "a glob holds letters"),
        ("{a,b}", True, "a glob holds letters"),
        ("!!a", True, "a glob holds letters"),
        ("semver:", True, "not a range of versions"),
        ("semver:latest", True, "not a range of versions"),
        ("semver:>=1", False, "semver: is for tags"),
        ("regex:[", True, "not a regular expression"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, *, versions: bool, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        compile_pattern(pattern, versions=versions)
