"""Names of the log lines that sweeps write; each is explained in docs/logs.md."""

from enum import StrEnum


class SweepEvent(StrEnum):
    """One name for each kind of line."""

    SWEEP_FOUND = "sweep_found"
    SWEEP_FAILED = "sweep_failed"
    SWEEP_CATALOG_READ = "sweep_catalog_read"
    SWEEP_CATALOG_MISSING = "sweep_catalog_missing"
    SWEEP_CRASHED = "sweep_crashed"
