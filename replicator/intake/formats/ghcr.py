"""Deliveries of GitHub about container packages (ghcr.io), as JSON or as a form; deletes are not told."""

from collections.abc import Iterator
from typing import Any

from replicator.errors import NameInvalid
from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import (
    Unclear,
    as_object,
    first_segment,
    header,
    inner,
    inner_if_any,
    reference,
    rfc3339,
    tag,
    text,
)
from replicator.intake.formats.reading import Headers, decoder
from replicator.model import Change, ChangeKind, Digest, parse_repository

KEYS = ("package", "registry_package")
"""Where the package is: the first in hooks of repositories and organisations, the second in those of GitHub Apps."""
_ACTIONS = {"published", "updated"}


def read(document: Any, headers: Headers) -> Iterator[Outcome]:
    """Yield what the event says."""
    body = as_object(document, "the body")
    event = header(headers, "X-GitHub-Event").lower()
    if event == "ping" or (not event and "zen" in body):
        yield Irrelevant(Irrelevance.PING)
    elif event and event not in KEYS:
        yield Irrelevant(Irrelevance.ACTION)
    else:
        key = next((key for key in KEYS if key in body), KEYS[0])
        yield _package(text(body, "action"), inner(body, key), header(headers, "X-GitHub-Delivery"))


def _package(action: str, package: dict[str, Any], delivery: str) -> Outcome:
    version = inner_if_any(package, "package_version")
    container = inner_if_any(version, "container_metadata")
    kinds = {kind for key in ("package_type", "ecosystem") if (kind := text(package, key).lower())}
    if not kinds and not container:
        raise Unclear("the package has no type")
    if "container" not in kinds and not container:
        return Irrelevant(Irrelevance.PACKAGE)
    if action not in _ACTIONS:
        return Irrelevant(Irrelevance.ACTION)
    tagged = inner_if_any(container, "tag")
    name = tag(tagged, "name")
    of_manifest = _digest(text(tagged, "digest"), text(version, "version"), text(version, "name"))
    return Change(
        kind=ChangeKind.PUSH,
        # Owners keep their capitals everywhere but in the registry.
        repository=parse_repository(f"{text(inner(package, 'owner'), 'login')}/{text(package, 'name')}".lower()),
        reference=reference(name, of_manifest),
        digest=of_manifest,
        happened_at=rfc3339(package.get("updated_at")),
        host=first_segment(text(version, "package_url")),
        event_id=delivery,
    )


def _digest(*names: str) -> Digest | None:
    """Return the first that is a digest. GitHub's own examples hold some that are none; a tag does without."""
    for name in names:
        try:
            return Digest.parse(name)
        except NameInvalid:
            continue
    return None


decode = decoder(read, form=True)
