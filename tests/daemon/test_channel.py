"""The pace and the holds of our side of WhatsApp, on a clock that jumps."""

import json
from io import StringIO

from support.stage import new_world
from trio.testing import MockClock

from daemon.conversation.send_pace import BURST, SendPace
from daemon.conversation.signals import ChatSignals
from daemon.domain.window import WindowRules
from daemon.errors import NumberTrouble

RULES = WindowRules(
    text_seconds=5,
    voice_seconds=8,
    typing_seconds=10,
    stop_seconds=1,
    max_wait_seconds=60,
    max_messages=50,
)


def signals() -> ChatSignals:
    """The attention of a chat that nothing disturbs."""
    return ChatSignals(
        RULES, pause_seconds=0, agent_seconds=5, stopping=lambda: False, now=lambda: 0.0
    )


async def test_a_burst_goes_at_once_and_later_sends_at_the_pace(autojump_clock: MockClock) -> None:
    """Sixty messages a minute: the first burst is free, then one a second, over all chats."""
    channel = SendPace(per_minute=60, log=new_world(StringIO()).log)
    for _ in range(BURST):
        await channel.wait_turn(signals())
    assert autojump_clock.current_time() == 0
    times = []
    for _ in range(3):
        await channel.wait_turn(signals())
        times.append(autojump_clock.current_time())
    assert times == [1, 2, 3]


async def test_without_a_limit_no_send_waits(autojump_clock: MockClock) -> None:
    channel = SendPace(per_minute=0, log=new_world(StringIO()).log)
    for _ in range(10 * BURST):
        await channel.wait_turn(signals())
    assert autojump_clock.current_time() == 0


async def test_a_channel_that_refuses_holds_everybody_and_alerts_once(
    autojump_clock: MockClock,
) -> None:
    lines = StringIO()
    channel = SendPace(per_minute=0, log=new_world(lines).log)
    await channel.wait_turn(signals())
    channel.refused(NumberTrouble("not linked", status=401))
    await channel.wait_turn(signals())
    assert autojump_clock.current_time() == 5
    channel.refused(NumberTrouble("not linked", status=401))
    assert channel.trouble
    await channel.wait_turn(signals())
    assert autojump_clock.current_time() == 15
    channel.worked()
    assert not channel.trouble
    logged = [json.loads(line)["event"] for line in lines.getvalue().splitlines()]
    assert logged == ["channel trouble, sends are held", "channel is back, sends go on"]
