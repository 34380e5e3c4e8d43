"""Names and digests follow the grammar of the specifications, or do not get in."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import NameInvalid, Reason
from replicator.model import (
    ACCEPTED_MANIFESTS,
    INDEX_TYPES,
    MANIFEST_TYPES,
    SCHEMA1_TYPES,
    Digest,
    IntentKey,
    RawManifest,
    parse_reference,
    parse_repository,
    parse_tag,
    shown,
)

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "name",
    ["a", "0", "team/app", "a.b", "a_b", "a__b", "a-b", "a---b", "a/b/c/d", "x" * 255, "a0.b1_c2__d3-e4/f"],
)
def test_repository_names_are_taken(name: str) -> None:
    assert parse_repository(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a.",
            ".a",
            "a..b",
            "a___b",
            "a._b",
            "-a",
            "a-",
            "a b",
            "a\n",
            "\na",
            "ä",
        ),
        *("a/../b", "..", ".", "a%2fb", "a:b", "a@b", "x" * 256, "a\x00", "a\u0660", "a\u2028"),
    ],
)
def test_other_repository_names_are_not(name: str) -> None:
    with pytest.raises(NameInvalid) as caught:
        parse_repository(name)
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize("name", ["latest", "_", "v1.2.3", "A-b_c.D", "0", "x" * 128, f"sha256-{HEX}"])
def test_tags_are_taken(name: str) -> None:
    assert parse_tag(name) == name
    assert parse_reference(name) == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "a/b", "a b", "a\n", "x" * 129, "ä", "a+b", "a%20", "\x00"])
def test_other_tags_are_not(name: str) -> None:
    for parse in (parse_tag, parse_reference):
        with pytest.raises(NameInvalid):
            parse(name)


@given(st.binary(), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_is_the_hash_of_the_bytes(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert digest == Digest(algorithm, hashlib.new(algorithm, data).hexdigest())
    assert parse_reference(str(digest)) == digest == Digest.parse(str(digest))
    hasher = digest.hasher()
    hasher.update(data)
    other = hasher.copy()
    other.update(b"more")
    assert hasher.hexdigest() == digest.encoded != other.hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "sha256",
            "sha256:",
            ":",
            f"sha256:{HEX.upper()}",
            f"sha256:{HEX}0",
            f"sha256:{HEX[1:]}",
            f"sha512:{HEX}",
        ),
        *(f"md5:{HEX[:32]}", f"SHA256:{HEX}", f"sha256:{HEX} ", f"sha256:{HEX[:-1]}g", f"sha256:{HEX[:-1]}\n"),
        *(f"sha256::{HEX[1:]}", f"sha256:{HEX[:-1]}\u0661", f"sha384:{HEX}{HEX[:32]}", f"sha256+b64:{HEX}"),
    ],
)
def test_other_digests_are_not_digests(text: str) -> None:
    with pytest.raises(NameInvalid):
        Digest.parse(text)


def test_a_digest_with_a_colon_is_never_taken_for_a_tag() -> None:
    with pytest.raises(NameInvalid, match="digest"):
        parse_reference("latest:1")


@given(st.text(max_size=300))
def test_untrusted_text_is_shown_on_one_printable_line(text: str) -> None:
    found = shown(text)
    assert found.isprintable()
    assert found.isascii()
    assert found[0] == found[-1]
    assert len(found) <= 2 + 10 * 120 + 3


def test_long_text_is_cut_and_the_cut_is_seen() -> None:
    assert shown("x" * 200, 10) == "'" + "x" * 10 + "...'"
    assert shown("x" * 10, 10) == "'" + "x" * 10 + "'"


def test_keys_read_as_references_do() -> None:
    repository = parse_repository("team/app")
    digest = Digest("sha256", HEX)
    assert str(IntentKey("eu", repository, parse_tag("v1"))) == "eu team/app:v1"
    assert str(IntentKey("eu", repository, digest)) == f"eu team/app@sha256:{HEX}"


def test_every_copyable_type_is_asked_for_and_no_other() -> None:
    assert set(ACCEPTED_MANIFESTS) == INDEX_TYPES | MANIFEST_TYPES
    assert not SCHEMA1_TYPES & (INDEX_TYPES | MANIFEST_TYPES)


def test_bodies_of_manifests_do_not_fill_the_log() -> None:
    assert "secret" not in repr(RawManifest("a/b", Digest("sha256", HEX), b"secret"))
