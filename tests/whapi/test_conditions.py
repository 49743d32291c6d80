"""What Whapi's words for the state of a channel mean for the number."""

import json

import pytest

from daemon.gateway.whapi.payloads.answers import health_refused, read_health
from daemon.gateway.whapi.payloads.parser import parse_webhook


@pytest.mark.parametrize(
    ("status", "condition"),
    [
        ("AUTH", "ok"),
        ("SYNC_ERROR", "ok"),
        ("INIT", "connecting"),
        ("LAUNCH", "connecting"),
        ("NOT_INIT", "connecting"),
        ("QR", "needs_qr"),
        ("STOP", "stopped"),
        ("STOPPED", "stopped"),
        ("ERROR", "error"),
        ("DANCING", "unknown"),
    ],
)
def test_an_answer_and_an_event_mean_the_same(status: str, condition: str) -> None:
    body = {"status": {"text": status}}
    (news,) = parse_webhook(json.dumps({"health": body}).encode()).number_news
    health = read_health(json.dumps(body).encode())
    assert (news.condition, health.condition) == (condition, condition)
    assert news.detail == health.detail
    assert health.detail.startswith(f"health {status}")
    assert not news.linked


@pytest.mark.parametrize("status", ["OK", "TIMEOUT", "WAITING"])
def test_a_code_to_scan_means_that_no_phone_is_linked(status: str) -> None:
    (news,) = parse_webhook(json.dumps({"qr": {"status": status}}).encode()).number_news
    assert news.condition == "needs_qr"
    assert news.detail.startswith(f"qr {status}; scan the code")


@pytest.mark.parametrize(
    ("event", "condition", "linked"),
    [("users.post", "ok", True), ("users.delete", "unauthorised", False)],
)
def test_a_phone_is_linked_or_not_any_more(event: str, condition: str, *, linked: bool) -> None:
    (news,) = parse_webhook(b'{"user": {}}', path_event=event).number_news
    assert (news.condition, news.linked) == (condition, linked)


@pytest.mark.parametrize(
    ("status", "condition"),
    [(401, "unauthorised"), (404, "unauthorised"), (402, "error"), (403, "error")],
)
def test_a_refused_health_request_shows_the_health(status: int, condition: str) -> None:
    health = health_refused(status, "refused")
    assert health is not None
    assert health.condition == condition
    assert health.detail.startswith("refused; ")


@pytest.mark.parametrize("status", [0, 302, 400, 429, 500])
def test_other_failures_do_not_change_the_numbers_state(status: int) -> None:
    assert health_refused(status, "failed") is None
