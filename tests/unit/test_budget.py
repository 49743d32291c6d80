"""Budgets and brakes as decisions: prices, limits, days, loops and pace."""

from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.limits import (
    IMAGE_TOKENS,
    BrakeRules,
    Budget,
    Exchange,
    Price,
    Use,
    day_of,
    expected_use,
    free_at,
    loop_in,
    refusal,
    speech_use,
    transcription_use,
    turns_of_a_loop,
    use_of,
    used_ratios,
)
from daemon.domain.messages import ModelRequest, Usage

PRICE = Price(input=1.0, cached=0.1, output=8.0)
RULES = BrakeRules()


def test_the_cost_of_a_call_is_that_of_its_tokens() -> None:
    usage = Usage(input_tokens=1000, cached_tokens=400, output_tokens=50, reasoning_tokens=20)
    assert use_of(usage, PRICE) == Use(tokens=1050, micros=600 + 40 + 400)


def test_a_fraction_of_a_millionth_is_rounded_up_and_a_rounding_error_is_not() -> None:
    assert use_of(Usage(input_tokens=1, cached_tokens=1), PRICE).micros == 1
    assert use_of(Usage(input_tokens=3, cached_tokens=3), Price(cached=0.1)).micros == 1
    assert use_of(Usage(output_tokens=10), Price(output=0.1)).micros == 1


def test_sound_costs_by_the_minute_and_speech_by_its_characters_too() -> None:
    assert transcription_use(90, Price(minute=0.006)) == Use(micros=9000)
    assert transcription_use(90, Price(input=5)) == Use()
    assert speech_use(200, Price(characters=15.0)) == Use(micros=3000)
    # Before it is made it is taken to be slow; afterwards its length is known.
    assert speech_use(200, Price(minute=0.015)) == Use(micros=5000)
    assert speech_use(200, Price(minute=0.015), seconds=12) == Use(micros=3000)


def test_more_cached_than_input_tokens_never_pays_back() -> None:
    assert use_of(Usage(input_tokens=10, cached_tokens=99), PRICE).micros == 1


def _request(text: str) -> ModelRequest:
    return ModelRequest(instructions="", items=({"role": "user", "content": text},))


def test_a_request_is_expected_to_cost_its_input_and_a_whole_answer() -> None:
    budget = Budget(price=PRICE, answer_tokens=500)
    short, long = expected_use(_request("Hola"), budget), expected_use(_request("a" * 3000), budget)
    assert 500 < short.tokens < 540
    assert 1500 <= long.tokens <= 1540
    assert short.micros == (short.tokens - 500) * 1 + 500 * 8


def test_an_embedded_picture_is_not_counted_by_its_bytes() -> None:
    content = [{"type": "input_image", "image_url": "data:image/png;base64," + "A" * 900_000}]
    request = ModelRequest(instructions="", items=({"role": "user", "content": content},))
    found = expected_use(request, Budget(answer_tokens=0)).tokens
    assert IMAGE_TOKENS < found < 2000


def test_a_request_may_hold_mappings_of_any_kind() -> None:
    item = MappingProxyType({"role": "user", "content": "Hola"})
    request = ModelRequest(instructions="", items=(item,))  # type: ignore[arg-type]
    assert expected_use(request, Budget()) == expected_use(_request("Hola"), Budget())


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(), ""),
        (Budget(contact_tokens=150), ""),
        (Budget(contact_tokens=149), "contact"),
        (Budget(total_tokens=1050), ""),
        (Budget(total_tokens=1049), "total"),
        (Budget(contact_cost=0.00015), ""),
        (Budget(contact_cost=0.000149), "contact"),
        (Budget(total_cost=0.001049), "total"),
        (Budget(contact_tokens=1, total_tokens=1), "total"),
    ],
)
def test_a_call_is_made_as_long_as_it_fits(budget: Budget, expected: str) -> None:
    spent = {"contact": Use(100, 100), "total": Use(1000, 1000)}
    assert refusal(budget, **spent, wanted=Use(50, 50)) == expected


def test_used_ratios_are_of_the_limits_there_are() -> None:
    budget = Budget(total_tokens=1000)
    assert used_ratios(budget, Use(250, 10**9)) == {"tokens": 0.25, "cost": 0.0}
    assert used_ratios(Budget(total_cost=2), Use(0, 500_000)) == {"tokens": 0.0, "cost": 0.25}


def test_a_day_is_a_day_where_the_business_is() -> None:
    midnight_utc = 1_772_323_200.0  # 2026-03-01T00:00:00Z
    assert day_of(midnight_utc, ZoneInfo("UTC")) == "2026-03-01"
    assert day_of(midnight_utc, ZoneInfo("America/Bogota")) == "2026-02-28"


# -- loops -----------------------------------------------------------------------------------------


def _talk(answers: int, *, reply: float, say: float = 6.0, texts: bool = False) -> list[Exchange]:
    """So many answered turns and a new one; each message came ``reply`` seconds after an answer."""
    talk, now = [], 1000.0
    for number in range(answers):
        words = ("Gracias por su mensaje.",) if texts else (f"Pregunta número {number}",)
        talk.append(
            Exchange(inbound_at=now, texts=words, sent_from=now + say - 1, sent_until=now + say)
        )
        now += say + reply
    last = ("Gracias por su mensaje.",) if texts else ("La última pregunta",)
    return [*talk, Exchange(inbound_at=now, texts=last)]


def _loop(talk: list[Exchange], rules: BrakeRules = RULES) -> str:
    return loop_in(talk, rules, now=talk[-1].inbound_at + 5)


def test_six_answers_each_replied_to_at_once_are_a_loop() -> None:
    assert _loop(_talk(5, reply=1)) == ""
    assert _loop(_talk(6, reply=1)) != ""


@given(
    answers=st.integers(0, 12),
    loop_answers=st.sampled_from([0, 3, 6]),
    repeats=st.sampled_from([0, 1, 2, 4]),
    reply=st.sampled_from([1.0, 30.0]),
    texts=st.booleans(),
)
def test_fewer_turns_than_a_loop_takes_are_none(
    *, answers: int, loop_answers: int, repeats: int, reply: float, texts: bool
) -> None:
    rules = BrakeRules(loop_answers=loop_answers, repeats=repeats, loop_seconds=3600)
    talk = _talk(answers, reply=reply, texts=texts)
    least = turns_of_a_loop(rules)
    assert (least == 0) == (loop_answers == repeats == 0)
    if _loop(talk, rules):
        assert len(talk) >= least > 0


def test_one_slow_reply_is_a_sign_of_a_person() -> None:
    assert _loop(_talk(12, reply=10)) == ""
    fast, slow = _talk(3, reply=1), _talk(6, reply=1)
    pause = fast[-1].inbound_at - slow[0].inbound_at + 15
    moved = [
        Exchange(
            inbound_at=e.inbound_at + pause,
            texts=e.texts,
            sent_from=None if e.sent_from is None else e.sent_from + pause,
            sent_until=None if e.sent_until is None else e.sent_until + pause,
        )
        for e in slow[1:]
    ]
    assert _loop([*fast[:-1], *moved]) == ""


def test_quick_replies_over_a_longer_time_are_not_a_loop() -> None:
    assert _loop(_talk(6, reply=9, say=14)) == ""


def test_a_turn_that_was_never_answered_ends_the_row() -> None:
    talk = _talk(12, reply=1)
    silent = talk[8]
    talk[8] = Exchange(inbound_at=silent.inbound_at, texts=silent.texts, sent_from=silent.sent_from)
    assert _loop(talk) == ""


def test_messages_written_while_we_answered_are_no_replies() -> None:
    assert _loop(_talk(12, reply=-3)) == ""


def test_the_same_words_in_four_turns_are_a_loop() -> None:
    assert _loop(_talk(2, reply=60, texts=True)) == ""
    assert _loop(_talk(3, reply=60, texts=True)) != ""
    assert _loop(_talk(3, reply=250, texts=True)) == ""


def test_case_and_spaces_do_not_hide_a_repetition() -> None:
    words = ("GRACIAS por escribir", "gracias  por escribir ", "Gracias por\nescribir")
    talk = [
        Exchange(inbound_at=1000.0 + 60 * n, texts=(text,), sent_from=0, sent_until=0)
        for n, text in enumerate((*words, "gracias por escribir"))
    ]
    assert _loop(talk) != ""


@pytest.mark.parametrize("word", ["sí", "Sí", "ok", "no", "2", "yes"])
def test_a_short_answer_may_be_given_to_many_questions(word: str) -> None:
    talk = [
        Exchange(inbound_at=1000.0 + 30 * n, texts=(word,), sent_from=0, sent_until=0)
        for n in range(8)
    ]
    assert _loop(talk) == ""


def test_the_same_words_twice_in_one_burst_are_one_repetition() -> None:
    burst = Exchange(inbound_at=1000.0, texts=("¿Hay alguien?",) * 10)
    assert _loop([burst]) == ""


def test_a_number_of_zero_turns_a_loop_rule_off() -> None:
    off = BrakeRules(loop_answers=0, repeats=0)
    assert _loop(_talk(12, reply=1, texts=True), off) == ""


# -- pace ------------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(0, 600), max_size=200).map(sorted),
    st.integers(1, 20),
)
def test_no_minute_ever_has_more_turns_than_allowed(asked: list[float], per_minute: int) -> None:
    taken: list[float] = []
    for at in asked:
        taken.append(max(at, taken[-1] if taken else 0.0, free_at(taken, per_minute)))
    for number in range(per_minute, len(taken)):
        assert taken[number] - taken[number - per_minute] >= 60 - 1e-6


def test_without_a_limit_a_turn_is_taken_up_at_once() -> None:
    assert free_at([1.0] * 50, 0) == 0.0
