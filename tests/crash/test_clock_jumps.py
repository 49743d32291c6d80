"""The wall clock jumps between two lives of the daemon: nothing is lost, nothing repeated.

Waits go by trio's clock, which no administrator can set; the wall clock only dates what is stored.
"""

from pathlib import Path
from typing import Any

import pytest
from support.model_script import say
from support.rows import states
from support.stage import LAURA, open_stage

from daemon.domain.messages import Message
from daemon.gateway.port import Gateway

HOUR = 3600.0
DAY = 24 * HOUR
JUMPS = [(0.0, HOUR), (0.0, -HOUR), (HOUR, 0.0), (-HOUR, 0.0), (9 * HOUR, 9 * HOUR)]
JUMPS += [(0.0, DAY), (0.0, -DAY), (DAY, 0.0), (-DAY, 0.0), (-DAY, -DAY)]
"""How far the clocks of the first and of the second life are ahead."""

RULES = {"echo_seconds": 0.1}


@pytest.mark.parametrize(("first", "second"), JUMPS)
async def test_a_window_cut_before_the_jump_is_answered_after_it(
    tmp_path: Path, first: float, second: float
) -> None:
    """At once or after a new window, never an hour later; and so is the message after it."""
    buffer = {"window_seconds": 0.5, "max_wait_seconds": 1.0}
    async with open_stage(tmp_path / "data", started=False, buffer=buffer) as stage:
        stage.later_seconds = first
        await stage.start()
        await stage.gateway.customer_says(LAURA, "una habitación")
        await stage.crash()
        stage.later_seconds = second
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.customer_says(LAURA, "gracias")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        assert len(stage.received()) == 2
        assert states(tmp_path / "data") == {"answered"}


@pytest.mark.parametrize(("first", "second"), JUMPS)
async def test_a_send_cut_before_the_jump_is_found_after_it(
    tmp_path: Path, first: float, second: float
) -> None:
    """No echo comes, so the chat is looked through, by a time that was wrong then or is now."""
    async with open_stage(tmp_path / "data", started=False, rules=RULES) as stage:
        stage.gateway.echoes.mode = "missing"
        stage.later_seconds = first
        await stage.start()
        stage.model.script(say("Con gusto."))
        cut = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "una habitación")
        await cut.reached.wait()
        await stage.crash()
        stage.later_seconds = second
        await stage.start()
        await stage.gateway.wait_for(lambda: bool(stage.gateway.calls("list")))
        await stage.quiet()
        assert stage.received() == ["Con gusto."]
        assert states(tmp_path / "data") == {"answered"}


async def test_a_wrong_clock_is_logged_once(tmp_path: Path) -> None:
    """As soon as the gateway has answered."""
    async with open_stage(tmp_path / "data", started=False, whapi={"check_seconds": 0.1}) as stage:
        stage.later_seconds = 9 * HOUR
        await stage.start()
        await stage.gateway.wait_for(lambda: len(stage.gateway.calls("health")) > 2)
        (line,) = stage.events("our clock differs from the gateway's")
        assert abs(line["seconds_behind"] + 9 * HOUR) < 60
        assert "recado_gateway_clock_seconds -32" in (await stage.get("/metrics")).text


class ClockSeenLate:
    """A gateway whose clock a process knows only after it has looked into a chat."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._has_listed = False

    @property
    def seconds_ahead(self) -> float | None:
        """By how much the gateway's clock is ahead of ours, once known."""
        return self._gateway.seconds_ahead if self._has_listed else None

    async def list_messages(self, chat: str, **query: Any) -> tuple[Message, ...]:
        """List a chat; the answer shows the gateway's clock."""
        listed = await self._gateway.list_messages(chat, **query)
        self._has_listed = True
        return listed

    def __getattr__(self, name: str) -> object:
        return getattr(self._gateway, name)


async def test_a_listing_that_shows_how_wrong_our_clock_is_is_made_again(tmp_path: Path) -> None:
    """The first one began where our clock, hours ahead, has the send: hours after it."""
    async with open_stage(tmp_path / "data", started=False, rules=RULES) as stage:
        stage.gateway.echoes.mode = "missing"
        stage.later_seconds = 9 * HOUR
        await stage.start()
        stage.model.script(say("Con gusto."))
        cut = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "una habitación")
        await cut.reached.wait()
        await stage.crash()
        stage.wrap_gateway = ClockSeenLate  # type: ignore[assignment, method-assign]
        await stage.start()
        await stage.gateway.wait_for(lambda: len(stage.gateway.calls("list")) == 2)
        await stage.quiet()
        assert stage.received() == ["Con gusto."]
        assert states(tmp_path / "data") == {"answered"}
