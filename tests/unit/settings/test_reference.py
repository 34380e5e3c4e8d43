"""docs/configuration.md is what the schema says."""

from pathlib import Path

from replicator.settings.reference import reference
from replicator.settings.unsupported import ROWS

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_is_fresh() -> None:
    """When this fails: `python -m replicator.settings.reference > docs/configuration.md`."""
    assert PAGE.read_text() == reference()


def test_a_row_tells_key_type_default_and_meaning() -> None:
    rows = reference().splitlines()
    assert "| `shutdown.grace` | duration | `30s` | How long transfers in flight may go on after SIGTERM. |" in rows
    assert "| `primary.url` | URL | required | Where the registry is; `http://` only if written so here. |" in rows
    assert "| `replicas[].*` |  |  | All other keys of `primary`. |" in rows
    assert "| `notify[].tls.*` |  |  | As of `primary.tls`. |" in rows


def test_what_is_not_supported_yet_is_marked() -> None:
    lines = reference().splitlines()
    for row in ROWS:
        path = row.path.replace("replicas[].", "primary.") if not row.off else row.path
        told = [line for line in lines if f"`{path}`" in line]
        assert told
        assert any("supported yet" in line for line in told), row
