"""The real Prometheus that tests run scrapes what it is told to, and answers."""

from pathlib import Path

import pytest
from aiohttp import web

from tests.support.prometheus import run_prometheus
from tests.support.web import serve


class Counting:
    """A target whose one gauge is raised by the test."""

    def __init__(self) -> None:
        self.value = 1

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(text=f"# TYPE height gauge\nheight {self.value}\n")


async def test_a_scrape_that_was_waited_for_shows_what_was_set_before(tmp_path: Path) -> None:
    target = Counting()
    app = web.Application()
    app.router.add_get("/metrics", target.page)
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "groups: [{name: all, rules: ["
        "{record: 'double:height', expr: 'height * 2'}, {alert: High, expr: 'height > 6'}]}]"
    )
    async with (
        serve(app) as url,
        run_prometheus(tmp_path, {"tower": url.removeprefix("http://")}, rules=[rules]) as prometheus,
    ):
        for height in (5, 6, 7):
            target.value = height
            await prometheus.scraped("tower")
            assert await prometheus.value('height{job="tower"}') == height
        await prometheus.until("double:height == 14")
        await prometheus.until('ALERTS{alertname="High", alertstate="firing"}')
        assert [alert["labels"]["alertname"] for alert in await prometheus.alerts()] == ["High"]
        (history,) = await prometheus.query("height[5m]")
        assert {value for _, value in history.samples} >= {5, 6, 7}
        with pytest.raises(AssertionError, match="0 series"):
            await prometheus.value("no_such_metric")
        with pytest.raises(AssertionError, match="parse error"):
            await prometheus.query("height[")
