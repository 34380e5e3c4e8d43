"""What each method of Metrics does to the page that Prometheus reads."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from replicator.errors import Reason
from replicator.model import Operation
from replicator.observability.labels import LaneState, WebhookResult
from replicator.observability.metrics import Metrics, Scope
from replicator.store.rows import DeletionSummary
from tests.support.fake_clock import FakeClock
from tests.support.processes import require_tool

SCOPE = Scope(replicas=("eu", "us"), sources=("primary",), endpoints=("hook",), objective_lag=900.0, version="1.2.3")
SYNCED = "replicator_replica_synced_through_timestamp_seconds"


@dataclass
class Page:
    """Metrics and what a scrape of them says."""

    metrics: Metrics

    def value(self, name: str, **labels: str) -> float | None:
        found = [
            sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        return found[0] if found else None

    def text(self) -> str:
        return self.metrics.exposition("")[0].decode()


@dataclass(frozen=True)
class Owed:
    """What a store says of one replica."""

    owed: int = 0
    parked: int = 0
    ignored: int = 0
    deletes: DeletionSummary = field(default_factory=DeletionSummary)
    failing: Mapping[Reason, int] = field(default_factory=dict)
    since: float | None = None


@dataclass(frozen=True)
class Reading:
    """What a store says of all."""

    read_at: float
    replicas: Mapping[str, Owed]


@pytest.fixture
def page(fake_clock: FakeClock) -> Page:
    return Page(Metrics(SCOPE, clock=fake_clock, registry=CollectorRegistry()))


def test_every_series_of_configured_names_exists_at_zero(page: Page) -> None:
    for result in WebhookResult:
        assert page.value("replicator_webhook_events_total", endpoint="hook", result=result) == 0
    for reason in Reason:
        assert page.value("replicator_replica_failing_updates", replica="us", reason=reason) == 0
    assert page.value("replicator_update_lag_seconds_count", replica="eu") == 0
    assert page.value("replicator_source_read_bytes_total", source="primary") == 0
    assert page.value("replicator_http_requests_total", peer="us", op="blob_read", code_class="5xx") == 0
    assert page.value("replicator_http_request_duration_seconds_count", op="other") == 0


def test_no_lag_is_told_before_the_store_was_read(page: Page) -> None:
    assert page.value(SYNCED, replica="eu") is None


def test_synced_through_is_the_oldest_owed_change_and_the_reading_when_nothing_is_owed(page: Page) -> None:
    owed = Owed(owed=3, failing={Reason.TIMEOUT: 2}, since=1_000.0)
    page.metrics.summary(Reading(5_000.0, {"eu": owed, "us": Owed()}))
    assert page.value(SYNCED, replica="eu") == 1_000.0
    assert page.value(SYNCED, replica="us") == 5_000.0
    assert page.value("replicator_replica_pending_updates", replica="eu") == 3
    assert page.value("replicator_replica_failing_updates", replica="eu", reason="timeout") == 2


def test_parked_updates_are_told_and_when_the_store_was_read(page: Page) -> None:
    assert page.value("replicator_store_last_read_timestamp_seconds") == 0
    page.metrics.summary(Reading(5_000.0, {"eu": Owed(owed=3, parked=2, since=1_000.0)}))
    assert page.value("replicator_replica_parked_updates", replica="eu") == 2
    assert page.value("replicator_replica_parked_updates", replica="us") == 0
    assert page.value("replicator_store_last_read_timestamp_seconds") == 5_000
    page.metrics.summary(Reading(6_000.0, {}))
    assert page.value("replicator_replica_parked_updates", replica="eu") == 0


def test_a_healed_replica_has_no_failing_updates_left(page: Page) -> None:
    page.metrics.summary(Reading(1.0, {"eu": Owed(owed=1, failing={Reason.TLS: 1}, since=0.5)}))
    page.metrics.summary(Reading(2.0, {}))
    assert page.value("replicator_replica_failing_updates", replica="eu", reason="tls") == 0
    assert page.value("replicator_replica_pending_updates", replica="eu") == 0
    assert page.value(SYNCED, replica="eu") == 2.0


def test_a_change_from_the_future_does_not_make_a_replica_ahead_of_the_reading(page: Page) -> None:
    page.metrics.summary(Reading(100.0, {"eu": Owed(owed=1, since=400.0)}))
    assert page.value(SYNCED, replica="eu") == 100.0


def test_rows_of_a_replica_that_is_no_longer_configured_make_no_series(page: Page) -> None:
    page.metrics.summary(Reading(100.0, {"removed": Owed(owed=1, since=1.0)}))
    assert "removed" not in page.text()


def test_updates_are_counted_by_how_they_ended_and_their_lag_is_observed(page: Page) -> None:
    page.metrics.update_owed("eu", "tag")
    page.metrics.attempt("eu", "ok")
    page.metrics.update_settled("eu", "copied", 7.0)
    page.metrics.update_settled("eu", "already_present", None)
    page.metrics.deadline_missed("eu")
    assert page.value("replicator_updates_total", replica="eu", kind="tag") == 1
    assert page.value("replicator_attempts_total", replica="eu", result="ok") == 1
    assert page.value("replicator_updates_completed_total", replica="eu", result="copied") == 1
    assert page.value("replicator_updates_completed_total", replica="eu", result="already_present") == 1
    assert page.value("replicator_update_lag_seconds_count", replica="eu") == 1
    assert page.value("replicator_update_lag_seconds_bucket", replica="eu", le="5.0") == 0
    assert page.value("replicator_update_lag_seconds_bucket", replica="eu", le="10.0") == 1
    assert page.value("replicator_updates_deadline_missed_total", replica="eu") == 1


def test_the_default_objective_is_a_bucket_of_the_lag(page: Page) -> None:
    assert page.value("replicator_update_lag_seconds_bucket", replica="eu", le="900.0") == 0
    assert page.value("replicator_objective_lag_seconds") == 900


def test_the_objective_is_told_as_a_share(page: Page) -> None:
    assert page.value("replicator_objective_ratio") == pytest.approx(0.999)


@pytest.mark.parametrize("how", ["mounted", "existed", "shared"])
def test_a_blob_that_was_not_sent_counts_as_deduplicated(page: Page, how: str) -> None:
    page.metrics.blob_settled("eu", how, 10)
    assert page.value("replicator_deduplicated_bytes_total", replica="eu", how=how) == 10
    assert page.value("replicator_blobs_total", replica="eu", result=how) == 1


def test_a_copied_blob_counts_as_a_blob_and_its_bytes_as_they_go(page: Page) -> None:
    page.metrics.bytes_copied("eu", 4)
    page.metrics.bytes_copied("eu", 6)
    page.metrics.blob_settled("eu", "copied", 10)
    page.metrics.source_bytes_read("primary", 11)
    assert page.value("replicator_copied_bytes_total", replica="eu") == 10
    assert page.value("replicator_blobs_total", replica="eu", result="copied") == 1
    assert page.value("replicator_deduplicated_bytes_total", replica="eu", how="copied") is None
    assert page.value("replicator_source_read_bytes_total", source="primary") == 11


def test_transfers_in_flight_are_counted_down_also_when_they_fail(page: Page) -> None:
    def cut() -> None:
        with page.metrics.transferring("eu"):
            assert page.value("replicator_inflight_transfers", replica="eu") == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        cut()
    assert page.value("replicator_inflight_transfers", replica="eu") == 0


def test_exactly_one_lane_state_is_on(page: Page) -> None:
    page.metrics.lane_state("eu", "running")
    page.metrics.lane_state("eu", "open")
    page.metrics.lane_window("eu", 3)
    on = [state for state in LaneState if page.value("replicator_lane_state", replica="eu", state=state)]
    assert on == ["open"]
    assert page.value("replicator_lane_window", replica="eu") == 3


def test_leases_are_counted_while_held_and_when_lost(page: Page) -> None:
    page.metrics.leases_taken(5)
    page.metrics.leases_ended(2)
    page.metrics.leases_ended(1, lost=True)
    assert page.value("replicator_leases_held") == 2
    assert page.value("replicator_leases_lost_total") == 1


@pytest.mark.parametrize(
    ("status", "code_class"),
    [(200, "2xx"), (307, "3xx"), (404, "4xx"), (599, "5xx"), (0, "none"), (99, "none"), (1000, "none")],
)
def test_requests_are_counted_by_class_of_status(page: Page, status: int, code_class: str) -> None:
    page.metrics.request_finished("primary", Operation.BLOB_READ, status, 0.2)
    labels = {"peer": "primary", "op": "blob_read", "code_class": code_class}
    assert page.value("replicator_http_requests_total", **labels) == 1
    assert page.value("replicator_http_request_duration_seconds_count", op="blob_read") == 1


def test_an_operation_nobody_knows_becomes_other(page: Page) -> None:
    page.metrics.request_finished("eu", "GET /v2/secret/repository", 200, 0.1)
    assert page.value("replicator_http_requests_total", peer="eu", op="other", code_class="2xx") == 1
    assert "secret" not in page.text()


@pytest.mark.parametrize(
    "call",
    [
        lambda metrics: metrics.update_owed("elsewhere", "tag"),
        lambda metrics: metrics.attempt("eu", "perhaps"),
        lambda metrics: metrics.webhook_events("elsewhere", "accepted"),
        lambda metrics: metrics.lane_state("eu", "asleep"),
        lambda metrics: metrics.blob_settled("eu", "stolen", 1),
        lambda metrics: metrics.request_finished("elsewhere", "ping", 200, 0.1),
    ],
)
def test_names_and_words_outside_the_scope_are_refused(page: Page, call: Callable[[Metrics], None]) -> None:
    before = page.text().count("replicator_")
    with pytest.raises(KeyError):
        call(page.metrics)
    assert page.text().count("replicator_") == before


def test_a_commit_is_timed_and_stamped(page: Page, fake_clock: FakeClock) -> None:
    page.metrics.committed(0.0015, 12)
    assert page.value("replicator_store_commit_duration_seconds_bucket", le="0.002") == 1
    assert page.value("replicator_store_commit_batch_rows_sum") == 12
    assert page.value("replicator_store_last_commit_timestamp_seconds") == fake_clock.now()


def test_delivery_delays_of_clocks_ahead_of_ours_count_as_none(page: Page) -> None:
    page.metrics.delivery_delayed("hook", -3.0)
    page.metrics.webhook_answered("hook", 0.001)
    assert page.value("replicator_delivery_delay_seconds_sum", endpoint="hook") == 0
    assert page.value("replicator_webhook_ack_duration_seconds_count", endpoint="hook") == 1


def test_openmetrics_is_spoken_to_those_who_ask_for_it(page: Page) -> None:
    body, content_type = page.metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    plain, plain_type = page.metrics.exposition("*/*")
    assert plain_type.startswith("text/plain")
    assert b"_created" not in plain + body


def test_lag_and_commits_carry_the_id_of_a_delivery_where_exemplars_are_understood(page: Page) -> None:
    page.metrics.update_settled("eu", "copied", 7.0, "id-of-one")
    page.metrics.committed(0.0015, 12, "id-of-two")
    page.metrics.committed(0.5, 1)
    body, _ = page.metrics.exposition("application/openmetrics-text; version=1.0.0")
    carried = {line.partition("{")[0]: line for line in body.decode().splitlines() if " # {" in line}
    assert len(carried) == 2
    assert ' # {trace_id="id-of-one"} 7.0' in carried["replicator_update_lag_seconds_bucket"]
    assert ' # {trace_id="id-of-two"} 0.0015' in carried["replicator_store_commit_duration_seconds_bucket"]
    assert "trace_id" not in page.text()


def test_the_version_and_the_process_are_told(page: Page) -> None:
    assert page.value("replicator_build_info", version="1.2.3") == 1
    assert page.value("process_resident_memory_bytes") is not None


@pytest.mark.parametrize("accept", ["", "text/plain;version=0.0.4"])
def test_promtool_finds_nothing_to_say_about_the_page(page: Page, accept: str) -> None:
    page.metrics.summary(Reading(5_000.0, {}))
    page.metrics.request_finished("eu", Operation.PING, 200, 0.1)
    checked = subprocess.run(
        [require_tool("promtool"), "check", "metrics"],
        input=page.metrics.exposition(accept)[0],
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, b"", b"")


def test_pending_bytes_are_asked_for_at_each_reading_of_the_page(page: Page) -> None:
    sizes = [7]
    page.metrics.pending_bytes_from("eu", lambda: sizes[-1])
    assert page.value("replicator_replica_pending_bytes", replica="eu") == 7
    sizes.append(5)
    assert page.value("replicator_replica_pending_bytes", replica="eu") == 5
    assert page.value("replicator_replica_pending_bytes", replica="us") == 0


def test_the_skew_of_a_registry_is_told_once_it_is_known(page: Page) -> None:
    assert page.value("replicator_registry_clock_skew_seconds", peer="primary") is None
    page.metrics.clock_read("primary", -2.5)
    assert page.value("replicator_registry_clock_skew_seconds", peer="primary") == -2.5
    with pytest.raises(KeyError):
        page.metrics.clock_read("elsewhere", 0.0)


def test_another_configuration_goes_on_with_the_same_series_and_ends_those_of_names_that_are_gone(page: Page) -> None:
    before = page.metrics
    before.attempt("eu", "ok")
    after = before.rescoped(Scope(replicas=("eu", "new"), endpoints=("hook", "other"), objective_lag=60.0))
    after.forget(SCOPE)
    after.attempt("eu", "ok")
    before.attempt("us", "ok")
    before.webhook_events("hook", WebhookResult.IGNORED)
    assert page.value("replicator_attempts_total", replica="eu", result="ok") == 2
    assert page.value("replicator_attempts_total", replica="new", result="ok") == 0
    assert page.value("replicator_webhook_events_total", endpoint="other", result="ignored") == 0
    assert page.value("replicator_webhook_events_total", endpoint="hook", result="ignored") == 1
    assert page.value("replicator_objective_lag_seconds") == 60
    assert '"us"' not in page.text()
    with pytest.raises(KeyError):
        after.attempt("us", "ok")


def test_notifications_are_counted_for_receivers_that_are_configured(page: Page) -> None:
    both = Scope(replicas=("eu",), receivers=("deploy", "chat"))
    before = page.metrics.rescoped(both)
    through = "replicator_notifications_delivered_through_timestamp_seconds"
    assert page.value(through, receiver="chat") is None
    before.notifications.notification("deploy", "replicated", "delivered")
    before.notifications.notification("chat", "late", "overflow", 3)
    before.notifications.notifications_waiting("chat", 7, 1_700_000_000.0)
    total = "replicator_notifications_total"
    assert page.value(total, receiver="deploy", event="replicated", result="delivered") == 1
    assert page.value(total, receiver="chat", event="late", result="overflow") == 3
    assert page.value(total, receiver="chat", event="parked", result="failed") == 0
    assert page.value("replicator_notifications_pending", receiver="chat") == 7
    assert page.value(through, receiver="chat") == 1_700_000_000
    for receiver, event, result in (("nobody", "late", "gone"), ("chat", "team/app", "gone"), ("chat", "late", "x")):
        with pytest.raises((KeyError, ValueError)):
            before.notifications.notification(receiver, event, result)
    after = before.rescoped(Scope(replicas=("eu",), receivers=("deploy",)))
    after.forget(both)
    assert '"chat"' not in page.text()
    assert page.value(total, receiver="deploy", event="replicated", result="delivered") == 1
