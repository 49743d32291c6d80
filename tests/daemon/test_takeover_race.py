"""An agent writes in the very moment in which the bot sends: nothing is said over their words."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing
from support.model_script import say
from support.rows import change
from support.scenes import found, open_scene, outbox, outcomes
from support.stage import LAURA, Stage

from daemon.domain.rendering.outgoing import Outgoing
from daemon.gateway.port import Gateway


@dataclass
class SlowToConnect:
    """Whapi, at the end of a line on which a connection takes as long as a test wants."""

    gateway: Gateway
    reached: trio.Event
    connected: trio.Event

    async def send(
        self, chat: str, message: Outgoing, *, before: Callable[[], Awaitable[None]]
    ) -> str:
        """Send one message, once connected."""
        self.reached.set()
        await self.connected.wait()
        return await self.gateway.send(chat, message, before=before)

    def __getattr__(self, name: str) -> object:
        return getattr(self.gateway, name)


async def started(stage: Stage) -> SlowToConnect:
    """Start the daemon with a slow line to Whapi; gives what the lines of all its lives share."""
    reached, connected = trio.Event(), trio.Event()
    lines: list[SlowToConnect] = []

    def wrap(gateway: Gateway) -> Gateway:
        lines.append(SlowToConnect(gateway, reached, connected))
        return cast("Gateway", lines[-1])

    stage.wrap_gateway = wrap  # type: ignore[method-assign]
    await stage.start()
    return lines[0]


async def test_an_agent_between_the_commit_and_the_first_byte_is_not_spoken_over(
    tmp_path: Path,
) -> None:
    """The row is `sending` on disk and the request about to be made: it is called off."""
    async with open_scene(tmp_path, started=False) as stage:
        line = await started(stage)
        stage.model.script(say("uno\n\ndos"))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await line.reached.wait()
        assert outbox(stage)[0] == ("sending", "uno")
        await stage.gateway.agent_says(LAURA, "Yo sigo")
        line.connected.set()
        await found(lambda: outcomes(stage) == ["handed_off"])
        assert (stage.received(), stage.gateway.calls("send")) == ([], [])
        assert outbox(stage) == [("dropped", "uno"), ("dropped", "dos")]


@pytest.mark.parametrize("slept", [True, False])
async def test_after_a_standstill_the_pause_is_read_again(tmp_path: Path, *, slept: bool) -> None:
    """A pause that only the store knows of counts if the last reading is over a second old.

    The clock is that of the machine's whole life: its sleep, and a stop of the process, count.
    """
    async with open_scene(tmp_path, started=False) as stage:
        line = await started(stage)
        stage.model.script(say("uno"))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await line.reached.wait()
        later = stage.environment.now() + 60
        change(stage.settings.data_dir, "chats", {"paused_until": later})
        stage.slept_seconds = 2.0 if slept else 0.0
        line.connected.set()
        await found(lambda: outcomes(stage) == (["handed_off"] if slept else ["answered"]))
        assert stage.received() == ([] if slept else ["uno"])


async def test_a_stop_before_the_first_byte_leaves_the_message_to_the_next_start(
    tmp_path: Path,
) -> None:
    """It certainly was not said, and is said by the next process, without a look into the chat."""
    async with open_scene(tmp_path, started=False) as stage:
        line = await started(stage)
        stage.model.script(say("uno"))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await line.reached.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.stop)
            await stage.environment.stop.wait()
            await trio.testing.wait_all_tasks_blocked(0.05)
            line.connected.set()
        assert outbox(stage) == [("pending", "uno")]
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        assert (stage.received(), stage.gateway.calls("list")) == (["uno"], [])
