"""Panels: what one shows, in a few words, and what Grafana wants to know of it.

Each selector asks for `$job` and `$instance`, rates are over `$__rate_interval`, and the data source is a variable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DOCS = "https://docs.example.com/replicator"
"""Stands for where the operator serves docs/ (docs/monitoring.md)."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
ALWAYS = ""
"""A target that has data as soon as a daemon runs."""

_GREEN, _ORANGE, _RED = "green", "orange", "red"


@dataclass(frozen=True, slots=True)
class Target:
    """One expression and the names of its series; `only` says when it has any, if not always."""

    expr: str
    legend: str
    only: str = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. `number` is its id, which alerts name, so it stays; `alerts` are those it explains.

    `limits` are (colour, from value) steps; `signed` values may lie below 0.
    """

    number: int
    title: str
    description: str
    unit: str
    targets: Sequence[Target]
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    stacked: bool = False
    alerts: Sequence[str] = ()
    links: Sequence[Mapping[str, Any]] = ()
    limits: Sequence[tuple[str, float | None]] = ((_GREEN, None),)
    mappings: Sequence[Mapping[str, Any]] = ()
    overrides: Sequence[Mapping[str, Any]] = ()
    signed: bool = False

    def json(self, x: int, y: int) -> dict[str, Any]:
        """Return it as Grafana keeps it, at this place of the grid."""
        return {
            "id": self.number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "links": [runbook(alert) for alert in self.alerts],
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit,
                    "custom": self._custom(),
                    "links": list(self.links),
                    "mappings": list(self.mappings),
                    "thresholds": {
                        "mode": "absolute",
                        "steps": [{"color": color, "value": value} for color, value in self.limits],
                    },
                    **({"min": 0} if self.kind == "timeseries" and not self.signed else {}),
                },
                "overrides": list(self.overrides),
            },
            "options": _OPTIONS[self.kind],
            "targets": [
                {
                    "refId": chr(ord("A") + number),
                    "datasource": SOURCE,
                    "expr": target.expr,
                    "legendFormat": target.legend,
                    "range": True,
                    **({"format": "heatmap"} if self.kind == "heatmap" else {}),
                }
                for number, target in enumerate(self.targets)
            ],
        }

    def _custom(self) -> dict[str, Any]:
        if self.kind == "state-timeline":
            return {"fillOpacity": 80, "lineWidth": 0}
        if self.kind != "timeseries":
            return {}
        custom: dict[str, Any] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if self.stacked else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
        }
        return custom


_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "value_and_name",
    },
    "state-timeline": {
        "showValue": "never",
        "mergeValues": True,
        "rowHeight": 0.9,
        "legend": _LEGEND | {"showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    },
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
        "yAxis": {"unit": "s", "axisPlacement": "left"},
        "rowsFrame": {"layout": "auto"},
        "legend": {"show": False},
        "tooltip": {"mode": "single", "yHistogram": False},
        "filterValues": {"le": 1e-9},
    },
}


def runbook(alert: str) -> dict[str, Any]:
    """Return a link to what to do about an alert."""
    return {"title": f"Runbook: {alert}", "url": f"{DOCS}/runbooks.md#{alert.lower()}", "targetBlank": True}


def dashed(series: str, color: str = _RED) -> dict[str, Any]:
    """Return an override that draws one series as a dashed line, such as an objective."""
    return {
        "matcher": {"id": "byName", "options": series},
        "properties": [
            {"id": "color", "value": {"mode": "fixed", "fixedColor": color}},
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.stacking", "value": {"mode": "none", "group": "B"}},
        ],
    }


def states(series: str, color: str) -> dict[str, Any]:
    """Return an override that paints the row of one state of a state timeline while it is 1."""
    shown = {
        "0": {"color": "transparent", "text": "no", "index": 0},
        "1": {"color": color, "text": "yes", "index": 1},
    }
    return {
        "matcher": {"id": "byName", "options": series},
        "properties": [{"id": "mappings", "value": [{"type": "value", "options": shown}]}],
    }


def budget_limits() -> tuple[tuple[str, float | None], ...]:
    """Return the colours of an error budget: red when it is used up, orange when little is left."""
    return ((_RED, None), (_ORANGE, 0.0), (_GREEN, 0.25))
