"""Run inside a booted system, by its Python: puts the shipped units through their life and writes down what it saw.

Only the standard library is here. The last line of the file named as the argument is a JSON object.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CONFIG = Path("/etc/replicator/replicator.yaml")
_STATES = (
    "ActiveState",
    "SubState",
    "StatusText",
    "MainPID",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "WatchdogUSec",
)


def systemctl(*words: str) -> int:
    return subprocess.run(["/usr/bin/systemctl", *words], check=False, timeout=120).returncode


def shown(unit: str) -> dict[str, str]:
    names = ",".join(_STATES)
    text = subprocess.run(
        ["/usr/bin/systemctl", "show", "-p", names, unit], check=True, capture_output=True, text=True
    ).stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"Authorization": "Bearer the-hook-canary"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def metric(name: str, port: int = 9464) -> float:
    page = ask(port, "GET", "/metrics")[1]
    return float(next(line.rpartition(" ")[2] for line in page.splitlines() if line.startswith(name)))


def until(check: Callable[[], object], seconds: float = 30.0) -> bool:
    """Poll: this end has only the real clock."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.1)
    return False


def status_of(pid: str) -> dict[str, str]:
    lines = Path("/proc", pid, "status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def push() -> bytes:
    digest = "sha256:" + "a" * 64
    target = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "size": 100,
        "repository": "team/app",
        "tag": "v1",
    }
    event = {"id": "1", "timestamp": "2026-01-01T00:00:00Z", "action": "push", "target": target}
    return json.dumps({"events": [event]}).encode()


def life() -> dict[str, Any]:
    seen: dict[str, Any] = {"started": systemctl("start", "replicator.service")}
    seen["running"] = shown("replicator.service")
    process = status_of(seen["running"]["MainPID"])
    seen["process"] = {key: process[key] for key in ("Uid", "NoNewPrivs", "Seccomp", "CapEff", "CapBnd")}
    seen["ready"] = ask(9464, "GET", "/readyz")[0]
    seen["webhook"] = ask(8080, "POST", "/webhooks/primary", push())[0]
    seen["process_start_time"] = metric("process_start_time_seconds") > 1e9

    _CONFIG.write_text(_CONFIG.read_text() + "objective: {lag: 7m}\n")
    seen["reloaded"] = systemctl("reload", "replicator.service")
    seen["new_objective"] = until(lambda: metric("replicator_objective_lag_seconds") == 420)
    good = _CONFIG.read_text()
    _CONFIG.write_text(good + "nonsense: 1\n")
    systemctl("reload", "replicator.service")
    until(lambda: "mistake" in shown("replicator.service")["StatusText"])
    seen["refused"] = shown("replicator.service")
    _CONFIG.write_text(good)
    systemctl("reload", "replicator.service")
    seen["mended"] = until(lambda: "mistake" not in shown("replicator.service")["StatusText"])

    began = time.monotonic()
    seen["stopped"] = systemctl("stop", "replicator.service")
    seen["stop_seconds"] = time.monotonic() - began
    seen["after_stop"] = shown("replicator.service")
    systemctl("start", "replicator.service")
    seen["owed_after_restart"] = until(lambda: metric("replicator_replica_pending_updates") == 1)
    return seen


def watchdog() -> dict[str, Any]:
    folder = Path("/run/systemd/system/replicator.service.d")
    folder.mkdir(parents=True)
    (folder / "quick.conf").write_text("[Service]\nWatchdogSec=3s\nRestartSec=100ms\n")
    systemctl("daemon-reload")
    systemctl("restart", "replicator.service")
    before = shown("replicator.service")
    lives = not until(lambda: shown("replicator.service")["MainPID"] != before["MainPID"], 6.0)
    os.kill(int(before["MainPID"]), signal.SIGSTOP)
    replaced = until(lambda: shown("replicator.service")["MainPID"] not in {"0", before["MainPID"]}, 60.0)
    ready = until(lambda: shown("replicator.service")["ActiveState"] == "active")
    return {"lives_when_fed": lives, "replaced_when_stuck": replaced and ready, "after": shown("replicator.service")}


def template() -> dict[str, Any]:
    started = systemctl("start", "replicator@second.service")
    return {
        "started": started,
        "ready": ask(9465, "GET", "/readyz")[0],
        "store": Path("/var/lib/private/replicator-second/replicator.db").exists(),
        "state": shown("replicator@second.service"),
    }


def main() -> None:
    report = Path(sys.argv[1])
    seen: dict[str, Any] = {}
    try:
        for step in (life, watchdog, template):
            seen[step.__name__] = step()
    finally:
        journal = subprocess.run(
            ["/usr/bin/journalctl", "--no-pager", "-u", "replicator*"], check=False, capture_output=True, text=True
        ).stdout
        report.write_text(journal + "\n" + json.dumps(seen) + "\n")


main()
