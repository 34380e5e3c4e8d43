"""Explaining references of a real site: before the push, where it arrived, a replica that is down, no rule."""

import json
from pathlib import Path
from typing import Any

from tests.integration.commands import command
from tests.integration.site import Site, run_site
from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.images import push

IMAGE = make_image("explained", [3_000, 300])
RULES = [{"repositories": ["team/**"], "tags": ["v*"]}, {"repositories": ["team/tools"], "replicas": ["eu"]}]


async def explained(site: Site, ref: str, *more: str, code: int) -> dict[str, Any]:
    """Return the parts of the answer by replica; the command must end with `code`."""
    result = await command(site, "explain", ref, *more, "--json")
    assert result.exit_code == code, result.output
    document = json.loads(result.stdout)
    assert document["ok"] is (code == 0)
    return {one["replica"]: one for one in document["replicas"]}


def line_of_rules(site: Site) -> int:
    """Return the line on which the first rule stands in the daemon's file."""
    return site.daemon.config.read_text().splitlines().index("rules:") + 2


async def test_where_a_reference_is_and_why_not(tmp_path: Path) -> None:
    # What has failed once rests for as long as the test asks: while it is tried again, that is said instead.
    sections = {"rules": RULES, "retry": {"first": "10m", "max": "10m"}}
    async with run_site(tmp_path, sections=sections) as site:
        before = await explained(site, "team/app:v1", code=1)
        assert [one["verdict"] for one in before.values()] == ["gone", "gone"]
        site.replicas["us"].kill()
        await push(site.primary.url, "team/app", "v1", IMAGE)
        await site.arrived("team/app", "v1", IMAGE.digest, on=["eu"])
        found: dict[str, Any] = {}

        async def failed() -> bool:
            found.update(await explained(site, "team/app:v1", code=0))
            return bool(found["eu"]["queue"]["state"] == "clean" and found["us"]["queue"]["attempts"])

        await eventually(failed, what="it is settled on eu and has failed on us")
        eu, us = found["eu"], found["us"]
        assert (eu["verdict"], eu["rule"], eu["queue"]["have"]) == ("there", 1, str(IMAGE.digest))
        assert eu["rule_line"] == line_of_rules(site)
        assert (eu["look"]["digest"], eu["look"]["asked"], eu["look"]["lacking"]) == (str(IMAGE.digest), 4, 0)
        assert (us["verdict"], us["queue"]["reason"]) == ("coming", "network")
        assert us["queue"]["wanted"] == str(IMAGE.digest)
        assert us["queue"]["told_by"]
        assert us["next_at"] == us["queue"]["due_at"] is not None
        assert us["look"]["error"]

        async def told() -> str:
            shown = await command(site, "explain", "team/app:v1", "--replica", "us")
            assert shown.exit_code == 0
            return shown.stdout if "us: coming: failing: network" in shown.stdout else ""

        shown = await eventually(told, what="it has failed, and is not tried at this moment")
        for text in (
            f"team/app:v1 is {IMAGE.digest} on the primary.",
            f"  rule     1, on line {line_of_rules(site)} of the configuration\n",
            "Events about it, the newest first:\n",
        ):
            assert text in shown
        await told_of(site, us["queue"]["told_by"])
        await not_sent_by_rules(site)
        await without_a_daemon(site)


async def told_of(site: Site, delivery: str) -> None:
    """Ask for the events of the push, as text and as JSON."""
    before = (await command(site, "explain", "team/app:v1")).stdout.splitlines()
    (row,) = [line for line in before if f"push {IMAGE.digest}" in line]
    assert "  primary  " in row
    assert "  owed on 2  " in row
    assert row.endswith(f"  {delivery}")
    document = json.loads((await command(site, "explain", "team/app:v1", "--json")).stdout)
    events = [(one["endpoint"], one["kind"], one["digest"], one["owed"]) for one in document["events"]]
    assert events[-1] == ("primary", "push", str(IMAGE.digest), 2)
    assert 0 <= document["events"][-1]["received_at"] - document["events"][-1]["happened_at"] < 60


async def not_sent_by_rules(site: Site) -> None:
    """Ask for what no rule sends everywhere."""
    nowhere = await explained(site, "other/app:v1", code=1)
    assert {one["verdict"] for one in nowhere.values()} == {"no_rule"}
    assert [(one["rule"], one["reason"], one["patterns"]) for one in nowhere["us"]["refused"]] == [
        (1, "repositories", ["team/**"]),
        (2, "replicas", ["eu"]),
    ]
    tools = await explained(site, "team/tools:latest", code=1)
    assert [(one["verdict"], one["rule"]) for one in tools.values()] == [("gone", 2), ("no_rule", None)]
    shown = (await command(site, "explain", "team/tools:latest")).stdout
    assert f"not by   rule 1 (line {line_of_rules(site)}) is for other tags: v*" in shown
    assert "No event about it is kept." in shown
    assert "us: no rule: no rule sends it there" in shown


async def without_a_daemon(site: Site) -> None:
    """Ask again after the daemon ended, and something was lost on the replica that holds the image."""
    site.daemon.kill9()
    site.replicas["eu"].blob_file(IMAGE.layers[0].digest).unlink()
    shown = await command(site, "explain", "team/app:v1", "--replica", "eu")
    assert shown.exit_code == 1
    for text in (
        "No daemon is running",
        "eu: missing: it was settled there",
        "missing  1 of 4 parts",
        f"blob {IMAGE.layers[0].digest} ({IMAGE.layers[0].size} bytes)",
    ):
        assert text in shown.stdout
