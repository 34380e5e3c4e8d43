"""Challenges as registries really send them (A1)."""

import pytest

from replicator.registry.challenge import Challenge, choose, parse


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            ['Bearer realm="https://auth/token",service="reg",scope="repository:a/b:pull,push"'],
            [("bearer", {"realm": "https://auth/token", "service": "reg", "scope": "repository:a/b:pull,push"})],
            id="commas inside a quoted scope",
        ),
        pytest.param(
            ['Basic realm="a", Bearer realm="https://t",service="s"'],
            [("basic", {"realm": "a"}), ("bearer", {"realm": "https://t", "service": "s"})],
            id="several in one header",
        ),
        pytest.param(
            ['Basic realm="a"', 'Bearer realm="t"'],
            [("basic", {"realm": "a"}), ("bearer", {"realm": "t"})],
            id="several headers",
        ),
        pytest.param(['BASIC realm="Nexus"'], [("basic", {"realm": "Nexus"})], id="scheme in capitals"),
        pytest.param(["Basic"], [("basic", {})], id="no realm at all"),
        pytest.param(['Bearer REALM = "t" , Service=s'], [("bearer", {"realm": "t", "service": "s"})], id="blanks"),
        pytest.param(
            [r'Bearer realm="a\"b\\c,d"'], [("bearer", {"realm": 'a"b\\c,d'})], id="escapes in a quoted string"
        ),
        pytest.param(
            ['Negotiate YII=, NTLM TlRM/x==, Basic realm="a"'],
            [("negotiate", {"yii": ""}), ("ntlm", {}), ("basic", {"realm": "a"})],
            id="other schemes with token68",
        ),
        pytest.param(["", " ,, "], [], id="nothing"),
        pytest.param(['Bearer realm="unterminated'], [("bearer", {})], id="unterminated string"),
        pytest.param(
            ['Bearer realm="/t",service="\udcff",scope="a:b:c \udcfe:b:c"', 'Bearer realm="\x01"'],
            [("bearer", {"realm": "/t"}), ("bearer", {})],
            id="bytes that are no text",
        ),
        pytest.param(['Bearer realm="a",realm="b"'], [("bearer", {"realm": "a"})], id="the first of two counts"),
    ],
)
def test_a1_every_challenge_is_found(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(one.scheme, dict(one.parameters)) for one in parse(headers)] == expected


@pytest.mark.parametrize(
    ("schemes", "chosen"),
    [
        ([Challenge("basic"), Challenge("bearer", {"realm": "t"})], "bearer"),
        ([Challenge("bearer"), Challenge("basic")], "basic"),
        ([Challenge("negotiate"), Challenge("bearer", {"realm": ""})], None),
        ([], None),
    ],
)
def test_a1_bearer_with_a_realm_goes_before_basic(schemes: list[Challenge], chosen: str | None) -> None:
    found = choose(schemes)
    assert (found.scheme if found else None) == chosen


def test_a_header_of_separators_only_is_parsed_in_linear_time() -> None:
    assert parse(["," * 32_000, "=" * 32_000, "a=" * 16_000, '"' * 32_000, "," * 16_000 + '"' * 16_000]) == ()
