"""Which pictures there are, and which panels each shows; what a panel asks and says is read from the dashboards."""

from dataclasses import dataclass
from pathlib import Path

from grafana.generate import DASHBOARDS
from grafana.panels import Panel
from tests.meta.tree import ROOT

FOLDER = ROOT / "docs" / "pictures"
CUT_OFF, STEADY = "eu-west", "ap-south"
"""The replicas: the line to one becomes slow and then ends for a while, that to the other is good all the time."""
_ALL = ".+"


@dataclass(frozen=True, slots=True)
class Shown:
    """A panel by its title in one of the dashboards, and the replica that is chosen."""

    title: str
    replica: str = _ALL
    dashboard: str = "replication.json"

    @property
    def heading(self) -> str:
        """The title, and the replica when one was chosen."""
        return self.title if self.replica == _ALL else f"{self.title}: {self.replica}"

    def panel(self) -> Panel:
        """Return the panel as the dashboard's source has it. Raises LookupError unless there is exactly one."""
        found = [one for one in DASHBOARDS[self.dashboard].panels() if one.title == self.title]
        if len(found) != 1:
            raise LookupError(f"{self.dashboard} has {len(found)} panels named {self.title!r}, not 1")
        return found[0]


@dataclass(frozen=True, slots=True)
class Picture:
    """One file, with its panels side by side."""

    name: str
    shown: tuple[Shown, ...]

    @property
    def file(self) -> Path:
        """Where it lies."""
        return FOLDER / f"{self.name}.svg"

    @property
    def title(self) -> str:
        """What the file says it shows."""
        return ", ".join(one.heading for one in self.shown)


def _of_each(title: str) -> tuple[Shown, ...]:
    return Shown(title, CUT_OFF), Shown(title, STEADY)


PICTURES = (
    Picture("lag", (Shown("Lag"),)),
    Picture("owed", (Shown("Owed updates"),)),
    Picture("bytes", _of_each("Bytes sent and not sent")),
    Picture("tries", _of_each("Tries by result")),
    Picture("webhooks", (Shown("Events by result"), Shown("Acknowledgement"))),
)
