"""From a panel to a chart: its own expressions, put to Prometheus over the time of the story."""

import re
from collections.abc import Mapping

from tests.monitoring.choices import chosen
from tests.pictures.catalogue import Shown
from tests.pictures.chart import Chart, Curve, dashed, on_grid
from tests.support.prometheus import Prometheus

STEP = 2.0
"""Seconds between two points of a curve."""
WINDOW = "15s"
"""What rates are taken over: seven scrapes."""


async def chart(prometheus: Prometheus, shown: Shown, start: float, end: float) -> Chart:
    """Ask for all that the panel shows from `start` to `end` (Unix seconds).

    Parts of a stack that are 0 all the time are left out: there is nothing to see of them.
    """
    panel = shown.panel()
    moments = [start + STEP * number for number in range(int((end - start) / STEP) + 1)]
    curves: list[Curve] = []
    for target in panel.targets:
        expression = chosen(target.expr, replica=shown.replica, window=WINDOW)
        found = await prometheus.over(expression, moments[0], moments[-1], step=STEP)
        curves += [Curve(_named(target.legend, one.labels), on_grid(one.samples, moments)) for one in found]
    if not curves:
        raise AssertionError(f"{shown.heading}: Prometheus has nothing to show")
    return Chart(
        title=shown.heading,
        unit=panel.unit,
        stacked=panel.stacked,
        times=tuple(moment - start for moment in moments),
        curves=tuple(one for one in curves if not (panel.stacked and one.empty)),
        dashed=dashed(panel.overrides),
    )


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)
