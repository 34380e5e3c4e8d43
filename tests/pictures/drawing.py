"""Drawing charts with matplotlib, which is installed by `make pictures` only: nothing else imports this module."""

import re
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from tests.pictures.chart import Chart, Scale, Span, scale

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa0a6",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "path.simplify_threshold": 0.3,
    # The same data make the same bytes.
    "svg.hashsalt": "replicator",
    # Text as text: small files, and words that can be searched for.
    "svg.fonttype": "none",
}
_COLORS = ("#3274d9", "#56a64b", "#e0842f", "#a352cc", "#00a3a3", "#b8860b", "#7d7d7d")
_SHADES = ("#fff4d6", "#fde0dd")
_NAMED = {"text": "#444444", "red": "#d62728"}
_INCHES = 9.6, 3.3
_HEADROOM = 1.18
"""Room above the curves for the words of spans."""


def draw(charts: Sequence[Chart], spans: Sequence[Span], file: Path, title: str) -> None:
    """Draw charts side by side, spans shaded behind them; those of one unit have one scale, so they compare.

    The file's suffix chooses its kind; `title` is what it says of itself.
    """
    alike = len({chart.unit for chart in charts}) == 1
    with rc_context(_STYLE):
        figure = Figure(figsize=_INCHES, layout="constrained")
        places = figure.subplots(1, len(charts), squeeze=False, sharey=alike)[0]
        for place, chart in zip(places, charts, strict=True):
            top = max(one.top for one in charts if one.unit == chart.unit)
            _chart(place, chart, scale(chart.unit, top))
            _shade(place, spans)
        for place in places[:1] if alike else places:
            place.set_ylim(0, place.get_ylim()[1] * _HEADROOM)
        figure.savefig(file, metadata={"Title": title} | _UNDATED[file.suffix])
    if file.suffix == ".svg":
        file.write_text(_PATH.sub(_shortened, file.read_text()))


_PATH = re.compile(r' d="[^"]*"')
_FRACTION, _SPACE = re.compile(r"\d+\.\d+"), re.compile(r"\s*\n([A-Za-z]?) *")
_UNDATED: dict[str, dict[str, Any]] = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def _shortened(path: re.Match[str]) -> str:
    """Return a path in tenths of a point and without needless space: half the size, and nobody can see it."""
    return _SPACE.sub(r"\1", _FRACTION.sub(lambda number: f"{float(number[0]):.1f}", path[0]))


def _chart(place: Any, chart: Chart, unit: Scale) -> None:
    place.set_title(chart.title, loc="left", fontsize=10.5, fontweight="bold")
    place.set_ylabel(unit.says)
    place.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    place.set_axisbelow(True)
    colors = cycle(_COLORS)
    scaled = {curve.name: [value * unit.factor for value in curve.values] for curve in chart.curves}
    plain = {name: values for name, values in scaled.items() if name not in chart.dashed}
    if chart.stacked:
        _stack(place, chart.times, plain)
    else:
        for name, values in plain.items():
            color = next(colors)
            place.plot(chart.times, values, label=name, color=color, linewidth=1.4)
            place.fill_between(chart.times, values, color=color, alpha=0.08, linewidth=0)
    for name, color in chart.dashed.items():
        place.plot(chart.times, scaled[name], label=name, color=_NAMED[color], linewidth=1.2, linestyle=(0, (5, 4)))
    place.set_ylim(bottom=0)
    place.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=chart.unit == "short"))
    place.set_xlim(chart.times[0], chart.times[-1])
    place.xaxis.set_major_locator(MultipleLocator(30))
    place.xaxis.set_major_formatter(FuncFormatter(_minutes))
    place.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4, frameon=False)


def _stack(place: Any, times: Sequence[float], series: dict[str, list[float]]) -> None:
    below = [0.0] * len(times)
    for color, (name, values) in zip(cycle(_COLORS), series.items(), strict=False):
        # What has no sample yet has not happened yet.
        above = [low + (value if value > 0 else 0.0) for low, value in zip(below, values, strict=True)]
        place.fill_between(times, below, above, label=name, color=color, alpha=0.45, linewidth=0)
        place.plot(times, above, color=color, linewidth=0.9)
        below = above


def _shade(place: Any, spans: Sequence[Span]) -> None:
    for color, span in zip(cycle(_SHADES), spans, strict=False):
        place.axvspan(span.start, span.end, color=color, zorder=0, linewidth=0)
        middle, across = (span.start + span.end) / 2, place.get_xaxis_transform()
        place.text(middle, 0.98, span.says, transform=across, ha="center", va="top", fontsize=8, color="#7a5c00")


def _minutes(seconds: float, _: int) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
