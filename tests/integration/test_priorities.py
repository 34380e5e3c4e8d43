"""What is urgent overtakes a backfill, bandwidth is held, and a server that hardly moves slows nobody else (S21)."""

import time
from pathlib import Path

import yaml

from tests.integration.site import run_site
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, make_image, push

_MIB = 1024 * 1024
_RATE = 4 * _MIB
_RULES = [
    {"repositories": ["now/**"], "priority": "high"},
    {"repositories": ["**"], "priority": "low"},
]


def _limit(config: Path, bandwidth: str) -> None:
    """Give the only replica of a configuration a bandwidth."""
    whole = yaml.safe_load(config.read_text())
    whole["replicas"][0]["bandwidth"] = bandwidth
    config.write_text(yaml.safe_dump(whole))


async def test_a_high_push_overtakes_a_backfill_and_the_bandwidth_is_held(tmp_path: Path, memory_path: Path) -> None:
    """Measured from its first byte on the line to its last; the store lies in memory, for no disk to take part."""
    backfill = [make_image(f"old {n}", (6 * _MIB,)) for n in range(12)]
    image = make_image("urgent", (_MIB // 2, 100_000))
    sections = {"rules": _RULES, "store": {"url": f"sqlite:///{memory_path / 'state' / 'replicator.db'}"}}
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",), running=False, sections=sections) as site:
        _limit(site.daemon.config, "4MiB/s")
        line = site.lines["eu"]
        for number, old in enumerate(backfill):
            await push(site.primary.url, "old/app", f"v{number}", old)
        await site.daemon.start()
        await eventually(lambda: line.sent("upload") > 2 * _MIB, what="the backfill is under way")
        began, before = time.monotonic(), line.sent("upload")

        def finished() -> int:
            return sum(one.done and one.method == "PUT" and one.sent > _MIB for one in line.requests)

        done_before = finished()
        await push(site.primary.url, "now/app", "v1", image)
        await site.arrived("now/app", "v1", image.digest)
        seconds, finished_meanwhile = time.monotonic() - began, finished() - done_before
        urgent = [one for one in line.requests if one.repository == "now/app" and one.kind == "upload" and one.sent]
        taken = max(one.sent_at for one in urgent) - min(one.begun_at for one in urgent)
        low_meanwhile = taken - sum(one.sent for one in urgent)

        def lags() -> list[float]:
            wanted = ("reference_replicated", "now/app")
            lines = site.daemon.log_lines()
            return [one["lag_seconds"] for one in lines if (one.get("event"), one.get("repository")) == wanted]

        await eventually(lambda: bool(lags()), what="the daemon has told of it")
        print(f"the urgent image: lag {lags()} s, {seconds:.2f} s with its push; {finished_meanwhile} low ones ended")
        print(f"{low_meanwhile / _RATE:.2f} s of the bandwidth went to low ones meanwhile")
        assert low_meanwhile < _RATE / 2, "low ones give way: less than half a second of the line while it is sent"
        assert finished_meanwhile <= 8, "only what was under way can have ended before it"
        assert finished() < len(backfill), "the backfill is not over"
        await eventually(lambda: line.sent("upload") > before + 20 * _MIB, within=30, what="the backfill goes on")
        rate = (line.sent("upload") - before) / (time.monotonic() - began)
        print(f"{rate / _RATE:.3f} of the bandwidth")
        assert rate <= 1.1 * _RATE
        await fetch_closure(site.url("eu"), "now/app", "v1", deep=True)


async def test_a_replica_that_takes_a_byte_a_second_does_not_slow_another(tmp_path: Path) -> None:
    images = [make_image(f"image {n}", (2 * _MIB, 50_000)) for n in range(6)]
    async with run_site(tmp_path, replicas=("eu", "drip"), proxied=("drip",)) as site:
        site.lines["drip"].link.rate_up = 1.0
        for number, image in enumerate(images):
            await push(site.primary.url, "team/app", f"v{number}", image)
        for number, image in enumerate(images):
            await site.arrived("team/app", f"v{number}", image.digest, within=20, on=("eu",))
        site.lines["drip"].link.rate_up = None
