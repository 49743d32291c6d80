"""The watchdog is fed for as long as all parts get on, and not a moment longer."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from io import StringIO

import pytest
import trio
from trio.testing import MockClock

from daemon.domain.redaction import Redactor
from daemon.observability.logs import Log, open_log
from daemon.system.systemd import Sign, keep_feeding, watchdog_seconds


class MessageTrace:
    """Where the food is counted."""

    def __init__(self) -> None:
        self.fed: list[float] = []
        self.written = StringIO()

    def notify(self, message: str) -> None:
        assert message == "WATCHDOG=1"
        self.fed.append(trio.current_time())

    @property
    def log(self) -> Log:
        return open_log(
            stream=self.written,
            level="info",
            format="json",
            redactor=Redactor([]),
            now=lambda: datetime.now(UTC),
        )

    async def feed(self, *shows: Callable[[], Awaitable[bool]], seconds: float) -> list[float]:
        """Let so much time pass with these signs; gives the times of the food since the start."""
        began = trio.current_time()
        signs = [Sign(f"part {number}", show) for number, show in enumerate(shows)]
        with trio.move_on_after(seconds):
            await keep_feeding(30, signs, self.notify, self.log)
        return [at - began for at in self.fed]


async def well() -> bool:
    return True


async def unwell() -> bool:
    return False


async def hangs() -> bool:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_interval_is_read_for_our_process_only(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert watchdog_seconds(environ, 7) == seconds


async def test_it_is_fed_three_times_in_the_time_that_there_is(
    autojump_clock: MockClock,
) -> None:
    assert await MessageTrace().feed(well, well, seconds=35) == [0, 10, 20, 30]
    assert autojump_clock.current_time() == 35


async def test_a_part_that_hangs_or_fails_is_named_and_the_watchdog_is_not_fed(
    autojump_clock: MockClock,
) -> None:
    life = MessageTrace()
    assert await life.feed(well, hangs, seconds=35) == []
    assert "part 1" in life.written.getvalue()
    assert await life.feed(well, well, unwell, seconds=5) == []
    assert "part 2" in life.written.getvalue()
    assert autojump_clock.current_time() == 40


async def test_a_part_that_gets_on_again_is_enough(autojump_clock: MockClock) -> None:
    """One late sign is not the end: systemd waits for three."""
    answers = iter([hangs, well, well])

    async def slow_at_first() -> bool:
        return await next(answers)()

    assert await MessageTrace().feed(slow_at_first, seconds=25) == [10, 20]
    assert autojump_clock.current_time() == 25


async def test_without_a_watchdog_the_task_ends_at_once() -> None:
    life = MessageTrace()
    await keep_feeding(None, [Sign("part", well)], life.notify, life.log)
    assert life.fed == []
