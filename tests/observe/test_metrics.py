import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from daemon.domain.messages import Usage
from daemon.observability.metrics import OUTBOX_STATES, UPSTREAM_OPERATIONS, Metrics
from daemon.observability.plain_metrics import PlainCounter, PlainHistogram


def values(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Read every sample by its name and its label values, in the order of the labels' names."""
    body, _ = metrics.render("")
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_all_series_exist_at_zero_from_the_start() -> None:
    seen = values(Metrics(version="1.2.3"))
    assert seen["recado_webhooks_total", ("stored",)] == 0
    assert seen["recado_upstream_requests_total", ("text", "unknown", "whapi")] == 0
    assert seen["recado_outbox_rows", ("pending",)] == 0
    assert seen["recado_turn_seconds_count", ()] == 0
    assert seen["recado_build_info", ("1.2.3",)] == 1
    assert "process_resident_memory_bytes" in {name for name, _ in seen}


def test_names_keep_to_the_conventions() -> None:
    """What promtool check metrics looks at: help, _total on counters, base units."""
    metrics = Metrics(version="1")
    metrics.expect_endpoints(["crm"])
    body, _ = metrics.render("")
    for family in text_string_to_metric_families(body.decode()):
        if not family.name.startswith("recado_"):
            continue
        assert family.documentation
        assert re.fullmatch(r"[a-z_]+", family.name)
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb)$", family.name)
        if family.type == "counter":
            assert any(sample.name.endswith("_total") for sample in family.samples)


def test_counting() -> None:
    metrics = Metrics(version="1")
    metrics.count_message("voice")
    metrics.count_message("hologram")
    metrics.count_tokens(Usage(input_tokens=5, cached_tokens=3, output_tokens=2))
    metrics.count_upstream("whapi", "text", "ok")
    metrics.count_upstream("whapi", "dance", "ok")
    metrics.note_run(Usage(input_tokens=5, cached_tokens=3, output_tokens=2), 1.5)
    metrics.duplicates.inc()
    metrics.webhooks.labels("stored").inc()
    seen = values(metrics)
    assert seen["recado_messages_total", ("voice",)] == 1
    assert seen["recado_messages_total", ("other",)] == 1
    tokens = {kind: seen["recado_tokens_total", (kind,)] for kind in ("input", "output", "cached")}
    assert tokens == {"input": 5, "output": 2, "cached": 3}
    assert seen["recado_upstream_requests_total", ("other", "ok", "whapi")] == 1
    assert seen["recado_duplicates_total", ()] == 1
    assert seen["recado_last_run_tokens", ()] == 7
    assert seen["recado_last_run_latency_seconds", ()] == 1.5
    assert seen["recado_webhooks_total", ("stored",)] == 1


def test_unknown_service_is_refused() -> None:
    with pytest.raises(ValueError, match="no such service"):
        Metrics(version="1").count_upstream("fax", "text", "ok")


def test_each_operation_has_a_name_of_its_own() -> None:
    for operations in UPSTREAM_OPERATIONS.values():
        assert len(set(operations)) == len(operations)


def test_gauges_are_read_at_each_scrape() -> None:
    metrics = Metrics(version="1")
    now = {"chats": 1.0}
    metrics.read_active(chats=lambda: now["chats"], windows=lambda: 2, runs=lambda: 3)
    metrics.read_backlog(
        oldest_unanswered=lambda: 99,
        oldest_waiting=lambda whom: 98 if whom == "person" else 0,
        chats_waiting_for_person=lambda: 3,
        outbox_rows=OUTBOX_STATES.index,
        queue=len,
        dead_letters=lambda: 2,
    )
    assert values(metrics)["recado_active_chats", ()] == 1
    now["chats"] = 7
    seen = values(metrics)
    assert seen["recado_active_chats", ()] == 7
    assert seen["recado_oldest_unanswered_timestamp_seconds", ()] == 99
    assert seen["recado_oldest_waiting_timestamp_seconds", ("person",)] == 98
    assert seen["recado_waiting_for_person_chats", ()] == 3
    assert [seen["recado_outbox_rows", (state,)] for state in OUTBOX_STATES] == [0, 1, 2, 3]
    assert seen["recado_queue_messages", ("in_turn",)] == 7
    assert seen["recado_dead_letters", ()] == 2


def test_series_of_several_numbers_have_the_numbers_label() -> None:
    metrics = Metrics(version="1", by_number=True)
    shop, bar = metrics.of_number("shop"), metrics.of_number("bar")
    shop.turns.labels("answered").inc()
    bar.takeovers.inc(2)
    shop.set_channel_state("ok")
    shop.reloads.labels("applied").inc()
    seen = values(metrics)
    assert seen["recado_turns_total", ("shop", "answered")] == 1
    assert seen["recado_turns_total", ("bar", "answered")] == 0
    assert seen["recado_takeovers_total", ("bar",)] == 2
    assert seen["recado_channel_state", ("shop", "ok")] == 1
    assert seen["recado_channel_state", ("bar", "unknown")] == 1
    assert seen["recado_reloads_total", ("applied",)] == 1


def test_two_registries_do_not_know_each_other() -> None:
    first, second = Metrics(version="1"), Metrics(version="1")
    first.fallbacks.inc()
    assert values(second)["recado_fallbacks_total", ()] == 0


def test_openmetrics_if_asked_for() -> None:
    body, content_type = Metrics(version="1").render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


LABELS = {
    *(
        "endpoint",
        "kind",
        "how",
        "limit",
        "operation",
        "outcome",
        "owed_by",
        "reason",
        "result",
        "server",
        "service",
    ),
    *("state", "status", "then", "topic", "validator", "verdict", "version", "where"),
}
"""Every label there is: all of few values, and none that names a person, a chat or a message."""


def test_no_label_names_a_person_and_no_series_is_missing_at_the_start() -> None:
    metrics = Metrics(version="1")
    metrics.expect_endpoints(["crm"])
    body, _ = metrics.render("")
    families = [f for f in text_string_to_metric_families(body.decode()) if "recado" in f.name]
    labels = {name for family in families for sample in family.samples for name in sample.labels}
    assert labels - {"le"} == LABELS
    assert [family.name for family in families if not family.samples] == []


def test_an_observation_points_to_its_turn_in_openmetrics_alone() -> None:
    metrics = Metrics(version="1")
    metrics.run.observe(3, {"request_id": "turn_0123456789ab"})
    openmetrics, _ = metrics.render("application/openmetrics-text; version=1.0.0")
    (line,) = (part for part in openmetrics.decode().splitlines() if "request_id" in part)
    assert line.startswith('recado_run_seconds_bucket{le="4.0"} 1.0 # {request_id="turn_01')
    assert b"request_id" not in metrics.render("")[0]


def test_figures_of_earlier_processes_go_on_counting() -> None:
    metrics = Metrics(version="1")
    metrics.vitals.count_earlier_ends({"clean": 4, "forced": 1, "crashed": 0}, 0.25)
    seen = values(metrics)
    assert seen["recado_process_ends_total", ("forced",)] == 1
    assert seen["recado_last_stop_seconds", ()] == 0.25


def test_breakers_queue_and_followers_are_read_at_each_scrape() -> None:
    metrics = Metrics(version="1")
    open_now = {"model": True, "channel": False}
    metrics.vitals.read_state(
        ready=lambda: open_now["model"],
        breakers={"model": lambda: open_now["model"], "channel": lambda: open_now["channel"]},
        clients=lambda: 3,
    )
    seen = values(metrics)
    assert seen["recado_breaker_open", ("model",)] == 1
    assert seen["recado_websocket_clients", ()] == 3
    assert seen["recado_ready", ()] == 1
    open_now["model"] = False
    assert values(metrics)["recado_breaker_open", ("model",)] == 0
    assert values(metrics)["recado_ready", ()] == 0


@given(st.lists(st.floats(0, 10) | st.sampled_from([0.001, 1.0, 2.5])))
def test_plain_metrics_show_what_those_of_the_library_show(amounts: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    buckets = (0.001, 1, 2.5)
    histogram = PlainHistogram("seconds", "How long", buckets, ours)
    counter = PlainCounter("calls", "How many", ("result",), ours)
    known_histogram = Histogram("seconds", "How long", buckets=buckets, registry=theirs)
    known_counter = Counter("calls", "How many", ("result",), registry=theirs)
    for amount in amounts:
        histogram.observe(amount)
        known_histogram.observe(amount)
        counter.labels("ok" if amount else "bad").inc(amount)
        known_counter.labels("ok" if amount else "bad").inc(amount)
    shown = [
        line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line
    ]
    assert generate_latest(ours).decode().splitlines() == shown
