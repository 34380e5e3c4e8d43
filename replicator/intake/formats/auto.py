"""Tells senders apart by headers and keys that no other sender has, then reads the delivery as that sender's.

What fits several formats, or none, is unreadable: a guess could take a pull for a push, or miss a delete for good.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from replicator.intake.formats import (
    acr,
    aliyun,
    distribution,
    dockerhub,
    ecr,
    eventgrid,
    gar,
    ghcr,
    gitea,
    harbor,
    jfrog,
    nexus,
    quay,
    zot,
)
from replicator.intake.formats.decoded import Outcome
from replicator.intake.formats.fields import Unclear, header, inner_if_any
from replicator.intake.formats.reading import Headers, Reader, decoder

Body = Mapping[str, Any]

READERS: Final[Mapping[str, Reader]] = MappingProxyType({
    "acr": acr.read,
    "aliyun": aliyun.read,
    # GitLab's registry speaks it as well.
    "distribution": distribution.read,
    "dockerhub": dockerhub.read,
    "ecr": ecr.read,
    "eventgrid": eventgrid.read,
    "gar": gar.read,
    "ghcr": ghcr.read,
    "gitea": gitea.read,
    "harbor": harbor.read,
    "jfrog": jfrog.read,
    "nexus": nexus.read,
    "quay": quay.read,
    "zot": zot.read,
})  # fmt: skip  # one row a format
"""All formats that can be told apart."""
_CLOUD_EVENTS = {
    "harbor.": "harbor",
    zot.TYPES: "zot",
    "Microsoft.ContainerRegistry.": "eventgrid",
    "Microsoft.EventGrid.": "eventgrid",
    ecr.TRANSFORMED: "ecr",
}


def read(document: Any, headers: Headers) -> Iterator[Outcome]:
    """Yield what the delivery says. Raises Unclear when it is not plain whose it is."""
    if header(headers, "X-Amz-Sns-Message-Type"):
        raise Unclear("a message of Amazon SNS is only taken where its signature is checked")
    found = sorted({*_by_headers(headers), *_by_body(document)})
    if len(found) != 1:
        why = f"several formats fit: {', '.join(found)}" if found else "no format fits"
        raise Unclear(f"{why}; write the sender's format instead of auto")
    yield from READERS[found[0]](document, headers)


def _by_headers(headers: Headers) -> Iterator[str]:
    gitea_event = any(header(headers, f"{sender}-Event") for sender in gitea.SENDERS)
    if gitea_event:
        yield "gitea"
    elif header(headers, "X-GitHub-Event"):
        # Gitea sends this one too.
        yield "ghcr"
    if header(headers, "X-Nexus-Webhook-Id"):
        yield "nexus"
    if header(headers, "X-JFrog-Event-Auth"):
        yield "jfrog"
    if header(headers, "Aeg-Event-Type"):
        yield "eventgrid"
    if header(headers, "Ce-Type").startswith(zot.TYPES):
        yield "zot"


def _by_body(document: Any) -> Iterator[str]:
    if isinstance(document, list):
        if document and all(map(_is_of_event_grid, document)):
            yield "eventgrid"
    elif isinstance(document, dict):
        yield from (name for name, fits in _SHAPES.items() if fits(document))
        if "specversion" in document and isinstance(document.get("type"), str):
            yield from (name for start, name in _CLOUD_EVENTS.items() if document["type"].startswith(start))


def _is_of_event_grid(event: Any) -> bool:
    if not isinstance(event, dict):
        return False
    kind = event.get("eventType", event.get("type") if "specversion" in event else None)
    return isinstance(kind, str) and kind.startswith("Microsoft.")


def _is_acr(body: Body) -> bool:
    return {"id", "timestamp", "action", "target"} <= body.keys() and isinstance(body["target"], dict)


def _is_gar(body: Body) -> bool:
    if "subscription" in body:
        return "data" in inner_if_any(body, "message")
    names = [body.get(key) for key in ("tag", "digest")]
    unwrapped = "action" in body and body.keys() <= {"action", "tag", "digest"}
    return unwrapped and any(isinstance(name, str) and ".pkg.dev/" in name for name in names)


def _is_hub_like(body: Body, key: str) -> bool:
    return "push_data" in body and key in inner_if_any(body, "repository")


def _is_quay(body: Body) -> bool:
    return {"docker_url", "homepage"} <= body.keys() and bool({"updated_tags", *quay.MARKS} & body.keys())


def _is_github(body: Body) -> bool:
    return "action" in body and any("package_version" in inner_if_any(body, key) for key in ghcr.KEYS)


def _is_gitea(body: Body) -> bool:
    return "action" in body and {"type", "version", "creator"} <= inner_if_any(body, "package").keys()


_SHAPES: Mapping[str, Callable[[Body], bool]] = {
    "acr": _is_acr,
    "aliyun": lambda body: _is_hub_like(body, "repo_full_name"),
    "distribution": lambda body: isinstance(body.get("events"), list),
    "dockerhub": lambda body: _is_hub_like(body, "repo_name"),
    "ecr": lambda body: body.get("source") == "aws.ecr" and "detail-type" in body,
    "eventgrid": lambda body: "eventType" in body and _is_of_event_grid(body),
    "gar": _is_gar,
    "ghcr": _is_github,
    "gitea": _is_gitea,
    "harbor": lambda body: {"type", "occur_at", "event_data"} <= body.keys(),
    "jfrog": lambda body: {"domain", "event_type", "data"} <= body.keys(),
    "nexus": lambda body: {"nodeId", "repositoryName", "action"} <= body.keys(),
    "quay": _is_quay,
}


decode = decoder(read, form=True)
