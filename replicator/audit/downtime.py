"""Since when a replica is taken for down; outlives configurations, whose lanes find that out anew."""

DOWN_FOR = 300.0
"""Seconds for which a replica must have been taken for down, for all of it to be looked at afterwards."""


class Downtime:
    """One replica's. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = False

    def goes_on(self, now: float) -> bool:
        """Note that it was down until now; true, once, when that is long enough for all of it to be looked at."""
        self._since = now if self._since is None else self._since
        if self._told or now - self._since < DOWN_FOR:
            return False
        self._told = True
        return True

    def went_on(self, now: float) -> bool:
        """As `goes_on`, of one that may have been down until now if it was; false of one that was not."""
        return self._since is not None and self.goes_on(now)

    def ended(self) -> None:
        """Note that it is back."""
        self._since, self._told = None, False
