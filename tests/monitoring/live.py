"""All that rules and dashboards ask, put to a real Prometheus: what has data, and what only when something fails."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grafana.generate import DASHBOARDS
from tests.monitoring.choices import chosen
from tests.monitoring.expressions import RULE_FILES, rules
from tests.support.eventually import eventually
from tests.support.prometheus import Prometheus, Series

REPLICA = "eu"


@dataclass(frozen=True, slots=True)
class Question:
    """One expression of a panel or a rule.

    `labels` are those that its legend names, `failing` says that it has data only when something is wrong.
    """

    where: str
    expression: str
    labels: frozenset[str]
    failing: bool


def questions() -> Iterator[Question]:
    """Yield every expression of every panel and rule, with choices made and windows as short as the test is."""
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard.panels():
            for target in panel.targets:
                expression = chosen(target.expr, replica=REPLICA, window="1m")
                labels = frozenset(re.findall(r"\{\{(\w+)\}\}", target.legend)) - {"le"}
                where = f"{name} {panel.number} {panel.title}: {target.legend}"
                yield Question(where, expression, labels, bool(target.only))
    for rule in rules():
        labels = frozenset(re.findall(r"\{\{ \$labels\.(\w+) \}\}", str(rule.annotations)))
        expression = rule.expression.replace("[10m]", "[3s]") if rule.alert else rule.expression
        yield Question(rule.name, expression, labels, rule.alert)


def rule_files(folder: Path) -> list[Path]:
    """Write the shipped rules as files that are evaluated as often as the rest, and return them."""
    made = []
    for file in RULE_FILES:
        copy = folder / file.name
        copy.write_text(re.sub(r"^    interval: \S+\n", "", file.read_text(), flags=re.MULTILINE))
        made.append(copy)
    return made


class Asker:
    """Puts the questions that have had no data yet, and remembers which had some."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._all = tuple(questions())
        self._had: set[Question] = set()

    def without(self, *, failing: bool) -> list[str]:
        """Return the places of the questions that had no data yet: of those that need a fault, or of the others."""
        return [one.where for one in self._all if one.failing == failing and one not in self._had]

    async def ask(self, *, failing: bool) -> list[str]:
        """Put those that had no data yet, and return the places that still have none."""
        for one in self._all:
            if one.failing == failing and one not in self._had and await self._has_data(one):
                self._had.add(one)
        return self.without(failing=failing)

    async def until(self, wanted: Iterable[str], *, within: float = 30.0) -> None:
        """Return when all questions about failures whose place begins with one of these have had data."""
        beginnings = tuple(wanted)
        assert any(one.where.startswith(beginnings) for one in self._all), beginnings
        await self._until(beginnings, failing=True, within=within)

    async def until_all_that_need_no_failure(self, *, within: float = 20.0) -> None:
        """Return when all questions that do not need a failure have had data."""
        await self._until(("",), failing=False, within=within)

    async def _until(self, beginnings: tuple[str, ...], *, failing: bool, within: float) -> None:
        async def none_left() -> bool:
            return not [where for where in await self.ask(failing=failing) if where.startswith(beginnings)]

        try:
            await eventually(none_left, within=within, what=f"Prometheus has data for {beginnings}")
        except AssertionError as error:
            # Beside the reason, which may be another than time: a label that is missing, a query that is refused.
            left = [where for where in self.without(failing=failing) if where.startswith(beginnings)]
            error.add_note("without data: " + "; ".join(left))
            raise

    async def _has_data(self, question: Question) -> bool:
        found = [one for one in await self._prometheus.query(question.expression) if _is_number(one)]
        for series in found:
            missing = question.labels - series.labels.keys()
            if missing:
                raise AssertionError(f"{question.where}: its series have no {sorted(missing)}: {series.labels}")
        return bool(found)


def _is_number(series: Series) -> bool:
    return not math.isnan(series.value)
