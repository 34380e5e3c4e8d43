"""The client's parsers hold for every input: what was written is read back, and nothing makes them fail."""

import contextlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.model import Digest, Repository, parse_tag
from replicator.registry import challenge, scope
from replicator.registry.answers import Fields, refusal_of, retry_after
from replicator.registry.link import next_page
from replicator.registry.origin import Origin, Target, join, parse_url
from replicator.registry.own_lists import ecr
from replicator.registry.own_lists.acr import ACR
from replicator.registry.own_lists.choose import FORMS
from replicator.registry.own_lists.form import Form, NotAsExpected
from replicator.registry.own_lists.harbor import HARBOR
from replicator.registry.ranges import ContentRange, parse_content_range
from replicator.registry.scope import Scope

TOKEN = st.text(string.ascii_letters + string.digits + "!#$%&'*+.^_`|~-", min_size=1, max_size=12)
QUOTED = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
URL_PART = st.text(string.ascii_letters + string.digits + "-._~%!$&'()*+,;=:@", max_size=20)
QUERY = st.text(string.ascii_letters + string.digits + "-._~%!$&'()*+,;=:@/?", max_size=40)
HOST = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}", fullmatch=True)
NAME = st.text(string.ascii_lowercase + string.digits + "/:._-", min_size=1, max_size=20).filter(
    lambda n: n.strip(":")
)


@st.composite
def challenges(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    scheme = draw(st.sampled_from(["Bearer", "BASIC", "Digest"]))
    parameters = draw(st.dictionaries(TOKEN.map(str.lower), QUOTED, max_size=4))
    return scheme, parameters


def written(scheme: str, parameters: dict[str, str]) -> str:
    quoted = (f'{name}="{_escaped(value)}"' for name, value in parameters.items())
    return f"{scheme} {','.join(quoted)}".rstrip()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


@given(st.lists(challenges(), max_size=4), st.booleans())
def test_challenges_are_read_as_written_in_one_header_or_in_many(
    given_ones: list[tuple[str, dict[str, str]]], one_header: bool
) -> None:
    headers = [written(*one) for one in given_ones]
    found = challenge.parse([", ".join(headers)] if one_header else headers)
    assert [(one.scheme, dict(one.parameters)) for one in found] == [
        (scheme.lower(), parameters) for scheme, parameters in given_ones
    ]


@given(st.lists(st.text(max_size=200), max_size=3))
def test_no_header_makes_the_challenge_parser_fail(headers: list[str]) -> None:
    assert len(challenge.parse(headers)) <= 16
    next_page(headers)


SCOPES = st.lists(
    st.builds(
        Scope,
        kind=st.sampled_from(["repository", "registry"]),
        name=NAME,
        actions=st.frozensets(st.sampled_from(["pull", "push", "delete", "*"]), min_size=1),
    ),
    max_size=6,
)


@given(SCOPES)
def test_merging_scopes_forgets_no_right_adds_none_and_knows_no_order(scopes: list[Scope]) -> None:
    merged = scope.merge(scopes)
    assert scope.merge(merged) == merged
    assert scope.merge(reversed(scopes)) == merged
    assert len({(one.kind, one.name) for one in merged}) == len(merged)
    for one in scopes:
        (found,) = [other for other in merged if (other.kind, other.name) == (one.kind, one.name)]
        assert one.actions <= found.actions or found.actions == {"*"}
    for found in merged:
        asked = {a for one in scopes if (one.kind, one.name) == (found.kind, found.name) for a in one.actions}
        assert found.actions <= asked
    writing = [bool(one.actions & {"push", "delete", "*"}) for one in merged]
    assert writing == sorted(writing, reverse=True)


@given(SCOPES)
def test_scopes_are_read_back_as_written(scopes: list[Scope]) -> None:
    merged = scope.merge(scopes)
    assert scope.parse(" ".join(map(str, merged))) == merged


@given(HOST, st.integers(1, 65535), st.lists(URL_PART, max_size=3), st.none() | QUERY)
def test_urls_are_read_back_byte_for_byte(host: str, port: int, parts: list[str], query: str | None) -> None:
    text = f"https://{host}:{port}/{'/'.join(parts)}" + ("" if query is None else f"?{query}")
    parsed = parse_url(text)
    assert parsed is not None
    assert parsed.origin == Origin("https", host, port)
    assert parsed.text == (text if port != 443 else text.replace(":443", "", 1))


@given(QUERY, st.lists(URL_PART.filter(lambda part: part not in {"", ".", ".."}), min_size=1, max_size=3))
def test_joining_keeps_the_raw_query_and_the_origin(query: str, parts: list[str]) -> None:
    base = Target(Origin("https", "reg.example.com", 5000), "/v2/a/blobs/uploads/", "old=1")
    path = "/".join(parts)
    joined = join(base, f"/{path}?{query}")
    assert joined is not None
    assert joined == Target(base.origin, f"/{path}", query)
    assert joined.with_query("digest=x").text.startswith(f"https://reg.example.com:5000/{path}?{query}")


@given(st.text(max_size=100))
def test_whatever_a_server_writes_a_location_is_http_on_a_plain_host_or_nothing(text: str) -> None:
    base = Target(Origin("https", "reg.example.com", 443))
    for found in (join(base, text), parse_url(text)):
        if found is not None:
            assert found.origin.scheme in {"http", "https"}
            assert not set(found.origin.host) & set("@\\/?# \r\n\t")
            assert found.text.isascii()
            assert found.text.isprintable()


@given(st.text("/.[]?;:x", max_size=8), st.text("/.[]?;:x", max_size=8))
def test_no_location_behind_another_makes_the_parser_fail(path: str, reference: str) -> None:
    base = parse_url(f"https://reg.example.com/{path}")
    found = None if base is None else join(base, reference)
    assert found is None or found.origin.scheme == "https"


@given(st.lists(st.tuples(QUERY.filter(lambda text: text), TOKEN), max_size=4))
def test_the_next_link_is_found_among_others(links: list[tuple[str, str]]) -> None:
    header = ", ".join(f'<{target}>; rel="{relation}"' for target, relation in links)
    expected = next((target for target, relation in links if relation.lower() == "next"), None)
    assert next_page([header]) == expected
    assert next_page([header, '<last>; title="a, b"; rel=next']) == (expected or "last")


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.none() | st.integers(0, 2**63))
def test_ranges_are_read_back_and_impossible_ones_refused(first: int, last: int, total: int | None) -> None:
    text = f"bytes {first}-{last}/{'*' if total is None else total}"
    possible = first <= last and (total is None or last < total)
    assert parse_content_range(text) == (ContentRange(first, last, total) if possible else None)


@given(*[st.integers(0, 60)] * 5)
def test_a_range_is_taken_only_when_it_is_exactly_what_was_asked_for(
    offset: int, end: int, size: int, first: int, last: int
) -> None:
    served = ContentRange(first, last, size)
    same = list(range(first, last + 1)) == list(range(offset, end)) and last >= first
    assert served.is_exactly(offset, end, size) == same
    assert not served.is_exactly(offset, end, size + 1)


@given(st.text(max_size=60))
def test_no_content_range_makes_the_parser_fail(text: str) -> None:
    parse_content_range(text)


@given(st.text(max_size=40), st.floats(0, 4e9))
def test_retry_after_is_always_bounded(text: str, now: float) -> None:
    seconds = retry_after(Fields([("Retry-After", text)]), now=now)
    assert seconds is None or 1.0 <= seconds <= 900.0


@given(st.binary(max_size=200))
def test_no_error_body_makes_the_reader_fail(body: bytes) -> None:
    refusal_of(body)


REPOSITORY = Repository("team/app")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["imageName", "tags", "name", "digest", "media_type"]) | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
TAGS = st.lists(st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True), max_size=3)
TOLD = st.lists(
    st.tuples(
        st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True), st.binary(max_size=3).map(Digest.of)
    ),
    max_size=6,
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)
@given(document=JSON)
def test_no_document_makes_a_list_of_digests_tell_what_is_none(form: Form, document: object) -> None:
    for given_one in (document, {"imageName": REPOSITORY, "tags": document}, [document]):
        try:
            told = form.told(given_one, REPOSITORY)
        except NotAsExpected:
            continue
        assert all(parse_tag(tag) == tag and Digest.parse(str(digest)) == digest for tag, digest in told)


@given(TOLD)
def test_what_azures_list_tells_is_read_as_written(told: list[tuple[str, Digest]]) -> None:
    tags = [{"name": tag, "digest": str(digest), "signed": False} for tag, digest in told]
    assert list(ACR.told({"imageName": REPOSITORY, "tags": tags}, REPOSITORY)) == told


@given(st.dictionaries(st.binary(max_size=3).map(Digest.of), TAGS, max_size=3))
def test_what_harbors_list_tells_is_read_as_written(tags: dict[Digest, list[str]]) -> None:
    artifacts = [
        {"digest": str(digest), "tags": [{"name": name} for name in names] or None} for digest, names in tags.items()
    ]
    told = [(name, digest) for digest, names in tags.items() for name in names]
    assert list(HARBOR.told(artifacts, REPOSITORY)) == told


@given(TOLD, JSON)
def test_what_amazons_list_tells_is_read_as_written(told: list[tuple[str, Digest]], other: object) -> None:
    images = [{"imageTag": tag, "imageDigest": str(digest)} for tag, digest in told]
    assert list(ecr.told(images)) == told
    with contextlib.suppress(NotAsExpected):
        assert all(parse_tag(tag) == tag for tag, _ in ecr.told(other))
