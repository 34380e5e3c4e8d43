"""What is drawn, as data: a panel's curves on one grid of time, and in which unit they are best read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MEBI = 1024.0 * 1024.0


@dataclass(frozen=True, slots=True)
class Curve:
    """A series by the name that the panel's legend gives it; NaN where it has no sample."""

    name: str
    values: tuple[float, ...]

    @property
    def empty(self) -> bool:
        """True when it is never above 0."""
        return not any(value > 0 for value in self.values)


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel: `times` are seconds since the beginning, `dashed` the colours of curves that others are held to."""

    title: str
    unit: str
    stacked: bool
    times: tuple[float, ...]
    curves: tuple[Curve, ...]
    dashed: Mapping[str, str]

    @property
    def top(self) -> float:
        """The highest value of a single curve."""
        return max((value for curve in self.curves for value in curve.values if value >= 0), default=0.0)


@dataclass(frozen=True, slots=True)
class Span:
    """Something that was so from `start` to `end` (seconds since the beginning), in a few words."""

    start: float
    end: float
    says: str


@dataclass(frozen=True, slots=True)
class Scale:
    """What values are multiplied with, and what they are then."""

    factor: float
    says: str


def scale(unit: str, top: float) -> Scale:
    """Return how values of a panel's unit are best read when the highest is `top`. Raises KeyError: unknown unit."""
    if unit == "s" and top < 1:
        return Scale(1000.0, "ms")
    return {
        "s": Scale(1.0, "s"),
        "opm": Scale(1.0, "per minute"),
        "binBps": Scale(1 / _MEBI, "MiB/s"),
        "short": Scale(1.0, ""),
    }[unit]


def dashed(overrides: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the series that a panel's overrides draw as dashed lines, with their colours."""
    found = {}
    for override in overrides:
        properties = {one["id"]: one["value"] for one in override["properties"]}
        if "custom.lineStyle" in properties:
            found[override["matcher"]["options"]] = properties["color"]["fixedColor"]
    return found


def on_grid(samples: Sequence[tuple[float, float]], moments: Sequence[float]) -> tuple[float, ...]:
    """Return the value at each of the moments; NaN where there is no sample within a millisecond."""
    values = {round(moment, 3): value for moment, value in samples}
    return tuple(values.get(round(moment, 3), float("nan")) for moment in moments)
