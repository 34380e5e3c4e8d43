"""What the demo shows of a push: one table, a row for each replica."""

from collections.abc import Sequence

from rich.table import Table

from tests.demo.arrivals import Arrival
from tests.demo.images import PLATFORMS, Push

_MIB = 1024 * 1024
# Mounted: taken over, inside the replica, from another repository of it.
_WORDS = {"existed": "was there", "mounted": "mounted", "shared": "on its way"}


def size(count: int) -> str:
    """Return bytes for people."""
    if count == 0:
        return "0"
    return f"{count / _MIB:.1f} MiB" if count >= _MIB / 10 else f"{count / 1024:.1f} KiB"


def arrival_table(push: Push, arrivals: Sequence[Arrival], source_read: int) -> Table:
    """Return the table of one push."""
    table = Table(
        title=f"{push.repository}:{push.tag} · {' + '.join(PLATFORMS)} · {size(push.size)} of blobs",
        title_justify="left",
        caption=f"read from the primary for all replicas together: {size(source_read)}",
        caption_justify="left",
    )
    table.add_column("replica")
    table.add_column("arrived", no_wrap=True)
    table.add_column("after", justify="right")
    table.add_column("bytes sent", justify="right")
    table.add_column("not sent", justify="right")
    table.add_column("because", no_wrap=True)
    for one in arrivals:
        table.add_row(
            one.replica,
            one.digest[:19],
            f"{one.seconds:.2f} s",
            size(one.traffic.sent),
            size(one.traffic.not_sent),
            ", ".join(_WORDS.get(how, how) for how, count in one.traffic.spared.items() if count),
        )
    return table
