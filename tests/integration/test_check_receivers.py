"""`check` over real sockets: receivers of notifications that take a test message, refuse it, or are not there."""

import json
from pathlib import Path
from typing import Any

import anyio.to_thread
import yaml
from aiohttp import web
from click.testing import CliRunner, Result

from replicator.cli.main import main
from tests.support.arrivals import KEY, SECRET, Arrivals, run_arrivals
from tests.support.ports import Port


async def check(folder: Path, arrivals: Arrivals, *options: str) -> Result:
    """Run the command beside the receivers of this loop."""
    port = Port()
    (folder / "whsec").write_text(SECRET)
    told = {"events": ["replicated", "late"], "secret_file": str(folder / "whsec")}
    config: dict[str, Any] = {
        "version": 1,
        "primary": {"url": f"http://127.0.0.1:{port.number}"},
        "replicas": [{"name": "eu", "url": f"http://127.0.0.1:{port.number}", "repository_prefix": "m/"}],
        "notify": [
            {"name": "deploy", "url": f"{arrivals.url}/deploy", **told},
            {"name": "chat", "url": f"{arrivals.url}/chat", **told},
            {"name": "away", "url": f"http://127.0.0.1:{port.number}/", **told},
        ],
    }
    file = folder / "replicator.yaml"
    file.write_text(yaml.safe_dump(config))
    try:
        return await anyio.to_thread.run_sync(CliRunner().invoke, main, ["-c", str(file), "check", *options])
    finally:
        port.release()


async def test_each_receiver_gets_one_signed_message_when_asked(tmp_path: Path) -> None:
    async with run_arrivals() as arrivals:
        arrivals.answers["/chat"] = lambda: web.Response(status=401)
        result = await check(tmp_path, arrivals, "--notify", "--json")
        found = {one["name"]: one for one in json.loads(result.stdout)["receivers"]}
        assert [(one["delivery"], one["ok"]) for one in found.values()] == [
            ("passed", True),
            ("failed", False),
            ("failed", False),
        ]
        assert found["chat"]["problem"] == "it answered 401"
        assert "the same secret" in found["chat"]["advice"]
        assert found["away"]["problem"] == "it cannot be reached"
        (arrival,) = arrivals.at("/deploy")
        assert (arrival.kind, arrival.data, arrival.signed_by) == ("ping", {}, (KEY,))
        assert arrivals.url not in result.output


async def test_without_being_asked_nothing_is_sent(tmp_path: Path) -> None:
    async with run_arrivals() as arrivals:
        result = await check(tmp_path, arrivals)
        assert "notify deploy: replicated, late; test message not asked" in result.stdout
        assert arrivals.all == []
