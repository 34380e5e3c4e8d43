"""Deliveries of Amazon ECR through EventBridge: the event itself, or the CloudEvent that a transformer made of it."""

import re
from collections.abc import Iterator
from typing import Any

from replicator.intake.formats import cloud_events
from replicator.intake.formats.decoded import Irrelevance, Irrelevant, Outcome
from replicator.intake.formats.fields import (
    Unclear,
    as_object,
    digest,
    inner,
    reference,
    repository,
    rfc3339,
    short,
    tag,
    text,
)
from replicator.intake.formats.reading import Headers, decoder
from replicator.model import Change, ChangeKind

TRANSFORMED = "com.amazon.ecr.image."
"""What the types of transformed events begin with."""
_KINDS = {
    ("ECR Image Action", "PUSH"): ChangeKind.PUSH,
    ("ECR Image Action", "DELETE"): ChangeKind.DELETE,
    # The registry of the event's region was given an image by another one.
    ("ECR Replication Action", "REPLICATE"): ChangeKind.PUSH,
}
_TRANSFORMED_KINDS = {"push": ChangeKind.PUSH, "delete": ChangeKind.DELETE}
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_ARN = re.compile(r"(?:urn|arn):aws[a-z-]*:ecr:([a-z0-9-]{1,40}):([0-9]{12}):.*", re.DOTALL)


def read(document: Any, _headers: Headers) -> Iterator[Outcome]:
    """Yield what the event says."""
    if cloud_events.is_structured(document):
        yield _transformed(document)
        return
    event = as_object(document, "the body")
    if text(event, "source") != "aws.ecr":
        raise Unclear("the event is not one of Amazon ECR")
    detail = inner(event, "detail")
    kind = _KINDS.get((text(event, "detail-type"), text(detail, "action-type")))
    if kind is None:
        yield Irrelevant(Irrelevance.ACTION)
    elif text(detail, "result") != "SUCCESS":
        yield Irrelevant(Irrelevance.FAILED)
    else:
        yield _change(kind, event, detail)


def _change(kind: ChangeKind, event: dict[str, Any], detail: dict[str, Any]) -> Change:
    name, of_image = tag(detail, "image-tag"), digest(detail, "image-digest")
    return Change(
        kind=kind,
        repository=repository(detail, "repository-name"),
        reference=reference(name, of_image),
        digest=of_image,
        happened_at=rfc3339(event.get("time")),
        host=_host(text(event, "account"), text(event, "region")),
        event_id=short(event, "id"),
    )


def _transformed(document: Any) -> Outcome:
    event = cloud_events.structured(document)
    if not event.type.startswith(TRANSFORMED):
        raise Unclear("the event is not one of Amazon ECR")
    kind = _TRANSFORMED_KINDS.get(event.type.removeprefix(TRANSFORMED))
    if kind is None:
        return Irrelevant(Irrelevance.ACTION)
    data = as_object(event.data, "the event's data")
    name, of_image = tag(data, "imageTag"), digest(data, "imageDigest")
    region, account = match.groups() if (match := _ARN.fullmatch(event.source)) else ("", "")
    return Change(
        kind=kind,
        repository=repository(data, "repositoryName"),
        reference=reference(name, of_image),
        digest=of_image,
        happened_at=event.time,
        host=_host(account, region),
        event_id=event.id,
    )


def _host(account: str, region: str) -> str | None:
    """Return the registry's host, which no event spells out."""
    if not _ACCOUNT.fullmatch(account) or not _REGION.fullmatch(region):
        return None
    return f"{account}.dkr.ecr.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


decode = decoder(read)
