"""What each kind of Distribution event becomes; bodies are written out as both code lines send them."""

import json
from typing import Any

import pytest

from replicator.intake.formats.decoded import Decoded, Irrelevance, Irrelevant
from replicator.intake.formats.distribution import decode
from replicator.intake.formats.fields import MAX_EVENTS
from replicator.model import Change, ChangeKind, Digest, Repository, Tag

LIMIT = 8 << 20
HEX = "4e" * 32
DIGEST = Digest("sha256", HEX)
IMAGE = "application/vnd.oci.image.manifest.v1+json"
HERE = "https://registry.test/v2/shop/cart"


def target(**changes: Any) -> dict[str, Any]:
    base = {
        "mediaType": IMAGE,
        "digest": str(DIGEST),
        "size": 700,
        "length": 700,
        "repository": "shop/cart",
        "url": f"{HERE}/manifests/{DIGEST}",
        "tag": "v7",
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not ...}


def event(action: Any = "push", **changes: Any) -> dict[str, Any]:
    base = {
        "id": "event-1",
        "timestamp": "2024-05-06T07:08:09.123456789Z",
        "action": action,
        "target": target(),
        "request": {
            "id": "r",
            "addr": "198.51.100.7:40000",
            "host": "registry.test",
            "method": "PUT",
            "useragent": "t",
        },
        "actor": {},
        "source": {"addr": "node:5000", "instanceID": "i"},
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not ...}


def read(*events: Any) -> Decoded:
    return decode(json.dumps({"events": list(events)}, indent=3).encode(), {}, limit=LIMIT)


def one(decoded: Decoded) -> Change:
    assert not decoded.irrelevant
    assert not decoded.unreadable
    (change,) = decoded.changes
    return change


def test_a_push_by_tag_names_tag_digest_host_time_and_id() -> None:
    assert one(read(event())) == Change(
        kind=ChangeKind.PUSH,
        repository=Repository("shop/cart"),
        reference=Tag("v7"),
        digest=DIGEST,
        happened_at=1714979289 + 0.123456789,
        host="registry.test",
        event_id="event-1",
    )


@pytest.mark.parametrize("tag", [..., "", None])
def test_a_push_by_digest_names_the_digest(tag: Any) -> None:
    change = one(read(event(target=target(tag=tag))))
    assert change.reference == DIGEST
    assert change.digest == DIGEST


@pytest.mark.parametrize("digest", [..., "", None])
def test_a_push_that_tells_no_digest_names_the_tag_alone(digest: Any) -> None:
    change = one(read(event(target=target(digest=digest))))
    assert (change.reference, change.digest) == (Tag("v7"), None)


def test_sha512_digests_are_read() -> None:
    digest = Digest("sha512", "0f" * 64)
    assert one(read(event(target=target(digest=str(digest))))).digest == digest


@pytest.mark.parametrize(
    "blob",
    [
        {"mediaType": "application/octet-stream", "url": f"{HERE}/blobs/{DIGEST}"},
        {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "url": f"{HERE}/blobs/{DIGEST}"},
        {"mediaType": "application/octet-stream", "url": f"{HERE}/blobs/{DIGEST}?ns=x"},
        {"mediaType": "application/octet-stream", "url": ...},
        {"mediaType": "application/octet-stream", "url": ""},
    ],
)
def test_pushed_blobs_are_irrelevant(blob: dict[str, Any]) -> None:
    assert read(event(target=target(tag=..., **blob))).irrelevant == (Irrelevant(Irrelevance.BLOB),)


@pytest.mark.parametrize("repository", ["shop/blobs", "blobs/shop", "blobs"])
def test_a_repository_may_be_called_blobs(repository: str) -> None:
    url = f"https://registry.test/v2/{repository}/manifests/{DIGEST}"
    untagged = event(target=target(repository=repository, url=url, tag=...))
    assert one(read(untagged)).repository == repository


def test_a_tagged_push_is_never_taken_for_a_blob() -> None:
    odd = target(mediaType="application/octet-stream", url=f"{HERE}/blobs/{DIGEST}")
    assert one(read(event(target=odd))).reference == "v7"


@pytest.mark.parametrize(
    ("action", "why"),
    [("pull", Irrelevance.PULL), ("mount", Irrelevance.MOUNT), ("quarantine", Irrelevance.ACTION)],
)
def test_other_actions_are_irrelevant(action: str, why: Irrelevance) -> None:
    assert read(event(action)) == Decoded(irrelevant=(Irrelevant(why),))


def test_a_deleted_tag_with_the_empty_strings_of_version_3() -> None:
    change = one(
        read(event("delete", target={"mediaType": "", "digest": "", "size": 0, "repository": "a", "tag": "t"}))
    )
    assert (change.kind, change.reference, change.digest) == (ChangeKind.DELETE, Tag("t"), None)


@pytest.mark.parametrize("more", [{}, {"mediaType": "", "size": 0}])
def test_a_deleted_digest(more: dict[str, Any]) -> None:
    change = one(read(event("delete", target={"digest": str(DIGEST), "repository": "a", **more})))
    assert (change.kind, change.reference) == (ChangeKind.DELETE, DIGEST)


def test_a_deleted_repository_is_irrelevant() -> None:
    assert read(event("delete", target={"repository": "a"})).irrelevant == (Irrelevant(Irrelevance.REPOSITORY),)


def test_a_batch_is_sorted_out_and_keeps_its_order() -> None:
    events = [event(target=target(tag=f"v{number}")) for number in range(3)]
    decoded = read(events[0], event("pull"), events[1], {"action": "push"}, events[2])
    assert [change.reference for change in decoded.changes] == ["v0", "v1", "v2"]
    assert len(decoded.irrelevant) == 1
    assert len(decoded.unreadable) == 1


def test_an_empty_batch_says_nothing() -> None:
    assert read() == Decoded()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/vnd.docker.distribution.events.v1+json"},
        {"Content-Type": "application/vnd.docker.distribution.events.v2+json; charset=utf-8"},
        {"Content-Type": "text/plain"},
    ],
)
def test_the_content_type_does_not_matter(headers: dict[str, str]) -> None:
    body = json.dumps({"events": [event()]}).encode()
    assert len(decode(body, headers, limit=LIMIT).changes) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-05-06T07:08:09Z", 1714979289.0),
        ("2024-05-06t07:08:09z", 1714979289.0),
        ("2024-05-06T09:08:09+02:00", 1714979289.0),
        ("2024-05-06T00:08:09.5-07:00", 1714979289.5),
        ("2024-05-06T07:08:09.000000001Z", 1714979289.000000001),
        ("2016-12-31T23:59:60Z", 1483228800.0),
        ("0001-01-01T00:00:00Z", None),
        ("2024-13-06T07:08:09Z", None),
        ("2024-05-06T07:08:09", None),
        ("2024-05-06T07:08:09+99:00", None),
        ("٢٠٢٤-05-06T07:08:09Z", None),
        ("yesterday", None),
        ("", None),
        (1714979289, None),
        (None, None),
        (..., None),
    ],
)
def test_times_are_unix_seconds_and_a_wrong_one_loses_no_change(text: Any, seconds: float | None) -> None:
    happened_at = one(read(event(timestamp=text))).happened_at
    assert happened_at == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


@pytest.mark.parametrize("request_", [..., None, {}, {"host": ""}, "text", []])
def test_a_missing_host_is_none(request_: Any) -> None:
    assert one(read(event(request=request_))).host is None


def test_what_is_only_shown_is_cut() -> None:
    change = one(read(event(id="i" * 9_999, request={"host": "h" * 9_999})))
    assert len(change.event_id) <= 256
    assert len(change.host or "") <= 256


@pytest.mark.parametrize(
    "bad",
    [
        event(...),
        event(None),
        event(7),
        event(target=...),
        event(target="x"),
        event(target=target(repository=...)),
        event(target=target(repository="")),
        event(target=target(repository="../../etc")),
        event(target=target(repository="Shop/Cart")),
        event(target=target(repository="a" * 256)),
        event(target=target(repository="a\n")),
        event(target=target(repository=["a"])),
        event(target=target(tag="v 7")),
        event(target=target(tag="v7\x00")),
        event(target=target(tag="..%2f")),
        event(target=target(tag="t" * 129)),
        event(target=target(tag=7)),
        event(target=target(tag="\x1b[31m")),
        event(target=target(digest="sha256:../../x")),
        event(target=target(digest=f"sha256:{HEX.upper()}", tag=...)),
        event(target=target(digest=f"md5:{HEX[:32]}", tag=...)),
        event(target=target(digest=..., tag=...)),
        event("delete", target={"digest": "", "tag": "", "repository": ""}),
        event(id={"a": 1}),
        "text",
        None,
        [],
        7,
    ],
)
def test_an_event_that_cannot_be_understood_is_unreadable_and_hides_no_other(bad: Any) -> None:
    decoded = read(event(), bad)
    assert len(decoded.changes) == 1
    assert not decoded.irrelevant
    (unreadable,) = decoded.unreadable
    assert 0 < len(unreadable.reason) < 300
    assert unreadable.reason.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe{",
        b"\xef\xbb\xbf{}",
        b"null",
        b"[]",
        b"{}",
        b'{"events": null}',
        b'{"events": {}}',
        b'{"events": []',
        b'{"events": [], "events": []}',
        b'{"events": [NaN]}',
        b'{"events": [' + b"9" * 5_000 + b"]}",
        b"[" * 100_000,
        b'{"events":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        json.dumps({"events": [None] * (MAX_EVENTS + 1)}).encode(),
        b'{"events": []' + b" " * LIMIT + b"}",
    ],
    ids=range(17),
)
def test_a_body_that_cannot_be_read_is_unreadable_as_a_whole(body: bytes) -> None:
    decoded = decode(body, {}, limit=LIMIT)
    assert not decoded.changes
    assert not decoded.irrelevant
    assert len(decoded.unreadable) == 1
    assert decoded.unreadable[0].reason.isprintable()
