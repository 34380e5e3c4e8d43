"""The effective configuration as plain data, for `config show`."""

from typing import Any

from replicator.settings.schema import Settings


def effective(settings: Settings) -> dict[str, Any]:
    """Return the settings with defaults filled in, in the form in which people write them.

    Of a secret only its file or variable is told. What is absent is left out; loaded again, it is the same settings.
    """
    shown: dict[str, Any] = _without_nothing(settings.model_dump(mode="json"))
    return shown


def _without_nothing(data: Any) -> Any:
    """Drop what says nothing: absent values, and empty lists of secrets beside the one that is used."""
    if isinstance(data, dict):
        return {
            key: _without_nothing(value)
            for key, value in data.items()
            if value is not None and not (key.endswith("_file") and value == [])
        }
    return [_without_nothing(item) for item in data] if isinstance(data, list) else data
