"""The judges of the crash harness find each fault that they are there for."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.crash_judges import (
    StoreRows,
    judge_acknowledged,
    judge_answers,
    judge_effects,
    judge_reminders,
    judge_store,
    judge_webhooks,
)
from support.crash_rows import stored_ids, timeline, work_left
from support.ledgers import LAURA, PEDRO, accept, answered_turn, message
from support.place import store_in

WRITTEN = {"57": ["c1-m1", "c1-m2", "c1-m3"]}
GOOD = [
    "Recibido: c1-m1 c1-m2",
    "Listo: c1-m1 c1-m2",
    "Recibido: c1-m3",
    "Listo: c1-m3",
]
NO_ROWS = StoreRows(messages=[], open_outbox=[], living_turns=[], calls=[], user_items=[])


def test_answers_that_are_complete_and_in_order_pass() -> None:
    assert judge_answers(WRITTEN, {"57": GOOD}) == []
    assert judge_answers(WRITTEN, {"57": ["Perdón", *GOOD]}, notices=frozenset({"Perdón"})) == []


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (GOOD[:2], "never said of c1-m3"),
        (GOOD[:3], "Listo: never said of c1-m3"),
        ([*GOOD, *GOOD[2:]], "said 2 times of c1-m3"),
        ([*GOOD, "Listo: c1-m3"], "Listo: said 2 times of c1-m3"),
        ([*GOOD[2:], *GOOD[:2]], "out of order"),
        ([GOOD[0], GOOD[2], GOOD[1], GOOD[3]], "does not follow its first part"),
        ([*GOOD, "¿?"], "unexpected words"),
        ([*GOOD, "Recibido: c2-m9"], "not of this chat"),
    ],
)
def test_answers_that_are_lost_repeated_or_mixed_up_are_found(
    said: Sequence[str], fault: str
) -> None:
    assert any(fault in found.what for found in judge_answers(WRITTEN, {"57": said}))


def test_words_in_a_chat_that_never_wrote_are_found() -> None:
    assert judge_answers(WRITTEN, {"57": GOOD, "58": ["Hola"]})


def test_an_acknowledged_message_that_is_not_stored_is_found() -> None:
    assert judge_acknowledged({"a"}, {"a", "b"}) == []
    assert judge_acknowledged({"a", "b"}, {"a"})


@pytest.mark.parametrize(
    "rows",
    [
        StoreRows([("57", "a", "in_turn")], [], [], [], []),
        StoreRows([("57", "a", "dead")], [], [], [], []),
        StoreRows([("57", "a", "answered")], [("57", "unknown")], [], [], []),
        StoreRows([("57", "a", "answered")], [], ["57"], [], []),
        StoreRows([("57", "a", "answered")], [], [], [], [("57", "c1-m1"), ("57", "c1-m1")]),
        NO_ROWS,
    ],
)
def test_work_that_is_left_in_the_store_is_found(rows: StoreRows) -> None:
    assert judge_store(rows, ["a"])


def test_a_store_where_all_is_done_passes() -> None:
    rows = StoreRows([("57", "a", "answered")], [], [], [], [("57", "c1-m1 c1-m2")])
    assert judge_store(rows, ["a"]) == []


@pytest.mark.parametrize(
    ("lines", "state", "fault"),
    [
        (["k c1-m1", "k c1-m1"], "finished", "booked 2 times"),
        ([], "finished", "never booked"),
        (["k c1-m1", "k c1-m2"], "finished", "without a row"),
        (["k c1-m1"], "started", "no outcome"),
    ],
)
def test_effects_that_are_repeated_lost_or_unrecorded_are_found(
    lines: list[str], state: str, fault: str
) -> None:
    calls = [("57", state, '{"reference": "c1-m1"}')]
    assert any(fault in found.what for found in judge_effects(lines, calls, ["c1-m1"]))


def test_a_booking_that_was_never_called_is_found() -> None:
    assert judge_effects([], [], ["c1-m1"])


def test_a_cut_booking_may_have_happened_or_not() -> None:
    """The ledger says unknown: both are true to what the model was told."""
    calls = [("57", "failed", '{"reference": "c1-m1"}')]
    assert judge_effects([], calls, ["c1-m1"]) == []
    assert judge_effects(["k c1-m1"], calls, ["c1-m1"]) == []


async def test_the_timeline_of_a_chat_is_in_order(tmp_path: Path) -> None:
    assert timeline(tmp_path, LAURA.chat) == ""
    async with store_in(tmp_path) as store:
        await answered_turn(store, "m-1", answer="Claro que sí")
        await accept(store, message("m-2", key=PEDRO))
    kinds = [
        line.split(" | ")[0].split(" ", 1)[1]
        for line in timeline(tmp_path, LAURA.chat).splitlines()
    ]
    assert kinds == ["message", "turn", "outbox"]
    assert "Claro que sí" in timeline(tmp_path, LAURA.chat)
    assert work_left(tmp_path)
    assert stored_ids(tmp_path) == {"m-1", "m-2"}


def test_a_reminder_that_was_lost_repeated_or_invented_is_seen() -> None:
    assert judge_reminders(["c1-m1"], ["Recordatorio: c1-m1"]) == []
    for said in ([], ["c1-m1", "c1-m1"], ["c1-m1", "c1-m2"]):
        assert judge_reminders(["c1-m1"], said)


def test_a_webhook_that_was_lost_or_has_two_ids_or_bodies_is_seen() -> None:
    rows = StoreRows(
        *([("57", "a", "answered")], [], [], [], []),
        sent_ids=["b"],
        ended_turns=["t"],
        reminders=[("1", "sent")],
    )
    one, sent = ("w1", "message.received", "a", "{}"), ("w2", "message.sent", "b", "{}")
    turn = ("w7", "turn.ended", "t", "{}")
    reminder = [
        (f"w-{word}", "reminder.changed", f"1 {word}", "{}") for word in ("waiting", "sent")
    ]
    received = (one, turn, *reminder)
    assert judge_webhooks([*received, sent, sent], rows, []) == []
    for taken, unverified in (
        ([*received], []),
        ([sent], []),
        ([one, turn, *reminder[:1], sent], []),
        ([one, *reminder, sent], []),
        ([*received, ("w8", "turn.ended", "t", "{}"), sent], []),
        ([*received, sent, ("w4", "message.sent", "b", "{}")], []),
        ([*received, sent, ("w2", "message.sent", "b", "other")], []),
        ([*received, sent, ("w5", "message.sent", "c", "{}")], []),
        ([*received, sent], ["w6"]),
    ):
        assert judge_webhooks(taken, rows, unverified)
