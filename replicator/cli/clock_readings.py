"""What the answers of registries told of their clocks, while `check` asked for other things."""


class ClockReadings:
    """An observer of requests that keeps, for each registry, the skew that was told last."""

    def __init__(self) -> None:
        self._ahead: dict[str, float] = {}

    def ahead(self, registry: str) -> float | None:
        """Return how many seconds the registry's clock is ahead of ours, None while it was not told."""
        return self._ahead.get(registry)

    def clock_read(self, registry: str, skew: float) -> None:
        """Keep it."""
        self._ahead[registry] = skew

    def request_finished(self, registry: str, operation: str, status: int, seconds: float) -> None:
        """Keep nothing."""

    def window_set(self, registry: str, kind: str, size: int) -> None:
        """Keep nothing."""

    def request_refused(self, registry: str, kind: str) -> None:
        """Keep nothing."""

    def request_waited(self, registry: str, kind: str, seconds: float) -> None:
        """Keep nothing."""
