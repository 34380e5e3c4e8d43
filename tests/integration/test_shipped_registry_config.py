"""The shipped registry configurations keep the bearer of the webhook out of the log of real registries."""

import http.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.eventually import eventually
from tests.support.ports import Port
from tests.support.processes import Process, require_tool
from tests.support.programs import require_program

_CONTAINER = Path(__file__).parents[2] / "config" / "container"
_PROGRAMS: dict[str, Callable[[], str]] = {
    "Distribution 2.8": lambda: require_tool("docker-registry"),
    "Distribution 3": lambda: require_program("distribution3"),
}


def _compose() -> dict[str, Any]:
    return dict(yaml.safe_load((_CONTAINER / "primary.yml").read_text()))


def _sidecar() -> dict[str, Any]:
    documents = yaml.safe_load_all((_CONTAINER / "kubernetes" / "sidecar.yaml").read_text())
    (text,) = (one["stringData"]["config.yml"] for one in documents if one["kind"] == "Secret")
    return dict(yaml.safe_load(text))


async def _log_of(program: str, config: dict[str, Any], folder: Path) -> str:
    """Return what a registry wrote until it answered, with its own port and data and else as the file says."""
    port, file = Port(), folder / "config.yml"
    config["storage"] = {"filesystem": {"rootdirectory": str(folder / "data")}}
    config["http"] = {"addr": f"127.0.0.1:{port.number}"}
    file.write_text(yaml.safe_dump(config))
    process = Process([program, "serve", str(file)], log=folder / "log", environ={"OTEL_TRACES_EXPORTER": "none"})
    try:
        await eventually(lambda: _answers(port.number), within=10, what="the registry answers")
    finally:
        process.kill()
        port.release()
    return (folder / "log").read_text()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("kind", _PROGRAMS)
@pytest.mark.parametrize("shipped", [_compose, _sidecar], ids=["compose", "sidecar"])
async def test_the_bearer_is_not_logged(tmp_path: Path, kind: str, shipped: Callable[[], dict[str, Any]]) -> None:
    config = shipped()
    (bearer,) = config["notifications"]["endpoints"][0]["headers"]["Authorization"]
    assert bearer.removeprefix("Bearer ") not in await _log_of(_PROGRAMS[kind](), config, tmp_path)


@pytest.mark.parametrize("kind", _PROGRAMS)
async def test_it_would_be_by_default(tmp_path: Path, kind: str) -> None:
    """What docs/registries.md says of the default."""
    config = _compose()
    del config["log"]
    (bearer,) = config["notifications"]["endpoints"][0]["headers"]["Authorization"]
    assert bearer in await _log_of(_PROGRAMS[kind](), config, tmp_path)
