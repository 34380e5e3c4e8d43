"""The status page: whatever names and messages hold, its markup stays its own."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import hypothesis
import pytest
from hypothesis import strategies as st

from replicator.admin.documents import DeletesStatus, ReplicaStatus, RowStatus, StatusDocument, Totals
from replicator.admin.status_page import POLICY, status_page

TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td",
    "br", "small", "code",
}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "scope", "class"}


class Reader(HTMLParser):
    """What a browser would find: tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.text.append(data)


def read(page: bytes) -> Reader:
    reader = Reader()
    reader.feed(page.decode())
    reader.close()
    return reader


def document(text: str) -> StatusDocument:
    """Return a status with `text` wherever text may stand."""
    replica = ReplicaStatus(
        name=text,
        labels={text: text},
        state=text,
        paused_since=None,
        lag_seconds=75.0,
        owed=3,
        parked=1,
        ignored=0,
        failing={text: 1},
        deletes=DeletesStatus(pending=2, left={text: 1}, stopped_since=980.0),
        inflight=2,
        last_error=text,
        last_success=990.0,
    )
    row = RowStatus(
        replica=text,
        repository=text,
        reference=text,
        state="parked",
        wanted=text,
        have=None,
        owed_seconds=75.0,
        due_at=4e9,
        ignored_at=None,
        attempts=4,
        reason=text,
        message=text,
    )
    totals = Totals(lag_seconds=75.0, owed=3, parked=1, ignored=0, failing=1, inflight=2)
    return StatusDocument(
        version=text, daemon=True, read_at=1000.0, replicas=[replica], totals=totals, rows=[row], next="more"
    )


PLAIN = read(status_page(document("plain")))


@hypothesis.given(st.text(max_size=30))
@hypothesis.example("<script>alert(1)</script>")
@hypothesis.example('"><img src=x onerror=alert(1)>')
@hypothesis.example("</style><style>*{}</style><!-- &lt; ]]>")
def test_no_text_becomes_markup(text: str) -> None:
    reader = read(status_page(document(text)))
    assert reader.tags == PLAIN.tags
    assert reader.attributes == PLAIN.attributes


def test_the_page_has_only_what_it_may_have() -> None:
    assert set(PLAIN.tags) <= TAGS
    assert PLAIN.attributes <= ATTRIBUTES
    page = status_page(document("plain")).decode()
    (style,) = re.findall("<style>(.*)</style>", page)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in POLICY
    assert "url(" not in style
    assert "://" not in page


@pytest.mark.parametrize("text", ["\u202egnp.exe", "a\x00b", "line\nbreak", "\u200b"])
def test_what_cannot_be_seen_is_not_shown(text: str) -> None:
    page = status_page(document(text)).decode()
    assert not set(text) & set("\u202e\x00\u200b") & set(page)


def test_the_page_says_what_the_status_does() -> None:
    text = " ".join(PLAIN.text)
    for words in (
        "3 owed, 1 parked, 2 in flight, lag 1m15s",
        "plain:1",
        "10.0s ago",
        "plain:plain",
        "plain, deletes stopped",
        "status --parked",
    ):
        assert words in text
    empty = document("plain")
    empty["rows"], empty["next"] = [], None
    assert "<h2>Parked" not in status_page(empty).decode()
