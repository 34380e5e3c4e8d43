"""The referrers API: what counts as a list, what as "there is none", and what as neither (R1, R2, S9)."""

import json

import pytest

from replicator.errors import AccessDenied, ContentError, Reason, ReferrersNotTold, RegistryError
from replicator.model import Descriptor, Digest, RawManifest, parse_tag
from replicator.registry.capabilities import Capability
from replicator.registry.client import RegistryClient
from tests.support.content import make_image
from tests.unit.registry.scripted import MANIFEST_TYPE, TEAM, Say, Script, client_for, error

SUBJECT = Digest.of(b"subject")
PATH = f"/v2/team/app/referrers/{SUBJECT}"
INDEX = "application/vnd.oci.image.index.v1+json"


def entry(name: str) -> dict[str, object]:
    return {"mediaType": MANIFEST_TYPE, "digest": str(Digest.of(name.encode())), "size": 3}


def page(*names: str, following: str = "", media_type: str = INDEX) -> Say:
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry(name) for name in names]}).encode()
    link = {"Link": f'<{following}>; rel="next"'} if following else {}
    return Say(200, {"Content-Type": media_type, **link}, body)


def descriptor(name: str) -> Descriptor:
    return Descriptor(MANIFEST_TYPE, Digest.of(name.encode()), 3)


async def test_r1_all_pages_are_read_and_the_api_is_known_from_then_on(
    script: Script, client: RegistryClient
) -> None:
    script.on("GET", f"{PATH}$", page("a", "b", following=f"{PATH}?next=1"))
    script.on("GET", rf"{PATH}\?next=1", page("b", "c", media_type=f"{INDEX}; charset=utf-8"))
    assert client.capabilities.holds(Capability.REFERRERS) is None
    assert await client.referrers(TEAM, SUBJECT) == tuple(map(descriptor, "abc"))
    assert client.capabilities.holds(Capability.REFERRERS) is True
    assert script.seen[0].headers["Accept"] == INDEX


async def test_r1_an_empty_list_is_a_list(script: Script, client: RegistryClient) -> None:
    script.on("GET", PATH, page())
    assert await client.referrers(TEAM, SUBJECT) == ()
    assert client.capabilities.holds(Capability.REFERRERS) is True


@pytest.mark.parametrize(
    "answer",
    [
        Say(404, {"Content-Type": "text/plain"}, b"404 page not found"),
        error(404, "NOT_FOUND"),
        error(404, "MANIFEST_UNKNOWN"),
        error(405, "UNSUPPORTED"),
        error(400, "NAME_INVALID"),
        error(406, "UNSUPPORTED"),
        Say(303, {"Location": "https://github.com/"}),
        Say(200, {"Content-Type": "text/html"}, b"<html>welcome</html>"),
        Say(200, {"Content-Type": "application/json"}, b"{}"),
    ],
)
async def test_r2_no_such_api_is_remembered(script: Script, client: RegistryClient, answer: Say) -> None:
    script.on("GET", PATH, answer)
    assert await client.referrers(TEAM, SUBJECT) is None
    assert client.capabilities.holds(Capability.REFERRERS) is False
    assert await client.referrers(TEAM, SUBJECT) is None
    assert len(script.seen) == 1


async def test_r2_a_repository_that_is_not_there_yet_says_nothing_of_the_api(
    script: Script, client: RegistryClient
) -> None:
    script.on("GET", PATH, error(404, "NAME_UNKNOWN"))
    assert await client.referrers(TEAM, SUBJECT) == ()
    assert client.capabilities.holds(Capability.REFERRERS) is None


@pytest.mark.parametrize("status", [403, 429, 500, 502, 503])
async def test_r2_trouble_is_an_error_and_nothing_is_learned(
    script: Script, client: RegistryClient, status: int
) -> None:
    script.on("GET", PATH, error(status, "TROUBLE", **{"Retry-After": "600"}))
    with pytest.raises(AccessDenied if status == 403 else RegistryError) as caught:
        await client.referrers(TEAM, SUBJECT)
    assert isinstance(caught.value, ReferrersNotTold) is (status in {500, 502, 503}), "the registry may be up"
    assert client.capabilities.holds(Capability.REFERRERS) is None


async def test_r2_a_redirect_is_not_followed(script: Script, elsewhere: Script, client: RegistryClient) -> None:
    script.on("GET", PATH, Say(303, {"Location": f"{elsewhere.url}/"}))
    assert await client.referrers(TEAM, SUBJECT) is None
    assert elsewhere.seen == []


async def test_s4_a_next_page_elsewhere_is_refused(script: Script, elsewhere: Script, client: RegistryClient) -> None:
    script.on("GET", PATH, page("a", following=f"{elsewhere.url}{PATH}"))
    with pytest.raises(RegistryError, match="another place"):
        await client.referrers(TEAM, SUBJECT)
    assert elsewhere.seen == []


async def test_s9_a_list_without_end_is_an_error(script: Script, client: RegistryClient) -> None:
    script.on("GET", PATH, page("a", following=PATH))
    with pytest.raises(RegistryError, match="does not come to an end"):
        await client.referrers(TEAM, SUBJECT)


async def test_s9_more_than_a_thousand_are_refused(script: Script, client: RegistryClient) -> None:
    script.on("GET", f"{PATH}$", page(*(f"a{n}" for n in range(600)), following=f"{PATH}?next=1"))
    script.on("GET", rf"{PATH}\?next=1", page(*(f"b{n}" for n in range(600))))
    with pytest.raises(ContentError, match="more than 1000 referrers"):
        await client.referrers(TEAM, SUBJECT)


async def test_s7_what_a_list_says_is_held_against_the_grammar(script: Script, client: RegistryClient) -> None:
    body = json.dumps({"schemaVersion": 2, "manifests": [{**entry("a"), "digest": "sha256:../../x"}]}).encode()
    script.on("GET", PATH, Say(200, {"Content-Type": INDEX}, body))
    with pytest.raises(ContentError):
        await client.referrers(TEAM, SUBJECT)


@pytest.mark.parametrize("indexes", [True, False])
async def test_f7_an_answer_that_names_the_subject_proves_the_api(script: Script, indexes: bool) -> None:
    image = make_image("signature", extra={"subject": entry("subject")})
    script.on("PUT", "/v2/team/app/manifests/", Say(201, {"OCI-Subject": str(SUBJECT)} if indexes else {}))
    async with client_for(script.url) as client:
        await client.write_manifest(TEAM, image.digest, RawManifest(image.media_type, image.digest, image.body))
        assert client.capabilities.holds(Capability.REFERRERS) is (True if indexes else None)


async def test_f3_schema_1_is_refused_by_its_name(script: Script, client: RegistryClient) -> None:
    """Its digest is that of a part of its bytes, which must not look like damage."""
    signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    script.on(
        "GET",
        "/v2/team/app/manifests/v1",
        Say(200, {"Content-Type": signed, "Docker-Content-Digest": str(SUBJECT)}, b'{"schemaVersion": 1}'),
    )
    with pytest.raises(ContentError, match="schema 1") as refused:
        await client.read_manifest(TEAM, parse_tag("v1"))
    assert refused.value.reason is Reason.UNSUPPORTED
