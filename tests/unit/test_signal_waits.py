"""The waits of a chat's task: what ends each of them, when, and how."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count

import pytest
import trio
from trio.testing import MockClock

from daemon.conversation.signals import ChatSignals, Stopping, TakenOver
from daemon.domain.messages import ChatKey
from daemon.domain.records import Arrival
from daemon.domain.transitions.handover import AN_AGENT
from daemon.domain.window import Window, WindowRules, closes_at

KEY = ChatKey("CHAN-1", "573001234567@s.whatsapp.net")
RULES = WindowRules(
    text_seconds=5,
    voice_seconds=8,
    typing_seconds=10,
    stop_seconds=1,
    max_wait_seconds=60,
    max_messages=50,
)
PAUSE_SECONDS = 60


class Chat:
    """A chat whose clocks are all trio's."""

    def __init__(self, *, never_paused: bool = False) -> None:
        self.stops = False
        self.signals = ChatSignals(
            RULES,
            pause_seconds=PAUSE_SECONDS,
            agent_seconds=5,
            stopping=lambda: self.stops,
            now=trio.current_time,
            never_paused=never_paused,
        )

    def customer_writes(self) -> None:
        self.signals.arrived(Arrival(KEY, "message", received_at=trio.current_time()))

    def agent_writes(self) -> None:
        self.signals.arrived(Arrival(KEY, "agent", received_at=trio.current_time()))

    def operator_releases(self) -> None:
        assert self.signals.released()

    def daemon_stops(self) -> None:
        self.stops = True
        self.signals.wake()

    def nothing_of_importance(self) -> None:
        self.signals.wake()


Event = Callable[[Chat], None]


async def ends_at(chat: Chat, wait: Callable[[], Awaitable[None]], *events: Event) -> float:
    """How long a wait lasts. The events come two seconds after its beginning and each other."""
    began = trio.current_time()

    async def come() -> None:
        for event in events:
            await trio.sleep(2)
            event(chat)

    ended = began
    async with trio.open_nursery() as nursery:
        nursery.start_soon(come)
        await wait()
        ended = trio.current_time()
        nursery.cancel_scope.cancel()
    return ended - began


@pytest.mark.parametrize(
    ("events", "at"),
    [
        ([], 10),
        ([Chat.nothing_of_importance], 10),
        ([Chat.customer_writes], 10),
        ([Chat.operator_releases], 2),
        ([Chat.nothing_of_importance, Chat.operator_releases], 4),
    ],
)
async def test_a_rest_lasts_so_long_unless_an_operator_ends_it(
    autojump_clock: MockClock, events: list[Event], at: float
) -> None:
    chat = Chat()
    assert await ends_at(chat, lambda: chat.signals.rest(10), *events) == at
    assert autojump_clock.current_time() == at
    # A release counts once, and there is nothing to release between two rests.
    assert not chat.signals.released()
    assert await ends_at(chat, lambda: chat.signals.rest(10)) == 10


@pytest.mark.parametrize(
    ("event", "error"), [(Chat.agent_writes, TakenOver), (Chat.daemon_stops, Stopping)]
)
async def test_a_rest_is_broken_off(
    autojump_clock: MockClock, event: Event, error: type[Exception]
) -> None:
    chat = Chat()

    async def rest() -> None:
        with pytest.raises(error):
            await chat.signals.rest(10)

    assert await ends_at(chat, rest, event) == 2
    assert autojump_clock.current_time() == 2
    assert not chat.signals.released()


@pytest.mark.parametrize(
    ("events", "at"),
    [
        ([], 10),
        ([Chat.nothing_of_importance], 10),
        ([Chat.customer_writes], 2),
        ([Chat.agent_writes], 2),
        ([Chat.operator_releases], 2),
    ],
)
async def test_the_wait_before_another_try_ends_with_a_new_message(
    autojump_clock: MockClock, events: list[Event], at: float
) -> None:
    chat = Chat()
    assert await ends_at(chat, lambda: chat.signals.rest_until_news(10), *events) == at
    assert autojump_clock.current_time() == at


async def test_the_wait_before_another_try_is_broken_off_by_the_stop(
    autojump_clock: MockClock,
) -> None:
    chat = Chat()

    async def rest() -> None:
        with pytest.raises(Stopping):
            await chat.signals.rest_until_news(10)

    assert await ends_at(chat, rest, Chat.daemon_stops) == 2
    assert autojump_clock.current_time() == 2


@pytest.mark.parametrize(
    ("events", "at"),
    [
        ([], 5),
        ([Chat.nothing_of_importance], 5),
        ([Chat.customer_writes], 7),
        ([Chat.customer_writes, Chat.customer_writes], 9),
        ([Chat.agent_writes], 2),
    ],
)
async def test_a_burst_is_waited_for_until_it_is_quiet(
    autojump_clock: MockClock, events: list[Event], at: float
) -> None:
    chat = Chat()
    assert await ends_at(chat, chat.signals.rest_until_quiet) == 0
    chat.customer_writes()
    assert await ends_at(chat, chat.signals.rest_until_quiet, *events) == at
    assert autojump_clock.current_time() == at


async def test_the_stop_ends_the_wait_for_a_burst(autojump_clock: MockClock) -> None:
    chat = Chat()
    chat.customer_writes()

    async def rest() -> None:
        with pytest.raises(Stopping):
            await chat.signals.rest_until_quiet()

    assert await ends_at(chat, rest, Chat.daemon_stops) == 2
    assert autojump_clock.current_time() == 2


@pytest.mark.parametrize(
    ("events", "at", "ended"),
    [
        ([], 10, True),
        ([Chat.customer_writes], 10, True),
        ([Chat.agent_writes], 2, False),
        ([Chat.daemon_stops], 2, False),
        ([Chat.customer_writes, Chat.agent_writes], 4, False),
    ],
)
async def test_another_wait_is_called_off_by_a_pause_and_by_the_stop(
    autojump_clock: MockClock, events: list[Event], at: float, *, ended: bool
) -> None:
    chat, done = Chat(), []

    async def wait() -> None:
        await trio.sleep(10)
        done.append(True)

    assert await ends_at(chat, lambda: chat.signals.unless_interrupted(wait), *events) == at
    assert autojump_clock.current_time() == at
    assert bool(done) is ended


async def test_the_request_of_a_send_is_cut_by_an_operator_alone(autojump_clock: MockClock) -> None:
    chat, cut = Chat(), []

    async def send() -> None:
        with chat.signals.sending() as scope:
            await trio.sleep(10)
        cut.append(scope.cancelled_caught)

    assert await ends_at(chat, send, Chat.agent_writes) == 10
    assert await ends_at(chat, send, Chat.operator_releases) == 2
    assert cut == [False, True]
    assert autojump_clock.current_time() == 12
    assert not chat.signals.released()


async def test_being_woken_counts_once(autojump_clock: MockClock) -> None:
    chat = Chat()
    chat.signals.work_stored()
    assert await chat.signals.woken(5)
    assert autojump_clock.current_time() == 0
    assert not await chat.signals.woken(5)
    assert autojump_clock.current_time() == 5


async def test_other_rules_hold_for_an_open_window_and_the_next_pause(
    autojump_clock: MockClock,
) -> None:
    chat = Chat()
    chat.customer_writes()

    def read_again(_: Chat) -> None:
        longer = replace(RULES, max_wait_seconds=3)
        chat.signals.config_replaced(longer, pause_seconds=30)

    assert await ends_at(chat, chat.signals.rest_until_quiet, read_again) == 3
    assert autojump_clock.current_time() == 3
    chat.agent_writes()
    assert chat.signals.pause_ends_in == 30


async def test_a_message_stored_late_counts_from_its_arrival(autojump_clock: MockClock) -> None:
    chat = Chat()
    await trio.sleep(100)
    chat.signals.arrived(Arrival(KEY, "message", received_at=97))
    assert await ends_at(chat, chat.signals.rest_until_quiet) == 2
    chat.signals.arrived(Arrival(KEY, "agent", received_at=99))
    assert autojump_clock.current_time() == 102
    assert chat.signals.pause_ends_in == PAUSE_SECONDS - 3
    assert not chat.signals.agent_has_finished
    await trio.sleep(2)
    assert chat.signals.agent_has_finished


async def test_the_bot_is_not_paused_in_the_agents_own_chat(autojump_clock: MockClock) -> None:
    chat = Chat(never_paused=True)
    chat.agent_writes()
    assert not chat.signals.is_paused
    assert chat.signals.pause_ends_in == 0
    chat.signals.check()
    assert await ends_at(chat, lambda: chat.signals.rest(10), Chat.agent_writes) == 10
    assert autojump_clock.current_time() == 10


async def test_a_message_that_only_extends_the_window_wakes_no_task(
    autojump_clock: MockClock,
) -> None:
    """And once that wait is over, any message does."""
    chat = Chat()
    chat.customer_writes()
    assert await chat.signals.woken(5)

    async def wait() -> None:
        await chat.signals.woken_in_window(trio.current_time() + 5)

    assert await ends_at(chat, wait, Chat.customer_writes) == 5
    assert await ends_at(chat, wait, Chat.agent_writes) == 2
    chat.customer_writes()
    assert await chat.signals.woken(5)
    assert autojump_clock.current_time() == 7


async def test_messages_at_the_longest_wait_wake_no_task(autojump_clock: MockClock) -> None:
    """Although every look at a clock takes a moment."""
    looks = count()
    signals = ChatSignals(
        RULES,
        pause_seconds=PAUSE_SECONDS,
        agent_seconds=5,
        stopping=bool,
        now=trio.current_time,
        clock=lambda: trio.current_time() + next(looks) / 1e6,
    )

    def write() -> None:
        signals.arrived(Arrival(KEY, "message", received_at=trio.current_time()))

    write()
    for _ in range(14):
        await trio.sleep(4)
        write()
    assert await signals.woken(1)
    due = signals.next_due(lambda window: closes_at(window, RULES))
    assert due is not None
    assert round(due) == RULES.max_wait_seconds
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signals.woken_in_window, due)
        for _ in range(3):
            await trio.sleep(1)
            write()
    assert round(autojump_clock.current_time()) == RULES.max_wait_seconds


@pytest.mark.parametrize("wait", ["rest", "rest_until_news"])
async def test_a_wait_that_is_woken_near_its_end_goes_on_to_it(
    autojump_clock: MockClock, wait: str
) -> None:
    chat = Chat()
    rest = getattr(chat.signals, wait)
    assert await ends_at(chat, lambda: rest(2.5), Chat.nothing_of_importance) == 2.5
    assert autojump_clock.current_time() == 2.5


async def test_a_typing_contact_is_waited_for_and_answered_soon_after(
    autojump_clock: MockClock,
) -> None:
    def types(chat: Chat) -> None:
        chat.signals.presence("typing")

    def stops_typing(chat: Chat) -> None:
        chat.signals.presence("paused")

    chat = Chat()
    chat.customer_writes()
    assert await ends_at(chat, chat.signals.rest_until_quiet, types) == 2 + RULES.typing_seconds
    chat.signals.window_closed()
    chat.customer_writes()
    wait = ends_at(chat, chat.signals.rest_until_quiet, types, stops_typing)
    assert await wait == 5
    assert autojump_clock.current_time() == 17


async def test_an_operators_pause_cuts_the_run_and_one_that_is_over_does_not(
    autojump_clock: MockClock,
) -> None:
    chat, cuts = Chat(), []
    await trio.sleep(10)
    with chat.signals.running(lambda: cuts.append("cut"), news_may_cancel=bool):
        chat.signals.paused(5)
        assert cuts == []
        chat.signals.paused(11)
        assert cuts == ["cut"]
        assert chat.signals.interruption == "takeover"
    assert autojump_clock.current_time() == 10


async def test_the_pause_of_a_loop_is_over_with_an_agents_word_and_an_operators(
    autojump_clock: MockClock,
) -> None:
    for event in (Chat.agent_writes, lambda chat: chat.signals.paused(90)):
        chat = Chat()
        chat.signals.loop_known(100)
        assert (chat.signals.is_paused, chat.signals.in_loop) == (True, True)
        event(chat)
        assert (chat.signals.is_paused, chat.signals.in_loop) == (True, False)
        assert chat.signals.pause_reason == AN_AGENT
    assert autojump_clock.current_time() == 0


async def test_open_messages_of_the_store_are_due_at_the_end_of_the_pause(
    autojump_clock: MockClock,
) -> None:
    chat = Chat()
    await trio.sleep(10)
    chat.signals.pause_known(25)
    chat.signals.work_found(waits=False, notes=False)
    assert chat.signals.next_due(lambda _window: 0) is None
    chat.signals.work_found(waits=True, notes=False)
    chat.signals.work_found(waits=False, notes=False)
    assert chat.signals.waits
    assert chat.signals.next_due(lambda _window: 0) == 25
    assert not chat.signals.notes_begun()
    chat.signals.work_found(waits=False, notes=True)
    chat.signals.work_found(waits=False, notes=False)
    assert chat.signals.next_due(lambda _window: 0) == 10
    assert chat.signals.notes_begun()
    assert autojump_clock.current_time() == 10


async def test_messages_that_waited_long_enough_make_a_window_that_closes_now(
    autojump_clock: MockClock,
) -> None:
    chat = Chat()
    await trio.sleep(10)
    chat.signals.window_due(3)
    assert chat.signals.window == Window(opened_at=10, quiet_until=10, messages=3)
    chat.signals.window_due(7)
    assert chat.signals.window.messages == 3
    assert autojump_clock.current_time() == 10


async def test_after_a_voice_note_the_wait_is_its_own(autojump_clock: MockClock) -> None:
    chat = Chat()
    chat.signals.arrived(Arrival(KEY, "message", kind="voice", received_at=0))
    assert await ends_at(chat, chat.signals.rest_until_quiet) == RULES.voice_seconds
    assert autojump_clock.current_time() == RULES.voice_seconds


async def test_messages_that_may_not_cut_the_run_are_not_in_its_answer(
    autojump_clock: MockClock,
) -> None:
    chat, cuts = Chat(), []
    with (
        chat.signals.working(),
        chat.signals.running(lambda: cuts.append("cut"), news_may_cancel=lambda: False),
    ):
        chat.customer_writes()
        assert chat.signals.interruption is None
        assert cuts == []
    assert chat.signals.turn_opened()
    assert autojump_clock.current_time() == 0
