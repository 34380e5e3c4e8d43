"""URLs are split and joined without changing a byte of what the server signed (H4, U3), and strange ones refused."""

import pytest

from replicator.registry.origin import Origin, join, parse_url

BASE = "https://registry.example.com:5000/v2/a/blobs/uploads/x?_state=old%2Fa%3D"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("/v2/up?_state=a%2Fb%3D&x=%7E1", "https://registry.example.com:5000/v2/up?_state=a%2Fb%3D&x=%7E1"),
        ("y?sig=%2B+%20", "https://registry.example.com:5000/v2/a/blobs/uploads/y?sig=%2B+%20"),
        ("../z", "https://registry.example.com:5000/v2/a/blobs/z"),
        ("?_state=new", "https://registry.example.com:5000/v2/a/blobs/uploads/x?_state=new"),
        ("//cdn.example.com/p?q", "https://cdn.example.com/p?q"),
        ("https://cdn.example.com:8443/p%2F?a=b&a=c#part", "https://cdn.example.com:8443/p%2F?a=b&a=c"),
        ("HTTPS://CDN.Example.com/P", "https://cdn.example.com/P"),
        ("http://[::1]:80/x", "http://[::1]/x"),
    ],
)
def test_u3_a_location_means_what_it_says_byte_for_byte(reference: str, expected: str) -> None:
    base = parse_url(BASE)
    assert base is not None
    joined = join(base, reference)
    assert joined is not None
    assert joined.text == expected


def test_a_path_that_looks_like_a_host_is_a_path() -> None:
    base = parse_url("https://registry.example.com//[x/y")
    assert base is not None
    joined = join(base, "z")
    assert joined is not None
    assert (joined.origin, joined.path) == (base.origin, "/[x/z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://host/",
        "https://user@host/",
        "https://user:word@host/",
        "https://host\\@other/",
        "https:/host",
        "https://",
        "https://host:0/",
        "https://host:99999/",
        "https://host:/",
        "https://ho st/",
        "https://host/\r\nX: y",
        "https://host/\x00",
        "https://h%6fst/",
        "https://host%2fother/",
        "https://m\u00fcnchen/",
        "https://fe80::1%25eth0/",
        "https://-host/",
        "file:///etc/passwd",
        "/relative",
    ],
)
def test_s4_strange_urls_are_no_urls(text: str) -> None:
    assert parse_url(text) is None


def test_s18_showing_a_url_leaves_out_its_query() -> None:
    target = parse_url("https://storage.example.com/blob?X-Amz-Signature=canary")
    assert target is not None
    assert "canary" not in str(target)
    assert "canary" not in repr(target)
    assert target.text.endswith("canary")


def test_a_query_is_appended_to_what_is_there() -> None:
    plain, queried = parse_url("https://h/p"), parse_url("https://h/p?a=%2F")
    assert plain is not None
    assert queried is not None
    assert plain.with_query("digest=x").text == "https://h/p?digest=x"
    assert queried.with_query("digest=x").text == "https://h/p?a=%2F&digest=x"


def test_an_origin_is_scheme_host_and_port() -> None:
    assert str(Origin("https", "h", 443)) == "https://h"
    assert str(Origin("https", "h", 80)) == "https://h:80"
    assert str(Origin("http", "::1", 5000)) == "http://[::1]:5000"
