"""Deliveries that ask for nothing: what each sender says of a pull, or of something else that is not replicated."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Final

from replicator.settings import json_paths
from replicator.settings.generic import GenericFormat
from replicator.settings.json_paths import Every

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


def quiet_of(where: GenericFormat) -> Delivery | None:
    """Return a delivery as described that asks for nothing, None where every event would be a push."""
    events = () if where.events is None else json_paths.parse(where.events)
    if where.action is not None:
        followed = _NAME in (*where.pushes, *where.deletes)
        return None if followed else _delivery(_nested((*events, *json_paths.parse(where.action)), _NAME))
    if Every.ITEM not in events:
        return None
    # No event at all.
    return _delivery(_nested(tuple(takewhile(lambda step: step is not Every.ITEM, events)), []))


def _nested(path: json_paths.Path, value: Any) -> Any:
    for step in reversed(path):
        value = [value] if isinstance(step, Every) else {step: value}
    return value
