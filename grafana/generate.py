"""`python -m grafana.generate` (`make dashboards`): write the dashboards' JSON, which is committed."""

import json
from collections.abc import Mapping
from pathlib import Path

from grafana.dashboard import Dashboard
from grafana.replica import REPLICA
from grafana.replication import REPLICATION

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS: Mapping[str, Dashboard] = {"replication.json": REPLICATION, "replica.json": REPLICA}


def written(dashboard: Dashboard) -> str:
    """Return the text of a dashboard's file."""
    return json.dumps(dashboard.json(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, dashboard in DASHBOARDS.items():
        (FOLDER / name).write_text(written(dashboard))


if __name__ == "__main__":
    main()
