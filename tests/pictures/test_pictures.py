"""Pictures: each is shown, each shown one is there, none is big, and the panels that they show are there still."""

import math
import re
from xml.etree import ElementTree as ET

import pytest

from tests.meta.tree import ROOT, files
from tests.pictures.catalogue import CUT_OFF, FOLDER, PICTURES, STEADY, Picture, Shown
from tests.pictures.chart import Scale, dashed, on_grid, scale

IMAGE = re.compile(r"!\[([^\]]+)\]\(([^)\s]+)\)")
EACH = pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
BIGGEST = 60_000


def test_every_picture_is_shown_in_the_guide_and_every_shown_one_is_there() -> None:
    shown = {
        (ROOT / document.parent / target).resolve()
        for document in files()
        if document.suffix == ".md"
        for _, target in IMAGE.findall((ROOT / document).read_text())
        if "://" not in target
    }
    there = set(FOLDER.iterdir())
    assert shown == there
    assert there == {picture.file for picture in PICTURES}


def test_the_guide_of_monitoring_shows_all_of_them() -> None:
    guide = (ROOT / "docs" / "monitoring.md").read_text()
    assert {target for _, target in IMAGE.findall(guide)} == {f"pictures/{one.file.name}" for one in PICTURES}


@EACH
def test_a_picture_is_small(picture: Picture) -> None:
    assert picture.file.stat().st_size < BIGGEST


@EACH
def test_a_picture_says_that_it_shows_the_panels_as_they_are_called_now(picture: Picture) -> None:
    for shown in picture.shown:
        assert shown.panel().title == shown.title
        assert scale(shown.panel().unit, 1.0).factor > 0
    said = ET.parse(picture.file).findtext("{http://www.w3.org/2000/svg}title")
    assert said == picture.title, "make pictures draws it anew"


def test_a_panel_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LookupError, match="has 0 panels named 'Lagg'"):
        Shown("Lagg").panel()


def test_the_objective_is_the_dashed_line() -> None:
    assert dashed(Shown("Lag").panel().overrides) == {"objective": "red"}
    assert dashed(Shown("Lane", CUT_OFF).panel().overrides) == {}


def test_a_chosen_replica_stands_in_the_heading() -> None:
    assert Shown("Lag").heading == "Lag"
    assert Shown("Lag", STEADY).heading == f"Lag: {STEADY}"


@pytest.mark.parametrize(
    ("unit", "top", "expected"),
    [("s", 0.02, Scale(1000.0, "ms")), ("s", 1.0, Scale(1.0, "s")), ("opm", 5.0, Scale(1.0, "per minute"))],
)
def test_a_scale_fits_the_highest_value(unit: str, top: float, expected: Scale) -> None:
    assert scale(unit, top) == expected


def test_a_moment_without_a_sample_has_no_value() -> None:
    first, second, third = on_grid([(10.0, 1.0), (14.0, 3.0)], [10.0, 12.0, 14.0])
    assert (first, third) == (1.0, 3.0)
    assert math.isnan(second)
