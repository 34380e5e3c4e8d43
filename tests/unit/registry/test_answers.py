"""What a registry's answer means: which family, why, whether to try again, and when (E1-E3, F9)."""

import json

import pytest

from replicator.errors import AccessDenied, ManifestBlobUnknown, NotFound, Reason, RegistryError, Withheld
from replicator.registry.answers import ERROR_BODY, Fields, Reply, failure, is_own_word, refusal_of, retry_after
from replicator.registry.origin import Origin, Target

NOW = 1_700_000_000.0
TARGET = Target(Origin("https", "reg.example.com", 443), "/v2/team/app/x", "token=canary")


def body_of(code: str = "", message: str = "") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def failed(status: int, body: bytes = b"", operation: str = "blob_read", **headers: str) -> RegistryError:
    fields = Fields((name.replace("_", "-"), value) for name, value in headers.items())
    return failure("replica", operation, Reply(TARGET, status, fields, body), now=NOW)


@pytest.mark.parametrize(("text", "length"), [("0", 0), ("9" * 19, 10**19 - 1), ("9" * 5000, None), ("-1", None)])
def test_s9_a_length_is_a_number_of_bytes_or_nothing(text: str, length: int | None) -> None:
    assert Fields([("Content-Length", text)]).length() == length


@pytest.mark.parametrize(
    ("status", "code", "operation", "kind", "reason", "temporary"),
    [
        (401, "UNAUTHORIZED", "blob_read", AccessDenied, Reason.AUTH, False),
        (403, "DENIED", "blob_read", AccessDenied, Reason.AUTH, False),
        (404, "MANIFEST_UNKNOWN", "manifest_read", NotFound, Reason.NOT_FOUND, False),
        (404, "BLOB_UNKNOWN", "blob_read", NotFound, Reason.NOT_FOUND, False),
        (404, "UNKNOWN", "manifest_read", NotFound, Reason.NOT_FOUND, False),
        (404, "MANIFEST_BLOB_UNKNOWN", "manifest_write", ManifestBlobUnknown, Reason.NOT_FOUND, True),
        (400, "MANIFEST_BLOB_UNKNOWN", "manifest_write", ManifestBlobUnknown, Reason.NOT_FOUND, True),
        (400, "BLOB_UNKNOWN", "manifest_write", ManifestBlobUnknown, Reason.NOT_FOUND, True),
        (404, "MANIFEST_UNKNOWN", "manifest_write", ManifestBlobUnknown, Reason.NOT_FOUND, True),
        (404, "NAME_UNKNOWN", "upload_start", NotFound, Reason.NOT_FOUND, False),
        (404, "BLOB_UPLOAD_UNKNOWN", "upload_send", NotFound, Reason.NOT_FOUND, True),
        (400, "NAME_UNKNOWN", "blob_read", NotFound, Reason.NOT_FOUND, False),
        (400, "DIGEST_INVALID", "upload_send", RegistryError, Reason.DIGEST_MISMATCH, True),
        (400, "SIZE_INVALID", "upload_send", RegistryError, Reason.DIGEST_MISMATCH, True),
        (400, "DIGEST_INVALID", "manifest_delete", RegistryError, Reason.UNSUPPORTED, False),
        (400, "MANIFEST_INVALID", "manifest_write", RegistryError, Reason.UNSUPPORTED, False),
        (400, "TAG_INVALID", "manifest_write", RegistryError, Reason.CONFLICT, False),
        (400, "", "manifest_write", RegistryError, Reason.OTHER, False),
        (405, "UNSUPPORTED", "upload_start", RegistryError, Reason.UNSUPPORTED, False),
        (409, "TAG_IMMUTABLE", "manifest_write", RegistryError, Reason.CONFLICT, False),
        (413, "", "manifest_write", RegistryError, Reason.UNSUPPORTED, False),
        (416, "", "upload_send", RegistryError, Reason.OTHER, True),
        (408, "", "blob_read", RegistryError, Reason.TIMEOUT, True),
        (425, "", "blob_read", RegistryError, Reason.OTHER, True),
        (412, "PROJECTPOLICYVIOLATION", "manifest_stat", Withheld, Reason.CONFLICT, False),
        (412, "PROJECTPOLICYVIOLATION", "manifest_read", Withheld, Reason.CONFLICT, False),
        (412, "PRECONDITION", "manifest_write", RegistryError, Reason.CONFLICT, False),
        (429, "TOOMANYREQUESTS", "blob_read", RegistryError, Reason.RATE_LIMITED, True),
        (500, "UNKNOWN", "blob_read", RegistryError, Reason.SERVER_ERROR, True),
        (502, "", "blob_read", RegistryError, Reason.SERVER_ERROR, True),
        (503, "", "blob_read", RegistryError, Reason.SERVER_ERROR, True),
        (504, "", "blob_read", RegistryError, Reason.SERVER_ERROR, True),
        (522, "", "blob_read", RegistryError, Reason.SERVER_ERROR, True),
        (507, "", "upload_send", RegistryError, Reason.QUOTA, True),
        (501, "", "upload_send", RegistryError, Reason.UNSUPPORTED, False),
        (302, "", "upload_start", RegistryError, Reason.OTHER, False),
        (200, "", "upload_start", RegistryError, Reason.OTHER, False),
    ],
)
def test_e2_status_first_then_code(
    status: int, code: str, operation: str, kind: type[RegistryError], reason: Reason, temporary: bool
) -> None:
    error = failed(status, body_of(code), operation)
    assert type(error) is kind
    assert (error.reason, error.temporary, error.status, error.code) == (reason, temporary, status, code)
    assert error.registry == "replica"


@pytest.mark.parametrize("status", [400, 403, 413])
def test_e2_a_quota_is_no_lack_of_rights(status: int) -> None:
    error = failed(status, body_of("DENIED", "Quota exceeded when processing the request"), "upload_start")
    assert (type(error), error.reason, error.temporary) == (RegistryError, Reason.QUOTA, False)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>502 Bad Gateway</html>",
        b"",
        b"null",
        b'{"errors": null}',
        b'{"errors": "x"}',
        b'{"errors": [1, null, {}]}',
        b'{"errors": [{"code": null, "message": 5}]}',
        b"[" * 100_000,
        b'{"errors":[],"errors":[]}',
        b"\xff\xfe",
        b'{"errors": [{"code":"' + b"x" * ERROR_BODY + b'"}]}',
    ],
)
def test_e1_a_body_that_cannot_be_read_does_not_matter(body: bytes) -> None:
    error = failed(500, body)
    assert error.reason == Reason.SERVER_ERROR
    assert error.code == ""


def test_e1_artifactory_writes_status_for_code() -> None:
    assert refusal_of(b'{"errors":[{"status":404,"message":"m"}]}').codes == ("404",)


def test_f9_what_was_not_found_is_kept_in_the_words_of_the_registry() -> None:
    """Harbor has one code for all of it."""
    error = failed(404, body_of("NOT_FOUND", "artifact team/app@sha256:00 not found"), "manifest_read")
    assert isinstance(error, NotFound)
    assert error.said == "artifact team/app@sha256:00 not found"
    assert isinstance(silent := failed(404), NotFound)
    assert silent.said == ""


def test_f9_a_404_that_no_registry_wrote_is_not_absence() -> None:
    for body in (b"<html>404 Not Found</html>", b"default backend - 404"):
        error = failed(404, body)
        assert type(error) is RegistryError
        assert error.temporary
        assert "is the URL right?" in str(error)
    assert isinstance(failed(404, b""), NotFound)
    assert isinstance(failed(404, b"gone", Docker_Distribution_Api_Version="registry/2.0"), NotFound)


def test_s17_the_servers_words_are_escaped_and_cut() -> None:
    error = failed(400, body_of("CODE\r\nX", "line\r\n\x1b[31mred" + "x" * 10_000))
    text = str(error)
    assert text.isprintable()
    assert len(text) < 700


def test_s18_the_query_of_a_url_is_never_shown() -> None:
    assert "canary" not in str(failed(500))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("0", 1.0),
        ("100000", 900.0),
        ("9" * 400, 900.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tue, 14 Nov 2023 20:00:00 GMT", 1.0),
        ("Tue, 14 Nov 2033 20:00:00 GMT", 900.0),
        ("-5", None),
        ("Tue, 14 Nov 99999999999999999999 20:00:00 GMT", None),
        ("Tue, 14 Nov 2023 22:13:50 +99999999999999999999", None),
        ("soon", None),
        ("\u0665", None),
        ("", None),
    ],
)
def test_e3_retry_after_is_seconds_or_a_date_and_bounded(text: str, seconds: float | None) -> None:
    assert retry_after(Fields([("Retry-After", text)]), now=NOW) == seconds


def test_e3_retry_after_travels_with_the_error() -> None:
    assert failed(429, Retry_After="7").retry_after == 7.0
    assert failed(503, Retry_After="8").retry_after == 8.0
    assert failed(429).retry_after is None


@pytest.mark.parametrize(
    ("body", "headers", "own"),
    [
        (body_of("UNKNOWN"), (), True),
        (body_of("UNKNOWN"), (("Retry-After", "30"),), False),
        (body_of(), (), False),
        (b'{"errors":[]}', (), False),
        (b"<html>", (), False),
        (b"", (("Docker-Distribution-Api-Version", "registry/2.0"),), False),
    ],
)
def test_an_answer_to_what_was_asked_is_told_from_trouble(
    body: bytes, headers: tuple[tuple[str, str], ...], *, own: bool
) -> None:
    assert is_own_word(Reply(TARGET, 500, Fields(headers), body)) is own
