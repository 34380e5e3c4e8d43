"""Registries as the copying bench needs them: emptied between runs, and asked what they did."""

import http.client
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from prometheus_client.parser import text_string_to_metric_families

from tests.support.ports import Port
from tests.support.registries import DockerRegistry, RegistryOptions


@dataclass(frozen=True, slots=True)
class Work:
    """What a registry has done since it started: requests answered, bytes of blobs given out, CPU seconds."""

    requests: int = 0
    given: int = 0
    cpu: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.requests + other.requests, self.given + other.given, self.cpu + other.cpu)

    def __sub__(self, other: "Work") -> "Work":
        return Work(self.requests - other.requests, self.given - other.given, self.cpu - other.cpu)


class MeasuredRegistry(DockerRegistry):
    """A registry that counts its requests, with the descriptor cache that Distribution ships with."""

    def __init__(self, folder: Path, *, name: str, **options: Unpack[RegistryOptions]) -> None:
        options.setdefault("cache", True)
        super().__init__(folder, name=name, **options)
        self._counters = Port()

    def work(self) -> Work:
        """Return what it has done in this life."""
        cpu = self.process.cpu_seconds()
        counted = self._counted()
        # A request is counted a moment after its answer was sent.
        while (again := self._counted()) != counted:
            counted = again
        return Work(*counted, cpu)

    def _counted(self) -> tuple[int, int]:
        """Return the requests, and the bytes of blobs given out."""
        connection = http.client.HTTPConnection("127.0.0.1", self._counters.number, timeout=10)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        requests = sum(one.value for one in samples if one.name == "registry_http_requests_total")
        given = sum(
            one.value
            for one in samples
            if one.name == "registry_http_response_size_bytes_sum" and one.labels["handler"] == "blob"
        )
        return int(requests), int(given)

    def empty(self) -> None:
        """Start anew with nothing in it, at the same address; return when it answers."""
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        self.launch()
        self.wait_ready()

    def discard(self) -> None:
        """End for good."""
        super().discard()
        self._counters.release()

    def _config(self) -> dict[str, Any]:
        config = super()._config()
        counters = {"addr": f"127.0.0.1:{self._counters.number}", "prometheus": {"enabled": True, "path": "/metrics"}}
        config["http"]["debug"] = counters
        return config
