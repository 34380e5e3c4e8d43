"""The dashboards in grafana/: fresh, formed by the rules of Grafana's dashboard-linter, and about real metrics."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from grafana.dashboard import Dashboard
from grafana.generate import DASHBOARDS, FOLDER, written
from tests.meta.tree import ROOT
from tests.monitoring.expressions import Rule, exported, metrics_in, recorded_in, rules, said

SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
UNAGGREGATED = re.compile(r"(?<!rate\()(?<!increase\()\b\w+_(?:total|bucket|sum|count)\{")
FOREIGN = {"registry_notifications_pending_total"}
"""The registry's own: it has another job than the one that is chosen."""
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"}

DOCUMENTS = {name: json.loads((FOLDER / name).read_text()) for name in DASHBOARDS}
EACH = pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())


def panels(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def expressions(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in panels(document):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("name", "dashboard"), DASHBOARDS.items(), ids=DASHBOARDS.keys())
def test_what_is_committed_is_what_the_code_says(name: str, dashboard: Dashboard) -> None:
    assert (FOLDER / name).read_text() == written(dashboard), "make dashboards writes it anew"


def test_nothing_else_lies_among_the_dashboards() -> None:
    assert {path.name for path in FOLDER.iterdir()} == DASHBOARDS.keys()


@EACH
def test_the_data_source_the_job_and_the_instance_can_be_chosen(document: dict[str, Any]) -> None:
    variables = {one["name"]: one for one in document["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    for name in ("job", "instance"):
        variable = variables[name]
        assert variable["type"] == "query"
        assert variable["label"] == name.capitalize()
        assert variable["multi"] is True
        assert variable["includeAll"] is True
        assert variable["allValue"] == ".+"
    for variable in variables.values():
        if variable["type"] == "query":
            assert variable["refresh"] == 2, "reloaded when the time range changes"
            assert variable["datasource"]["uid"] == "${datasource}"
            metric = re.match(r"label_values\((\w+)", variable["definition"])
            assert metric is not None
            assert metric[1] in exported()


@EACH
def test_each_panel_says_what_it_shows_and_in_what_unit(document: dict[str, Any]) -> None:
    for panel in panels(document):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert target["legendFormat"], panel["title"]


@EACH
def test_each_expression_asks_for_the_chosen_job_and_instance_and_interval(document: dict[str, Any]) -> None:
    for title, expr in expressions(document):
        for name, labels in SELECTOR.findall(expr):
            assert 'job=~"$job"' in labels, title
            # Recorded series are of a job.
            assert ":" in name or 'instance=~"$instance"' in labels, title
        bare = metrics_in(SELECTOR.sub("", expr))
        assert bare - FOREIGN == set(), title
        assert set(re.findall(r"\[([^\]]*)\]", expr)) <= {"$__rate_interval"}, title
        assert not UNAGGREGATED.search(expr), f"{title}: a counter without rate or increase"


@EACH
def test_nobody_edits_what_is_generated(document: dict[str, Any]) -> None:
    assert document["editable"] is False


@EACH
def test_panels_have_numbers_and_places_of_their_own(document: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in document["panels"]]
    assert len(set(numbers)) == len(numbers)
    for one, other in combinations((panel["gridPos"] for panel in document["panels"]), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
        assert one["x"] + one["w"] <= 24


def test_every_metric_on_a_dashboard_is_exported_and_every_recorded_series_recorded() -> None:
    known = exported() | FOREIGN | PROCESS | {rule.name for rule in rules() if not rule.alert}
    for document in DOCUMENTS.values():
        for title, expr in expressions(document):
            assert (metrics_in(expr) | recorded_in(expr)) - known == set(), title


def test_every_metric_is_on_a_dashboard_in_a_rule_or_said_to_be_in_neither() -> None:
    used = {metric for rule in rules() for metric in metrics_in(rule.expression)}
    for document in DOCUMENTS.values():
        used |= {metric for _, expr in expressions(document) for metric in metrics_in(expr)}
    section = said(Path("docs/metrics.md")).split("## In no rule and on no dashboard\n", 1)[1]
    neither = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    assert exported() - used - neither == set()
    assert neither & used == set()
    assert neither - exported() == set()


@pytest.mark.parametrize("rule", [rule for rule in rules() if rule.alert], ids=lambda rule: rule.name)
def test_an_alert_leads_to_a_panel_and_the_panel_to_the_runbook(rule: Rule) -> None:
    link = urlsplit(rule.annotations["dashboard_url"].replace("{{ $labels.", "").replace(" }}", ""))
    uid = link.path.removeprefix("/d/")
    document = next(one for one in DOCUMENTS.values() if one["uid"] == uid)
    asked = parse_qs(link.query)
    number = int(asked.pop("viewPanel")[0])
    panel = next(one for one in panels(document) if one["id"] == number)
    assert rule.annotations["runbook_url"] in [link["url"] for link in panel["links"]]
    variables = {one["name"] for one in document["templating"]["list"]}
    assert {name.removeprefix("var-") for name in asked} <= variables
    assert ("$labels.replica" in rule.annotations["summary"]) == ("var-replica" in asked)


def test_dashboards_link_to_each_other() -> None:
    uids = {document["uid"] for document in DOCUMENTS.values()}
    for document in DOCUMENTS.values():
        linked = {link["url"].removeprefix("/d/") for link in document["links"] if link["url"].startswith("/d/")}
        assert linked == uids - {document["uid"]}


def test_grafana_is_told_where_dashboards_and_data_are() -> None:
    provisioning = ROOT / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "replicator.yaml").read_text())["providers"]
    assert provider["folder"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] in said(Path("docs/monitoring.md"))
