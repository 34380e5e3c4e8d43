"""Dashboards: rows of panels, variables to choose by, and links to the other dashboard and to the runbooks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from grafana.panels import DOCS, SOURCE, Panel

_COLUMNS = 24
_ALL = {"text": "All", "value": "$__all"}


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its title; it comes once for each value of the variable `repeat`."""

    title: str
    panels: Sequence[Panel]
    repeat: str | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice among the values that a label of a metric has; several at once unless `single`."""

    name: str
    label: str
    metric: str
    of: str
    single: bool = False

    def json(self) -> dict[str, Any]:
        """Return it as Grafana keeps it."""
        query = f"label_values({self.metric}, {self.of})"
        several: dict[str, Any] = {"multi": True, "includeAll": True, "allValue": ".+", "current": _ALL}
        one: dict[str, Any] = {"multi": False, "includeAll": False, "current": {}}
        return {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": SOURCE,
            "query": {"qryType": 1, "query": query, "refId": f"variable-{self.name}"},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            **(one if self.single else several),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard; `links` are (uid, title) of others, which open with the same choices and time."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable]
    links: Sequence[tuple[str, str]]

    def panels(self) -> Iterator[Panel]:
        """Yield every panel."""
        for row in self.rows:
            yield from row.panels

    def json(self) -> dict[str, Any]:
        """Return it as Grafana keeps it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["replicator"],
            "schemaVersion": 39,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": [_DATASOURCE, *(one.json() for one in self.variables)]},
            "annotations": {"list": [_FIRING]},
            "links": [*(_dashboard_link(uid, title) for uid, title in self.links), _RUNBOOKS],
            "panels": list(self._placed()),
        }

    def _placed(self) -> Iterator[dict[str, Any]]:
        y = 0
        for number, row in enumerate(self.rows):
            yield _row_json(row, 900 + number, y)
            x, y = 0, y + 1
            height = 0
            for panel in row.panels:
                if x + panel.width > _COLUMNS:
                    x, y, height = 0, y + height, 0
                yield panel.json(x, y)
                x, height = x + panel.width, max(height, panel.height)
            y += height


_DATASOURCE: dict[str, Any] = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": "prometheus",
    "refresh": 1,
    "current": {},
}
_FIRING: dict[str, Any] = {
    "name": "Alerts",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertname=~"Replicator.*|RegistryNotificationsStuck", alertstate="firing"}',
    "titleFormat": "{{alertname}}",
    "textFormat": "{{replica}} {{reason}} {{endpoint}} {{instance}}",
    "step": "30s",
}
_RUNBOOKS: dict[str, Any] = {
    "type": "link",
    "title": "Runbooks",
    "icon": "doc",
    "url": f"{DOCS}/runbooks.md",
    "targetBlank": True,
}


def _dashboard_link(uid: str, title: str) -> dict[str, Any]:
    return {
        "type": "link",
        "title": title,
        "icon": "dashboard",
        "url": f"/d/{uid}",
        "keepTime": True,
        "includeVars": True,
    }


def _row_json(row: Row, number: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
        "panels": [],
        **({"repeat": row.repeat} if row.repeat else {}),
    }
