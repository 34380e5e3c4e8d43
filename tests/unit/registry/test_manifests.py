"""Manifests: full Accept, raw bytes, every word of the registry checked (F1-F9, S8)."""

import hashlib

import pytest
from aiohttp import web

from replicator.errors import (
    AccessDenied,
    ContentError,
    ManifestBlobUnknown,
    ManifestNotTaken,
    NotFound,
    Reason,
    RegistryError,
)
from replicator.model import ACCEPTED_MANIFESTS, Descriptor, Digest, RawManifest
from replicator.registry.capabilities import Capability
from replicator.registry.client import RegistryClient
from tests.unit.registry.scripted import MANIFEST_TYPE, TAG, TEAM, Handler, Say, Script, error, manifest_answer

BODY = b'{ "schemaVersion": 2,\n "odd":  "spacing" }'
DIGEST = Digest.of(BODY)
RAW = RawManifest(MANIFEST_TYPE, DIGEST, BODY)
STAT = Descriptor(MANIFEST_TYPE, DIGEST, len(BODY))
BY_TAG = "/v2/team/app/manifests/v1"
ABSENT = Say(404, {"Content-Type": "application/json"})


async def test_f1_every_type_is_accepted_in_one_list_on_reads_and_none_on_writes(
    script: Script, client: RegistryClient
) -> None:
    script.on("HEAD", BY_TAG, Say(404, {"Docker-Distribution-Api-Version": "registry/2.0"}))
    script.on("GET", BY_TAG, manifest_answer(BODY))
    script.on("PUT", BY_TAG, Say(201))
    await client.stat_manifest(TEAM, TAG)
    await client.read_manifest(TEAM, TAG)
    await client.write_manifest(TEAM, TAG, RAW)
    head, get, put = script.seen
    assert head.headers["Accept"] == get.headers["Accept"] == ", ".join(ACCEPTED_MANIFESTS)
    assert "Accept" not in put.headers
    assert head.headers["Accept-Encoding"] == put.headers["Accept-Encoding"] == "identity"


async def test_f4_the_bytes_and_the_type_are_written_as_they_were_read(
    script: Script, client: RegistryClient
) -> None:
    script.on("GET", BY_TAG, manifest_answer(BODY, f"{MANIFEST_TYPE}; charset=utf-8"))
    script.on("PUT", "/v2/", Say(201, {"Docker-Content-Digest": str(DIGEST)}))
    found = await client.read_manifest(TEAM, TAG)
    assert found == RAW
    await client.write_manifest(TEAM, DIGEST, found)
    (put,) = script.asked("PUT")
    assert (put.target, put.body) == (f"/v2/team/app/manifests/{DIGEST}", BODY)
    assert put.headers["Content-Type"] == MANIFEST_TYPE


async def test_f2_a_complete_head_is_enough(script: Script, client: RegistryClient) -> None:
    script.on("HEAD", BY_TAG, manifest_answer(BODY))
    assert await client.stat_manifest(TEAM, TAG) == STAT
    assert not script.asked("GET")


def head_without(*missing: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": MANIFEST_TYPE, "Docker-Content-Digest": str(DIGEST), "Content-Length": "41"}
        response = web.StreamResponse(headers={k: v for k, v in headers.items() if k not in missing})
        if "Content-Type" in missing:
            response.headers["Content-Type"] = "text/plain"
        if "Content-Length" in missing:
            response.enable_chunked_encoding()
        await response.prepare(request)
        return response

    return answer


@pytest.mark.parametrize(
    "head",
    [
        head_without("Docker-Content-Digest"),
        head_without("Content-Length"),
        head_without("Content-Type"),
        manifest_answer(BODY, **{"Docker-Content-Digest": "sha256:nonsense"}),
        Say(405),
        Say(403),
        Say(404),
        Say(404, {"Content-Type": "text/html"}),
        Say(501),
        Say(412),
    ],
)
async def test_f2_a_head_that_does_not_tell_is_followed_by_a_get(
    script: Script, client: RegistryClient, head: Say | Handler
) -> None:
    script.on("HEAD", BY_TAG, head)
    script.on("GET", BY_TAG, manifest_answer(BODY))
    assert await client.stat_manifest(TEAM, TAG) == STAT
    assert len(script.asked("GET")) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_f2_trouble_is_not_asked_twice(script: Script, client: RegistryClient, status: int) -> None:
    script.on("HEAD", BY_TAG, Say(status, {"Retry-After": "600"}))
    with pytest.raises(RegistryError) as caught:
        await client.stat_manifest(TEAM, TAG)
    assert caught.value.temporary
    assert not script.asked("GET")


@pytest.mark.parametrize(
    ("get", "kind"),
    [
        (Say(404, {"Content-Type": "text/html"}, b"<html>not found</html>"), RegistryError),
        (Say(200, {"Content-Type": "text/html"}, b"<html>welcome</html>"), ContentError),
        (error(403, "DENIED"), AccessDenied),
        (error(503, "UNAVAILABLE"), RegistryError),
    ],
)
async def test_f9_absence_is_only_what_a_registry_says(
    script: Script, client: RegistryClient, get: Say, kind: type[Exception]
) -> None:
    script.on("HEAD", BY_TAG, Say(get.status, {"Content-Type": "text/html"}))
    script.on("GET", BY_TAG, get)
    with pytest.raises(kind):
        await client.stat_manifest(TEAM, TAG)


@pytest.mark.parametrize(
    "absent",
    [
        error(404, "MANIFEST_UNKNOWN"),
        error(404, "NAME_UNKNOWN"),
        error(404, "UNKNOWN", "artifact team/app:v1 not found"),
        Say(404),
        Say(404, {"Docker-Distribution-Api-Version": "registry/2.0"}, b"404 page not found"),
    ],
)
async def test_f9_a_positive_404_is_absence(script: Script, client: RegistryClient, absent: Say) -> None:
    script.on("HEAD", BY_TAG, Say(404, absent.headers))
    script.on("GET", BY_TAG, absent)
    assert await client.stat_manifest(TEAM, TAG) is None
    with pytest.raises(NotFound):
        await client.read_manifest(TEAM, TAG)


async def test_s8_other_bytes_than_the_digest_asked_for_are_refused(script: Script, client: RegistryClient) -> None:
    script.on("GET", "/v2/", manifest_answer(b'{"other": "manifest"}'))
    with pytest.raises(ContentError, match=str(DIGEST)) as caught:
        await client.read_manifest(TEAM, DIGEST)
    assert caught.value.reason == Reason.DIGEST_MISMATCH
    assert caught.value.registry == "replica"


async def test_f3_a_lying_digest_header_is_refused(script: Script, client: RegistryClient) -> None:
    lie = Digest.of(b"something else")
    script.on("GET", "/v2/", manifest_answer(BODY, **{"Docker-Content-Digest": str(lie)}))
    for reference in (TAG, DIGEST):
        with pytest.raises(ContentError, match=str(lie)):
            await client.read_manifest(TEAM, reference)


async def test_f3_a_head_that_names_another_digest_than_asked_for_is_not_believed(
    script: Script, client: RegistryClient
) -> None:
    script.on("HEAD", "/v2/", manifest_answer(b"{}"))
    script.on("GET", "/v2/", manifest_answer(BODY))
    assert await client.stat_manifest(TEAM, DIGEST) == STAT


async def test_f3_without_a_digest_header_the_bytes_are_hashed(script: Script, client: RegistryClient) -> None:
    script.on("GET", "/v2/", Say(200, {"Content-Type": MANIFEST_TYPE}, BODY))
    assert await client.read_manifest(TEAM, TAG) == RAW
    assert await client.read_manifest(TEAM, DIGEST) == RAW


async def test_b6a_a_sha512_registry_is_answered_in_sha512(script: Script, client: RegistryClient) -> None:
    digest = Digest("sha512", hashlib.sha512(BODY).hexdigest())
    script.on("GET", "/v2/", manifest_answer(BODY, **{"Docker-Content-Digest": str(digest)}))
    assert (await client.read_manifest(TEAM, TAG)).digest == digest
    assert (await client.read_manifest(TEAM, digest)).digest == digest
    assert (await client.read_manifest(TEAM, DIGEST)).digest == DIGEST


async def test_b6a_a_digest_header_of_an_algorithm_we_cannot_compute_is_refused(
    script: Script, client: RegistryClient
) -> None:
    script.on("GET", "/v2/", manifest_answer(BODY, **{"Docker-Content-Digest": "blake3:00"}))
    with pytest.raises(ContentError):
        await client.read_manifest(TEAM, TAG)


@pytest.mark.parametrize(
    "content_type", ["text/plain; charset=utf-8", "application/json", "application/octet-stream"]
)
async def test_f4_where_the_header_says_nothing_the_bodys_own_type_counts(
    script: Script, client: RegistryClient, content_type: str
) -> None:
    body = b'{"mediaType": "application/vnd.oci.image.index.v1+json"}'
    script.on("GET", "/v2/", manifest_answer(body, content_type))
    assert (await client.read_manifest(TEAM, TAG)).media_type == "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"{}"),
        ("text/plain", b'{"mediaType": 5}'),
        ("text/plain", b'{"mediaType": "a\\r\\nX-Evil: 1"}'),
        ("text/plain", b'{"mediaType": "a/b", "mediaType": "c/d"}'),
        ("application/json", b"not json"),
        ("nonsense", b"{}"),
    ],
)
async def test_f4_s19_without_any_usable_type_it_is_refused(
    script: Script, client: RegistryClient, content_type: str, body: bytes
) -> None:
    script.on("GET", "/v2/", manifest_answer(body, content_type))
    with pytest.raises(ContentError) as caught:
        await client.read_manifest(TEAM, TAG)
    assert caught.value.reason == Reason.UNSUPPORTED


async def test_f6_s9_a_manifest_over_8_mib_is_refused_without_reading_on(
    script: Script, client: RegistryClient
) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": MANIFEST_TYPE})
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1024 * 1024))
                sent += 1
        except ConnectionError:
            return response

    script.on("GET", "/v2/", endless)
    with pytest.raises(ContentError, match="larger than 8388608"):
        await client.read_manifest(TEAM, TAG)
    assert sent < 40


async def test_f6_a_manifest_of_exactly_8_mib_is_read(script: Script, client: RegistryClient) -> None:
    body = b"{" + b" " * (8 * 1024 * 1024 - 2) + b"}"
    script.on("GET", "/v2/", manifest_answer(body))
    assert (await client.read_manifest(TEAM, TAG)).digest == Digest.of(body)


@pytest.mark.parametrize("status", [200, 202])
async def test_f7_an_unusual_success_is_verified(script: Script, client: RegistryClient, status: int) -> None:
    script.on("PUT", "/v2/", Say(status))
    script.on("HEAD", "/v2/", manifest_answer(BODY), manifest_answer(b"{}"))
    await client.write_manifest(TEAM, TAG, RAW)
    with pytest.raises(RegistryError, match="does not hold") as caught:
        await client.write_manifest(TEAM, TAG, RAW)
    assert caught.value.temporary


async def test_f7_a_registry_that_stored_something_else_is_found_out(script: Script, client: RegistryClient) -> None:
    script.on("PUT", "/v2/", Say(201, {"Docker-Content-Digest": str(Digest.of(b"else"))}))
    with pytest.raises(ContentError, match="stored"):
        await client.write_manifest(TEAM, TAG, RAW)


async def test_a_manifest_whose_content_is_missing_has_an_error_of_its_own(
    script: Script, client: RegistryClient
) -> None:
    script.on("PUT", "/v2/", error(404, "MANIFEST_BLOB_UNKNOWN"))
    with pytest.raises(ManifestBlobUnknown):
        await client.write_manifest(TEAM, TAG, RAW)


@pytest.mark.parametrize(("held", "status"), [(BODY, 502), (BODY, 504)])
async def test_e5_a_proxy_that_gave_up_on_a_put_that_arrived_is_no_failure(
    script: Script, client: RegistryClient, held: bytes, status: int
) -> None:
    script.on("PUT", "/v2/", Say(status))
    script.on("HEAD", "/v2/", manifest_answer(held))
    await client.write_manifest(TEAM, TAG, RAW)
    script.on("HEAD", "/v2/", manifest_answer(b"{}"))
    with pytest.raises(RegistryError) as caught:
        await client.write_manifest(TEAM, TAG, RAW)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("answer", "look", "is_about_the_manifest"),
    [
        (error(500, "UNKNOWN"), ABSENT, True),
        (error(500, "UNKNOWN"), manifest_answer(b"{}"), True),
        (error(500, "UNKNOWN"), error(500, "UNKNOWN"), False),
        (Say(500, {"Content-Type": "text/html"}, b"<html>"), ABSENT, False),
        (Say(500, {}, b'{"errors":[]}'), ABSENT, False),
        (Say(502), ABSENT, False),
    ],
)
async def test_e1_a_server_error_about_a_manifest_is_told_from_a_registry_in_trouble(
    script: Script, client: RegistryClient, answer: Say, look: Say, *, is_about_the_manifest: bool
) -> None:
    """It is when the registry says it in its own words and answers the look that follows."""
    script.on("PUT", "/v2/", answer)
    script.on("HEAD", "/v2/", look)
    script.on("GET", "/v2/", look)
    with pytest.raises(RegistryError) as caught:
        await client.write_manifest(TEAM, TAG, RAW)
    assert isinstance(caught.value, ManifestNotTaken) is is_about_the_manifest
    assert (caught.value.reason, caught.value.temporary) == (Reason.SERVER_ERROR, True)


async def test_u8_a_put_whose_answer_is_lost_is_looked_up(script: Script, client: RegistryClient) -> None:
    async def lost(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    script.on("PUT", "/v2/", lost)
    script.on("HEAD", "/v2/", manifest_answer(BODY))
    await client.write_manifest(TEAM, TAG, RAW)
    script.on("HEAD", "/v2/", Say(404, {"Content-Type": "application/json"}))
    with pytest.raises(RegistryError) as caught:
        await client.write_manifest(TEAM, TAG, RAW)
    assert (caught.value.status, caught.value.temporary, caught.value.reason) == (0, True, Reason.NETWORK)


async def test_h3_a_put_is_never_repeated_behind_our_back(script: Script, client: RegistryClient) -> None:
    """Not even over a connection that was kept: meanwhile the tag may have been moved by somebody else."""

    async def lost(request: web.Request) -> web.StreamResponse:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    script.on("GET", "/v2/", manifest_answer(BODY))
    script.on("PUT", "/v2/", lost)
    script.on("HEAD", "/v2/", manifest_answer(b"{}"))
    await client.read_manifest(TEAM, TAG)
    with pytest.raises(RegistryError):
        await client.write_manifest(TEAM, TAG, RAW)
    assert len(script.asked("PUT")) == 1


async def test_f6_a_manifest_of_several_mib_is_written(script: Script, client: RegistryClient) -> None:
    body = b"{" + b" " * 5_000_000 + b"}"
    script.on("PUT", "/v2/", Say(201))
    await client.write_manifest(TEAM, TAG, RawManifest(MANIFEST_TYPE, Digest.of(body), body))
    assert script.asked("PUT")[0].body == body


@pytest.mark.parametrize("answer", [Say(202), Say(200), Say(204), error(404, "MANIFEST_UNKNOWN"), Say(404)])
async def test_a_tag_that_is_gone_is_deleted(script: Script, client: RegistryClient, answer: Say) -> None:
    script.on("DELETE", BY_TAG, answer)
    await client.delete_tag(TEAM, TAG)
    assert client.capabilities.holds(Capability.TAG_DELETE) is None, "whether the manifest is left was not looked at"


@pytest.mark.parametrize(
    "answer", [error(400, "DIGEST_INVALID"), error(405, "UNSUPPORTED"), error(400, "UNSUPPORTED"), Say(405), Say(501)]
)
async def test_a_registry_that_removes_no_tags_is_known_from_its_first_refusal(
    script: Script, client: RegistryClient, answer: Say
) -> None:
    script.on("DELETE", BY_TAG, answer)
    for _ in range(2):
        with pytest.raises(RegistryError, match="removes no tags") as caught:
            await client.delete_tag(TEAM, TAG)
        assert (caught.value.reason, caught.value.temporary) == (Reason.UNSUPPORTED, False)
    assert client.capabilities.holds(Capability.TAG_DELETE) is False
    assert len(script.asked("DELETE")) == 1


@pytest.mark.parametrize("answer", [error(403, "DENIED"), Say(500), Say(404, {}, b"<html>"), error(400, "NO")])
async def test_another_failure_of_a_delete_says_nothing_about_tags(
    script: Script, client: RegistryClient, answer: Say
) -> None:
    script.on("DELETE", BY_TAG, answer)
    with pytest.raises(RegistryError):
        await client.delete_tag(TEAM, TAG)
    assert client.capabilities.holds(Capability.TAG_DELETE) is None
