"""Conversations whose webhooks all go to a node that has not the number: the same comes of them.

They are tests of other files, which know nothing of it. ``TEST_STORE=postgres
TEST_CALLS_ELSEWHERE=1`` does that with any test that has a stage.
"""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.rows import select
from support.stage import CALLS_VARIABLE, Stage

TESTS = Path(__file__).parents[1] / "daemon"
SAME = {
    "test_takeover": (
        "test_an_agent_in_the_window_keeps_the_bot_silent",
        "test_an_agent_during_the_run_ends_it",
        "test_an_agent_between_two_chunks_stops_the_rest",
        "test_words_during_the_pause_reach_the_model_when_it_is_over",
        "test_our_own_echo_is_never_an_agent",
        "test_reactions_edits_and_deletes_by_us_are_not_words",
    ),
    "test_edits_and_deletes": (
        "test_changes_in_the_window_count_as_written_so",
        "test_an_edit_during_the_run_is_answered_in_its_new_words",
        "test_changes_after_the_answer_are_noted_and_not_answered",
        "test_a_change_that_comes_before_its_message_waits_for_it",
    ),
    "test_statuses": (
        "test_delivered_and_read_are_written_down",
        "test_an_undelivered_message_is_sent_once_more",
        "test_a_second_failure_is_reported_and_the_message_counts_as_unanswered",
        "test_the_status_before_the_answer_of_the_send_is_kept_for_it",
    ),
    "test_sends": (
        "test_a_send_of_unknown_outcome_arrives_once",
        "test_an_echo_wakes_the_send_that_waits_for_it",
        "test_words_that_a_person_typed_do_not_settle_a_send",
    ),
    "test_supersede": (
        "test_a_message_during_the_run_joins_it",
        "test_a_message_between_two_chunks_gets_the_next_turn",
    ),
}


def chosen_of(name: str) -> dict[str, Callable[..., Any]]:
    """The chosen tests of a file."""
    found = importlib.util.spec_from_file_location(f"elsewhere_{name}", TESTS / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return {one: getattr(module, one) for one in SAME[name]}


@pytest.fixture(autouse=True)
def calls_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Also see that they did."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    monkeypatch.setenv(CALLS_VARIABLE, "1")
    places: list[Path] = []
    start = Stage.start

    async def noted(stage: Stage) -> None:
        places.append(stage.settings.data_dir)
        await start(stage)

    monkeypatch.setattr(Stage, "start", noted)
    yield
    for place in places:
        ((last,),) = select(
            place,
            "pg_sequences",
            "last_value",
            where={"sequencename": "waiting_calls_id_seq"},
        )
        assert last


for file in SAME:
    globals().update(chosen_of(file))
