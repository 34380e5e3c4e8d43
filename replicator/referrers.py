"""What belongs to an image without being part of it: the tags it goes by, and lists of referrers. Pure.

A registry without the referrers API lists them in an index under a tag of the subject's digest (distribution-spec
"Referrers Tag Schema"). Cosign keeps signatures, attestations and SBOMs under tags of its own.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from replicator import strict_json
from replicator.errors import ContentError, Reason
from replicator.model import Descriptor, Digest, MediaType, RawManifest, Reference, Tag

MAX_LIST = 4 * 1024 * 1024
"""Largest list of referrers that is written, bytes; registries refuse larger manifests."""
MAX_REFERRERS = 1000
"""Most referrers of one subject."""
_FALLBACK = re.compile(r"(sha256|sha512)-([0-9a-f]{64})")
_COSIGN = re.compile(r"sha256-[0-9a-f]{64}\.(?:sig|att|sbom)")
_COSIGN_ENDS = ("sig", "att", "sbom")


def fallback_tag(subject: Digest) -> Tag:
    """Return the tag under which referrers of `subject` are listed; a long digest is cut."""
    return Tag(f"{subject.algorithm}-{subject.encoded[:64]}")


def subject_of(tag: Reference) -> Digest | None:
    """Return the digest whose referrers the fallback `tag` lists, None where it does not tell all of that."""
    found = None if isinstance(tag, Digest) else _FALLBACK.fullmatch(tag)
    return Digest("sha256", found[2]) if found is not None and found[1] == "sha256" else None


def cosign_tags(subject: Digest) -> tuple[Tag, ...]:
    """Return the tags under which cosign keeps what belongs to `subject`."""
    if subject.algorithm != "sha256":
        return ()
    return tuple(Tag(f"{fallback_tag(subject)}.{end}") for end in _COSIGN_ENDS)


def is_fallback_tag(reference: Reference) -> bool:
    """Say whether `reference` is a tag that lists referrers."""
    return not isinstance(reference, Digest) and _FALLBACK.fullmatch(reference) is not None


def is_cosign_tag(reference: Reference) -> bool:
    """Say whether `reference` is one of cosign's tags."""
    return not isinstance(reference, Digest) and _COSIGN.fullmatch(reference) is not None


def entry_of(manifest: RawManifest) -> dict[str, Any]:
    """Return the descriptor by which a list names `manifest` (distribution-spec "Pushing Manifests with Subject").

    Raises ContentError for a body that is no JSON object.
    """
    body = _document(manifest)
    config = body.get("config")
    artifact_type = body.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else None)
    annotations = body.get("annotations")
    entry: dict[str, Any] = {
        "mediaType": manifest.media_type,
        "digest": str(manifest.digest),
        "size": len(manifest.body),
    }
    if isinstance(artifact_type, str):
        entry["artifactType"] = artifact_type
    if isinstance(annotations, dict) and annotations:
        entry["annotations"] = annotations
    return entry


def merge(held: RawManifest | None, entries: Iterable[Mapping[str, Any]]) -> RawManifest | None:
    """Return the list `held` with `entries` added, None when it names them all already.

    What it held stays as it was, in its order. Raises ContentError when it would become too large to be written.
    """
    body: dict[str, Any] = (
        {"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX.value, "manifests": []}
        if held is None
        else _document(held)
    )
    there = list(body.get("manifests") or [])
    named = {entry.get("digest") for entry in there if isinstance(entry, dict)}
    added = {entry["digest"]: dict(entry) for entry in entries if entry["digest"] not in named}
    if not added:
        return None
    return _list_of({**body, "manifests": [*there, *added.values()]})


def without(held: RawManifest, gone: Iterable[Digest]) -> RawManifest:
    """Return the list `held` without entries that name what is `gone`."""
    body, texts = _document(held), {str(digest) for digest in gone}
    kept = [
        entry for entry in body.get("manifests") or [] if not (isinstance(entry, dict) and entry["digest"] in texts)
    ]
    return _list_of({**body, "manifests": kept})


def is_list(descriptor: Descriptor | RawManifest, subject: Digest | None) -> bool:
    """Say whether what a fallback tag names is a list: an OCI index, not the subject itself (GitLab)."""
    return descriptor.media_type == MediaType.OCI_INDEX and descriptor.digest != subject


def _list_of(body: Mapping[str, Any]) -> RawManifest:
    data = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    if len(body["manifests"]) > MAX_REFERRERS or len(data) > MAX_LIST:
        raise ContentError(
            f"a list of {len(body['manifests'])} referrers and {len(data)} bytes is too large to be written",
            registry="",
            reason=Reason.UNSUPPORTED,
        )
    return RawManifest(MediaType.OCI_INDEX, Digest.of(data), data)


def _document(manifest: RawManifest) -> dict[str, Any]:
    try:
        body = strict_json.loads(manifest.body, limit=2 * MAX_LIST)
    except strict_json.Invalid as error:
        raise ContentError(f"manifest {manifest.digest}: {error}", registry="", reason=Reason.UNSUPPORTED) from error
    if not isinstance(body, dict):
        raise ContentError(f"manifest {manifest.digest} is not an object", registry="", reason=Reason.UNSUPPORTED)
    return body
