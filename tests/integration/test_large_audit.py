"""`verify` of a repository of a hundred thousand images: its memory does not grow with their number (G9)."""

import json
import subprocess
import sysconfig
from pathlib import Path

import anyio
import psutil
import pytest

from tests.support.album import REPOSITORY, run_album

_TAGS = 100_000
_MIB = 1024 * 1024
_PROGRAM = Path(sysconfig.get_path("scripts")) / "replicator"


def _started(config: Path) -> subprocess.Popen[bytes]:
    """Start the command; what it prints goes to files, for a pipe that nobody reads would hold it up."""
    with config.with_name("out").open("wb") as out, config.with_name("err").open("wb") as err:
        return subprocess.Popen([_PROGRAM, "-c", config, "verify", REPOSITORY, "--json"], stdout=out, stderr=err)


@pytest.mark.prove
@pytest.mark.timeout(3600)
async def test_the_memory_of_an_audit_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """From the tenth part on, when what it remembers is full; the list of tags is read before any is looked at."""
    async with run_album(_TAGS) as primary, run_album(_TAGS) as replica:
        settings = {
            "version": 1,
            "primary": {"url": primary.url},
            "replicas": [{"name": "eu", "url": replica.url}],
            "store": {"url": f"sqlite:///{tmp_path / 'state' / 'replicator.db'}"},
        }
        config = tmp_path / "replicator.yaml"
        config.write_text(json.dumps(settings))
        process = _started(config)
        measured = psutil.Process(process.pid)
        early = largest = 0
        try:
            while process.poll() is None:
                await anyio.sleep(0.5)
                try:
                    resident = measured.memory_info().rss
                except psutil.NoSuchProcess:
                    break
                largest = max(largest, resident)
                early = resident if primary.asked["HEAD manifests"] < _TAGS / 10 else early
        finally:
            process.kill()
        code = process.wait()
        document = json.loads((tmp_path / "out").read_text())
        print(f"verify of {_TAGS} tags: {early / _MIB:.0f} MiB early, {largest / _MIB:.0f} MiB at most")
        assert (code, document["equal"], document["replicas"][0]["compared"]) == (0, True, _TAGS)
        assert replica.asked["GET manifests"] == _TAGS, "each is read once"
        assert early > 0
        assert largest - early < 32 * _MIB
