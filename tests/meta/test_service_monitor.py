"""The ServiceMonitor by a schema of our own: the kind is the Prometheus operator's, so Kubernetes has none for it.

The schema has the fields that such a file may need, as monitoring.coreos.com/v1 defines them; what it does not know
is refused, so a misspelt one is found.
"""

from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tests.meta.tree import ROOT

_FILES = ROOT / "config" / "container" / "kubernetes"
_Duration = Annotated[str, Field(pattern=r"^(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$", min_length=2)]
_Label = Annotated[
    str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
]


class Part(BaseModel):
    """A mapping of the file: keys in camelCase, no others than these."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Metadata(Part):
    """Name and labels."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
    namespace: str | None = None
    labels: dict[_Label, str] = {}


class Selector(Part):
    """Which Services are meant."""

    match_labels: dict[_Label, str]


class Endpoint(Part):
    """What is asked of each."""

    port: Annotated[str, Field(min_length=1, max_length=63)]
    path: Annotated[str, Field(pattern="^/")] = "/metrics"
    scheme: Literal["http", "https"] = "http"
    interval: _Duration | None = None
    scrape_timeout: _Duration | None = None


class Spec(Part):
    """Services and what is asked of them."""

    selector: Selector
    endpoints: Annotated[list[Endpoint], Field(min_length=1)]
    job_label: _Label | None = None
    target_labels: list[_Label] = []


class ServiceMonitor(Part):
    """The whole document."""

    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["ServiceMonitor"]
    metadata: Metadata
    spec: Spec


def read(name: str, kind: str) -> dict[str, Any]:
    found = (one for one in yaml.safe_load_all((_FILES / name).read_text()) if one["kind"] == kind)
    return dict(next(found))


def test_it_is_one_and_finds_the_service() -> None:
    monitor = ServiceMonitor.model_validate(read("monitoring.yaml", "ServiceMonitor"))
    service = read("deployment.yaml", "Service")
    assert monitor.spec.selector.match_labels.items() <= service["metadata"]["labels"].items()
    assert monitor.spec.job_label in service["metadata"]["labels"]
    named = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint.port for endpoint in monitor.spec.endpoints} <= named


@pytest.mark.parametrize(
    ("key", "value"),
    [("endpoint", []), ("endpoints", []), ("jobLabel", "no label"), ("endpoints", [{"port": 9464}])],
)
def test_a_mistake_is_found(key: str, value: object) -> None:
    document = read("monitoring.yaml", "ServiceMonitor")
    document["spec"][key] = value
    with pytest.raises(ValidationError):
        ServiceMonitor.model_validate(document)
