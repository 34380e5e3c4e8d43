"""What rules and dashboards say: their PromQL expressions, and the metrics that these name."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from replicator.observability import families
from tests.meta.tree import ROOT

PROMETHEUS = ROOT / "config" / "prometheus"
RULE_FILES = (PROMETHEUS / "recording.yaml", PROMETHEUS / "alerts.yaml")
RULE_TESTS = tuple(sorted((PROMETHEUS / "tests").glob("*.yaml")))

_NAME = re.compile(r"(?<![:\w])(?:replicator|registry|process)_[a-z0-9_]+(?![:\w])")
_RECORDED = re.compile(r"\b\w+:\w+:\w+\b")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name, its expression, and for an alert what else it says."""

    name: str
    expression: str
    alert: bool
    labels: dict[str, str]
    annotations: dict[str, str]


def rules() -> Iterator[Rule]:
    """Yield every rule that is shipped."""
    for file in RULE_FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            for one in group["rules"]:
                yield Rule(
                    one.get("alert") or one["record"],
                    one["expr"],
                    "alert" in one,
                    one.get("labels", {}),
                    one.get("annotations", {}),
                )


def rule_tests() -> Iterator[dict[str, Any]]:
    """Yield every case of `promtool test rules`."""
    for file in RULE_TESTS:
        yield from yaml.safe_load(file.read_text())["tests"]


def metrics_in(expression: str) -> set[str]:
    """Return the names of scraped metrics in an expression; those of a histogram's parts as the histogram's."""
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in _NAME.findall(expression)}


def recorded_in(expression: str) -> set[str]:
    """Return the names of recorded series in an expression."""
    return set(_RECORDED.findall(expression))


def exported() -> set[str]:
    """Return the names of all metrics that the daemon exports, as PromQL names them."""
    registry = CollectorRegistry()
    for name, one in vars(families).items():
        if name.endswith("Families") and name != "Families":
            one(registry)
    suffixes = {"counter": "_total", "info": "_info"}
    return {f"{family.name}{suffixes.get(family.type, '')}" for family in registry.collect()}


def said(path: Path) -> str:
    """Return the text of a file of the project."""
    return (ROOT / path).read_text()
