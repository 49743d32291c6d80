"""The window in which a burst is gathered: when it closes, and what keeps it open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from daemon.domain.window import (
    VOICE_KINDS,
    Window,
    WindowRules,
    after_message,
    after_presence,
    closes_at,
)

RULES = WindowRules(
    text_seconds=5,
    voice_seconds=8,
    typing_seconds=10,
    stop_seconds=1,
    max_wait_seconds=60,
    max_messages=50,
)

Sign = tuple[float, str]
"""Seconds since the last sign, and what it is: a kind of message or a presence."""

MESSAGES = ("text", "voice", "image")
PRESENCES = ("typing", "recording", "online", "offline", "pending")


def gather(*signs: Sign, rules: WindowRules = RULES, start: float = 100.0) -> Window | None:
    """The window after these signs, one after the other."""
    window: Window | None = None
    now = start
    for seconds, sign in signs:
        now += seconds
        if sign in PRESENCES:
            window = after_presence(window, sign, now, rules)
        else:
            window = after_message(window, sign, now, rules)
    return window


@pytest.mark.parametrize(
    ("signs", "closes"),
    [
        ([(0, "text")], 105),
        ([(0, "image")], 105),
        *(([(0, kind)], 108) for kind in sorted(VOICE_KINDS)),
        ([(0, "text"), (3, "text")], 108),
        ([(0, "voice"), (1, "text")], 108),
        ([(0, "text"), (1, "typing")], 111),
        ([(0, "text"), (1, "recording")], 111),
        ([(0, "text"), (1, "typing"), (9, "typing")], 120),
        # What was being typed has been sent: its sign counts no more.
        ([(0, "text"), (1, "typing"), (2, "text")], 108),
        # Stopped without sending: a moment more, but not less than after the message.
        ([(0, "text"), (1, "typing"), (6, "offline")], 108),
        ([(0, "text"), (1, "typing"), (1, "online")], 105),
        # Coming online says nothing about writing.
        ([(0, "text"), (1, "online")], 105),
        ([(0, "text"), (4.9, "offline")], 105),
        # A sign that is no longer believed cannot be ended.
        ([(0, "text"), (1, "typing"), (20, "offline")], 111),
        ([(0, "text"), *[(5, "typing")] * 20], 160),
        ([(0, "text"), *[(4, "text")] * 20], 160),
    ],
)
def test_the_time_at_which_a_window_closes(signs: list[Sign], closes: float) -> None:
    window = gather(*signs)
    assert window is not None
    assert closes_at(window, RULES) == closes


@pytest.mark.parametrize("presence", PRESENCES)
def test_presence_alone_opens_no_window(presence: str) -> None:
    assert gather((0, presence), (1, presence)) is None


def test_a_full_window_closes_at_once() -> None:
    window = gather(*[(0.1, "text")] * 49, (0.1, "typing"))
    assert window is not None
    assert closes_at(window, RULES) > 105
    window = after_message(window, "text", 105, RULES)
    assert window.messages == 50
    assert closes_at(window, RULES) <= 105


signs = st.lists(
    st.tuples(st.floats(0, 30), st.sampled_from(MESSAGES + PRESENCES)), min_size=1, max_size=60
)
rules = st.builds(
    WindowRules,
    text_seconds=st.floats(0, 30),
    voice_seconds=st.floats(0, 30),
    typing_seconds=st.floats(0, 30),
    stop_seconds=st.floats(0, 5),
    max_wait_seconds=st.floats(0, 120),
    max_messages=st.integers(1, 50),
)


@given(signs, rules)
def test_a_window_never_stays_open_longer_than_the_longest_wait(
    signs: list[Sign], rules: WindowRules
) -> None:
    window = gather(*signs, rules=rules)
    if window is not None:
        assert closes_at(window, rules) <= window.opened_at + rules.max_wait_seconds
        assert closes_at(window, rules) >= window.opened_at


@given(signs, rules)
def test_a_window_is_opened_by_a_message_and_by_nothing_else(
    signs: list[Sign], rules: WindowRules
) -> None:
    window = gather(*signs, rules=rules)
    messages = [sign for _, sign in signs if sign in MESSAGES]
    assert (window is None) == (not messages)
    if window is not None:
        assert window.messages == len(messages)
        until_first = next(n for n, (_, sign) in enumerate(signs) if sign in MESSAGES) + 1
        assert window.opened_at == pytest.approx(
            100 + sum(seconds for seconds, _ in signs[:until_first])
        )


@given(signs, st.sampled_from(MESSAGES), st.floats(0, 30), rules)
def test_a_message_is_given_its_own_wait(
    signs: list[Sign], kind: str, seconds: float, rules: WindowRules
) -> None:
    """A further message never closes a window sooner than its own wait, nor the one before it."""
    window = gather((0, "text"), *signs, rules=rules)
    assert window is not None
    now = 100 + sum(seconds for seconds, _ in signs) + seconds
    after = after_message(window, kind, now, rules)
    wait = rules.voice_seconds if kind == "voice" else rules.text_seconds
    if after.messages < rules.max_messages:
        latest = window.opened_at + rules.max_wait_seconds
        assert closes_at(after, rules) >= min(now + wait, latest)
        assert closes_at(after, rules) >= min(window.quiet_until, latest)


@given(signs, st.floats(0, 30), rules)
def test_a_sign_of_writing_never_closes_a_window_sooner_than_the_wait_after_a_message(
    signs: list[Sign], seconds: float, rules: WindowRules
) -> None:
    window = gather((0, "text"), *signs, rules=rules)
    assert window is not None
    quiet = closes_at(replace(window, writing_until=0), rules)
    for presence in PRESENCES:
        now = 100 + sum(seconds for seconds, _ in signs) + seconds
        after = after_presence(window, presence, now, rules)
        assert after is not None
        assert closes_at(after, rules) >= quiet
        assert after.messages == window.messages


@given(signs)
def test_windows_are_values(signs: list[Sign]) -> None:
    """The same signs at another hour make the same window, so much later."""
    early, late = gather(*signs), gather(*signs, start=100_000)
    assert (early is None) == (late is None)
    if early is not None and late is not None:
        assert closes_at(late, RULES) - closes_at(early, RULES) == pytest.approx(99_900)
