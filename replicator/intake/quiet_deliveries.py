"""Deliveries that ask for nothing: what each sender says of a pull, or of something else that is not replicated."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

_NAME: Final = "replicator-check"
_JSON: Final = MappingProxyType({"Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class Delivery:
    """A body with the headers that say what it is."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: _JSON)


def _delivery(document: Any, **headers: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Delivery(json.dumps(document).encode(), MappingProxyType({**_JSON, **named}))


_PULL: Final = _delivery(
    {"events": [{"id": _NAME, "action": "pull", "target": {"repository": _NAME}}]},
    Content_Type="application/vnd.docker.distribution.events.v2+json",
)
QUIET: Final[Mapping[str, Delivery]] = MappingProxyType({
    "acr": _delivery({"id": _NAME, "action": "ping"}),
    "auto": _PULL,
    "distribution": _PULL,
    "ecr": _delivery({"id": _NAME, "source": "aws.ecr", "detail-type": "ECR Image Scan", "detail": {}}),
    "eventgrid": _delivery([{"id": _NAME, "eventType": "Microsoft.ContainerRegistry.ChartPushed", "data": {}}]),
    "gar": _delivery({"action": "CHECK", "tag": f"{_NAME}:{_NAME}"}),
    "ghcr": _delivery({"zen": _NAME, "hook_id": 0}, X_GitHub_Event="ping"),
    "gitea": _delivery({"ref": _NAME}, X_Gitea_Event="push"),
    "gitlab": _PULL,
    "harbor": _delivery({"type": "PULL_ARTIFACT", "occur_at": 0, "operator": _NAME, "event_data": {}}),
    "jfrog": _delivery({"domain": "artifact", "event_type": "deployed", "data": {}}),
    "nexus": _delivery({"action": "CREATED", "component": {"format": "raw", "name": _NAME}}),
    "quay": _delivery({"repository": _NAME, "build_id": _NAME}),
    "zot": _delivery(
        {"name": _NAME},
        Ce_Id=_NAME,
        Ce_Source="zotregistry.dev",
        Ce_Specversion="1.0",
        Ce_Type="zotregistry.repository.created",
    ),
})  # fmt: skip  # one row a format
"""By format; the others (`aliyun`, `dockerhub`, `generic`, `sns`) have no event that means nothing."""
