"""URLs of the API are made of names that follow the grammar, and of nothing else (S7, S19, M2)."""

import pytest

from replicator.errors import NameInvalid, SettingsError
from replicator.model import Digest, Repository, Tag
from replicator.registry.endpoint import Endpoint, quoted

HUB = Endpoint.of("https://docker.io")
OWN = Endpoint.of("https://reg.example.com:5000/")
DIGEST = Digest.of(b"")


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "a b", "a\r\nX: y", "a\x00", "A", "a?n=1", "a#b", "a%2f", "\u0661", "", "a\n"]
)
def test_s7_s19_a_name_that_breaks_the_grammar_never_becomes_a_url(name: str) -> None:
    for make in (OWN.uploads, OWN.tags, OWN.named):
        with pytest.raises(NameInvalid):
            make(Repository(name))
    if name != "A":
        with pytest.raises(NameInvalid):
            OWN.manifest(Repository("a"), Tag(name))
    with pytest.raises(NameInvalid):
        OWN.blob(Repository("a"), Digest("sha256", name))


def test_urls_follow_the_spec() -> None:
    team = Repository("team/app")
    assert OWN.manifest(team, Tag("v1")).text == "https://reg.example.com:5000/v2/team/app/manifests/v1"
    assert OWN.manifest(team, DIGEST).text == f"https://reg.example.com:5000/v2/team/app/manifests/{DIGEST}"
    assert OWN.blob(team, DIGEST).text == f"https://reg.example.com:5000/v2/team/app/blobs/{DIGEST}"
    assert OWN.uploads(team).text == "https://reg.example.com:5000/v2/team/app/blobs/uploads/"
    assert OWN.tags(team).text == "https://reg.example.com:5000/v2/team/app/tags/list"
    assert OWN.catalog.text == "https://reg.example.com:5000/v2/_catalog"
    assert OWN.api.text == "https://reg.example.com:5000/v2/"


def test_m2_only_docker_hub_has_a_library() -> None:
    assert HUB.tags(Repository("alpine")).text == "https://registry-1.docker.io/v2/library/alpine/tags/list"
    assert HUB.tags(Repository("team/app")).text == "https://registry-1.docker.io/v2/team/app/tags/list"
    assert OWN.named(Repository("alpine")) == "alpine"


@pytest.mark.parametrize(
    "url", ["reg.example.com", "https://reg/path", "https://u@reg/", "ftp://reg", "https://reg/?a"]
)
def test_what_is_no_registrys_url_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError):
        Endpoint.of(url)


def test_values_of_a_query_are_encoded() -> None:
    assert quoted(f"{DIGEST}/&=") == f"sha256%3A{DIGEST.encoded}%2F%26%3D"
