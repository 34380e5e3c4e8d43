"""Lists of referrers: the tags they go by, what an entry says, and that merging loses nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator import referrers
from replicator.errors import ContentError
from replicator.model import Digest, MediaType, RawManifest, parse_tag
from tests.support.content import make_image

SUBJECT = Digest.of(b"subject")
HEX = SUBJECT.encoded


def listing(*entries: dict[str, Any], **more: Any) -> RawManifest:
    body = json.dumps({"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX, "manifests": entries, **more}).encode()
    return RawManifest(MediaType.OCI_INDEX, Digest.of(body), body)


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": MediaType.OCI_MANIFEST, "digest": str(Digest.of(name.encode())), "size": 7, **more}


def test_tags_of_a_digest() -> None:
    assert referrers.fallback_tag(SUBJECT) == f"sha256-{HEX}"
    assert referrers.subject_of(referrers.fallback_tag(SUBJECT)) == SUBJECT
    assert referrers.cosign_tags(SUBJECT) == (f"sha256-{HEX}.sig", f"sha256-{HEX}.att", f"sha256-{HEX}.sbom")
    long = Digest.of(b"subject", "sha512")
    assert referrers.fallback_tag(long) == f"sha512-{long.encoded[:64]}"
    assert referrers.subject_of(referrers.fallback_tag(long)) is None, "it is cut"
    assert referrers.subject_of(SUBJECT) is None
    assert referrers.cosign_tags(long) == ()


@pytest.mark.parametrize(
    ("text", "fallback", "cosign"),
    [
        (f"sha256-{HEX}", True, False),
        (f"sha512-{HEX}", True, False),
        (f"sha256-{HEX}.sig", False, True),
        (f"sha256-{HEX}.att", False, True),
        (f"sha256-{HEX}.sbom", False, True),
        (f"sha256-{HEX}.sig2", False, False),
        (f"sha512-{HEX}.sig", False, False),
        (f"sha256-{HEX[:-1]}", False, False),
        (f"sha1-{HEX}", False, False),
        ("latest", False, False),
    ],
)
def test_which_tags_are_not_of_people(text: str, fallback: bool, cosign: bool) -> None:
    assert referrers.is_fallback_tag(parse_tag(text)) is fallback
    assert referrers.is_cosign_tag(parse_tag(text)) is cosign


def test_a_digest_is_no_tag() -> None:
    assert not referrers.is_fallback_tag(SUBJECT)
    assert not referrers.is_cosign_tag(SUBJECT)


def test_an_entry_tells_type_and_annotations() -> None:
    image = make_image("signature", extra={"artifactType": "application/x.sig", "annotations": {"a": "b"}})
    raw = RawManifest(image.media_type, image.digest, image.body)
    assert referrers.entry_of(raw) == {
        "mediaType": image.media_type,
        "digest": str(image.digest),
        "size": len(image.body),
        "artifactType": "application/x.sig",
        "annotations": {"a": "b"},
    }


def test_without_an_artifact_type_it_is_that_of_the_config() -> None:
    image = make_image("old style")
    found = referrers.entry_of(RawManifest(image.media_type, image.digest, image.body))
    assert found["artifactType"] == image.config.media_type
    assert "annotations" not in found


def test_a_first_entry_makes_a_list() -> None:
    made = referrers.merge(None, [entry("a")])
    assert made is not None
    assert made.media_type == MediaType.OCI_INDEX
    assert made.digest == Digest.of(made.body)
    assert json.loads(made.body) == {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_INDEX,
        "manifests": [entry("a")],
    }
    assert referrers.is_list(made, SUBJECT)
    assert not referrers.is_list(made, made.digest)


def test_what_was_there_stays_as_it_was() -> None:
    held = listing(entry("mine", annotations={"by": "me"}, unknown=[1]), annotations={"list": "own"})
    merged = referrers.merge(held, [entry("mine"), entry("new"), entry("new")])
    assert merged is not None
    body = json.loads(merged.body)
    assert body["manifests"] == [entry("mine", annotations={"by": "me"}, unknown=[1]), entry("new")]
    assert body["annotations"] == {"list": "own"}
    assert referrers.merge(merged, [entry("new"), entry("mine")]) is None


def test_what_is_gone_can_be_left_out() -> None:
    held = listing(entry("a"), entry("b"))
    assert json.loads(referrers.without(held, [Digest.of(b"a")]).body)["manifests"] == [entry("b")]


def test_a_list_that_would_be_too_large_is_refused() -> None:
    with pytest.raises(ContentError, match="1001 referrers"):
        referrers.merge(None, [entry(str(n)) for n in range(1001)])
    with pytest.raises(ContentError, match="too large"):
        referrers.merge(None, [entry("a", annotations={"a": "x" * referrers.MAX_LIST})])


NAMES = st.lists(st.sampled_from("abcdefgh"), max_size=8)


@given(first=NAMES, second=NAMES, third=NAMES)
def test_merging_is_the_union_in_any_order(first: list[str], second: list[str], third: list[str]) -> None:
    """Two who add to the same list end with the same entries, whoever came first; adding again changes nothing."""

    def merged(*parts: list[str]) -> RawManifest | None:
        held = listing(*(entry(name) for name in dict.fromkeys(first)))
        for part in parts:
            held = referrers.merge(held, [entry(name) for name in part]) or held
        return held

    one, other = merged(second, third), merged(third, second)
    assert one is not None
    assert other is not None
    assert digests(one) == digests(other) == {str(Digest.of(name.encode())) for name in first + second + third}
    assert referrers.merge(one, [entry(name) for name in second + third]) is None


def digests(found: RawManifest) -> set[str]:
    entries = [one["digest"] for one in json.loads(found.body)["manifests"]]
    assert len(entries) == len(set(entries))
    return set(entries)
