"""The fixed words fit what other parts of the daemon say, and log lines have fixed names."""

import re

from replicator.observability.events import LogEvent
from replicator.observability.labels import Operation, UpdateResult, operation_label
from replicator.registry import http
from replicator.store.outcome import Result


def test_every_operation_of_the_registry_client_has_its_word() -> None:
    assert {operation_label(operation) for operation in http.Operation} <= set(Operation) - {Operation.OTHER}


def test_every_result_of_the_store_has_its_word() -> None:
    assert {str(result) for result in Result} <= {str(result) for result in UpdateResult}


def test_log_events_are_fixed_words() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", event) for event in LogEvent)
