"""The fixed words fit what other parts of the daemon say, and log lines have fixed names."""

import re

from replicator.model import Operation
from replicator.observability.events import LogEvent
from replicator.observability.labels import UpdateResult, operation_label
from replicator.store.outcome import Result


def test_a_word_that_is_no_operation_makes_no_label_of_its_own() -> None:
    assert operation_label(Operation.BLOB_READ) == "blob_read"
    assert operation_label("made up") == "other"


def test_every_result_of_the_store_has_its_word() -> None:
    assert {str(result) for result in Result} <= {str(result) for result in UpdateResult}


def test_log_events_are_fixed_words() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", event) for event in LogEvent)
