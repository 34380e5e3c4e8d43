"""Harbor's list of artifacts with their tags: `GET /api/v2.0/projects/P/repositories/R/artifacts`. Pure.

A page has 100 artifacts at most, each with all its tags; further pages are told by `Link`. That API takes no tokens
of the registry's, so it is asked with user name and password.
"""

from urllib.parse import quote

from replicator.model import Repository, parse_repository
from replicator.registry import scope
from replicator.registry.authorizer import Challenged
from replicator.registry.capabilities import DigestList
from replicator.registry.http import LogIn
from replicator.registry.origin import Origin, Target
from replicator.registry.own_lists.form import Form, Told, in_a_project, list_of, mapping_of, told_of

_MOST = 100
_TAGGED = "with_tag=true&with_label=false&with_scan_overview=false&q=tags%3D*"
_TOKENS, _SERVICE, _BASIC = "/service/token", "harbor-registry", "harbor"


def first(origin: Origin, repository: Repository, size: int | None) -> Target:
    """Return the URL of the first page."""
    project, _, name = parse_repository(repository).partition("/")
    encoded = quote(quote(name, safe=""), safe="")
    pages = "" if size is None else f"&page=1&page_size={min(size, _MOST)}"
    return Target(origin, f"/api/v2.0/projects/{project}/repositories/{encoded}/artifacts", query=_TAGGED + pages)


def told(document: object, _: Repository) -> tuple[Told, ...]:
    """Return what a page tells. Raises NotAsExpected."""
    found: list[Told] = []
    for entry in list_of(document, "artifacts"):
        artifact = mapping_of(entry, "objects as artifacts")
        tags = [mapping_of(tag, "objects as tags") for tag in list_of(artifact.get("tags"), "tags")]
        found += (told_of(tag.get("name"), artifact.get("digest")) for tag in tags)
    return tuple(found)


def suits(challenged: Challenged) -> bool:
    """Say whether logins are asked for as Harbor does: with Basic of who sent a token that it does not take."""
    return (challenged.path, challenged.service) == (_TOKENS, _SERVICE) or challenged.basic == _BASIC


HARBOR = Form(
    kind=DigestList.HARBOR,
    first=first,
    scopes=scope.pull,
    suits=suits,
    told=told,
    reaches=in_a_project,
    log_in=LogIn.PASSWORD,
)
"""How Harbor tells digests."""
