"""Following the daemon's log: a line for each reference that arrived or failed."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anyio

from tests.demo.tables import size

_PAUSE = 0.1


async def follow(log: Path) -> AsyncIterator[str]:
    """Yield what happens from now on, for people, until cancelled."""
    async with await anyio.open_file(log) as lines:
        await lines.seek(0, 2)
        rest = ""
        while True:
            rest += await lines.read()
            *whole, rest = rest.split("\n")
            for line in whole:
                told = tell(line)
                if told:
                    yield told
            await anyio.sleep(_PAUSE)


def tell(line: str) -> str | None:
    """Return one log line for people, None for those that the demo does not show."""
    try:
        fields: Mapping[str, Any] = json.loads(line)
    except ValueError:
        return None
    where = f"{fields.get('repository')}:{fields.get('reference')} on {fields.get('replica')}"
    match fields.get("event"):
        case "reference_replicated" if ":" not in fields["reference"]:
            spared = fields["mounted_bytes"] + fields["present_bytes"]
            return (
                f"{where}: {fields['result'].replace('_', ' ')} in {fields['seconds']:.2f} s, "
                f"{size(fields['sent_bytes'])} sent, {size(spared)} not sent"
            )
        case "reference_failed" | "reference_parked":
            return f"{where}: {fields['error']}; again in {fields['again_in_seconds']:.0f} s"
        case _:
            return None
