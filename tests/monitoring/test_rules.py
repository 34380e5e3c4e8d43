"""The rules and alerts in config/prometheus: what they do, and that nothing in them is made up."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.monitoring.expressions import (
    PROMETHEUS,
    RULE_FILES,
    RULE_TESTS,
    Rule,
    exported,
    metrics_in,
    recorded_in,
    rule_tests,
    rules,
    said,
)
from tests.support.processes import require_tool

REGISTRY_METRICS = {"registry_notifications_pending_total", "registry_notifications_events_total"}
"""Distribution 3's own; test_notification_metrics.py asks one for them."""
ALERTS = [rule for rule in rules() if rule.alert]


def promtool(*arguments: str | Path) -> None:
    """Run promtool; fail with what it says."""
    done = subprocess.run(
        [require_tool("promtool"), *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yaml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_rules_do_what_their_cases_say(file: Path) -> None:
    promtool("test", "rules", file)


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_stays_silent() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for case in rule_tests():
        looks = case.get("alert_rule_test", [])
        firing = {look["alertname"] for look in looks if look["exp_alerts"]}
        fires |= firing
        # Silent from beginning to end, not only before it fires.
        silent |= {look["alertname"] for look in looks} - firing
    names = {alert.name for alert in ALERTS}
    assert fires == names
    assert silent == names


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    sections = re.findall(r"^## (\w+)$", said(Path("docs/runbooks.md")), re.MULTILINE)
    assert sorted(sections) == sorted(alert.name for alert in ALERTS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_each_alert_says_what_it_is_and_where_to_look(alert: Rule) -> None:
    assert alert.labels["severity"] in {"page", "ticket"}
    assert alert.annotations.keys() == {"summary", "description", "dashboard_url", "runbook_url"}
    assert alert.annotations["runbook_url"].endswith(f"/runbooks.md#{alert.name.lower()}")
    table = said(Path("docs/monitoring.md"))
    assert f"| `{alert.name}` | {alert.labels['severity']} |" in table
    section = said(Path("docs/runbooks.md")).split(f"## {alert.name}\n", 1)[1]
    assert section.startswith(f"**{alert.labels['severity']}.**")


def test_every_metric_in_a_rule_is_exported_and_every_recorded_series_is_recorded() -> None:
    known = exported() | REGISTRY_METRICS
    recorded = {rule.name for rule in rules() if not rule.alert}
    for rule in rules():
        named = metrics_in(rule.expression) | recorded_in(rule.expression)
        assert named
        assert named - known - recorded == set(), rule.name


def test_every_recorded_series_is_explained() -> None:
    text = said(Path("docs/monitoring.md"))
    recorded = {rule.name for rule in rules() if not rule.alert}
    windows = {name for name in recorded if re.search(r":avg\d+[mhd]$", name)}
    assert [name for name in recorded - windows if f"`{name}`" not in text] == []
