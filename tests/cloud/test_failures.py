"""What each error code of the Cloud API means for the caller."""

import json
from typing import Any

import pytest

from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
    WindowClosed,
)
from daemon.gateway.cloud.payloads.answers import refusal_of
from daemon.gateway.cloud.payloads.failures import FAILURES

STEPS: dict[type[GatewayError], tuple[int, ...]] = {
    GatewayTemporary: (
        1, 2, 4, 80007, 130429, 131000, 131016, 131048, 131056, 131057, 131064, 133004, 133016,
    ),
    WindowClosed: (131047,),
    RefusedRecipient: (
        130403, 130472, 130497, 131021, 131026, 131030, 131049, 131050, 131062, 131063, 137000,
    ),
    RefusedForm: (
        100, 131008, 131009, 131051, 131052, 131053, 132000, 132001, 132005, 132007, 132012,
        132015, 132016, 132018, 135000,
    ),
    NumberTrouble: (0, 3, 10, 33, 190, 200, 250, 299, 368, 131005, 131031, 131042, 131045, 133010),
}  # fmt: skip


def answer(code: Any, **error: Any) -> bytes:
    """The body of a refusal."""
    words = {"message": "(#1) for 573001234567", "type": "OAuthException", "fbtrace_id": "A"}
    return json.dumps({"error": {"code": code, **words, **error}}).encode()


@pytest.mark.parametrize(
    ("code", "step"), [(code, step) for step, codes in STEPS.items() for code in codes]
)
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_the_code_decides_and_not_the_status(
    code: int, step: type[GatewayError], status: int
) -> None:
    refusal = refusal_of(status, answer(code))
    assert refusal is not None
    assert refusal.error is step
    assert f"code {code} (" in refusal.words
    assert "573001234567" not in refusal.words


def test_every_code_of_the_table_is_tried_here() -> None:
    tried = {code for codes in STEPS.values() for code in codes}
    assert {code for code in FAILURES if not 200 <= code < 300} <= tried


@pytest.mark.parametrize(
    ("status", "body", "step"),
    [
        (200, b"", None),
        (302, b"", NumberTrouble),
        (400, b"<html>", RefusedForm),
        (401, b"", NumberTrouble),
        (403, b"{}", NumberTrouble),
        (404, b"[]", NumberTrouble),
        (408, b"", OutcomeUnknown),
        (413, b"", RefusedForm),
        (429, b"", GatewayTemporary),
        (500, b"", OutcomeUnknown),
        (503, b'{"error": 1}', OutcomeUnknown),
        (400, answer(999999), RefusedForm),
        (500, answer(999999), OutcomeUnknown),
    ],
)
def test_without_a_known_code_the_status_decides(
    status: int, body: bytes, step: type[GatewayError] | None
) -> None:
    refusal = refusal_of(status, body)
    assert (refusal.error if refusal else None) is step


def test_a_pair_that_talks_too_fast_waits_and_so_does_a_number_of_low_quality() -> None:
    waits = [refusal_of(400, answer(code)) for code in (131056, 131048, 131000)]
    assert [w.retry_after for w in waits if w] == [6.0, 3600.0, None]


@pytest.mark.parametrize(
    ("details", "parts"),
    [
        ("Invalid context message_id", {"quoted"}),
        ("Parameter interactive.action.buttons is invalid", {"buttons"}),
        ("preview_url must be a boolean", {"link_preview"}),
        ("Something", set()),
    ],
)
def test_a_refusal_names_parts_of_the_message(details: str, parts: set[str]) -> None:
    refusal = refusal_of(400, answer(100, message="bad", error_data={"details": details}))
    assert refusal is not None
    assert refusal.named == parts
