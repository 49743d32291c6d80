"""A side task begins again after each fault: later and later, and soon again after a quiet time."""

import random
from collections.abc import Iterator
from io import StringIO

import trio
import trio.testing
from support.stage import new_world

from daemon.ops.maintenance.tasks import CAP_SECONDS, QUIET_SECONDS, supervise


class Halves(random.Random):
    """A random number generator that always says the same."""

    def random(self) -> float:
        return 0.5


class Faulty:
    """A task that works for so long, and then fails; it ends after the last time."""

    def __init__(self, *seconds: float) -> None:
        self.began: list[float] = []
        self._seconds: Iterator[float] = iter(seconds)

    async def __call__(self) -> None:
        self.began.append(trio.current_time())
        for seconds in self._seconds:
            await trio.sleep(seconds)
            raise ValueError("a bug")

    def waits(self, *worked: float) -> list[float]:
        """How long each beginning was waited for, after the work before it."""
        pairs = zip(self.began, self.began[1:], worked, strict=False)
        return [round(later - earlier - seconds, 6) for earlier, later, seconds in pairs]


async def supervised(task: Faulty) -> int:
    """Supervise a task until it ends; gives how many faults were logged."""
    written = StringIO()
    await supervise(task, name="task", log=new_world(written).log, random=Halves())
    return written.getvalue().count("beginning again")


async def test_it_never_gives_up_and_waits_longer_each_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    task = Faulty(*[0.0] * 12)
    assert await supervised(task) == 12
    waits = task.waits(*[0.0] * 12)
    assert waits[:4] == [0.75, 1.5, 3.0, 6.0]
    assert waits[-1] == CAP_SECONDS * 0.75
    assert len(waits) == 12


async def test_after_a_quiet_time_it_begins_again_soon(
    autojump_clock: trio.testing.MockClock,
) -> None:
    del autojump_clock
    worked = (0.0, 0.0, 0.0, QUIET_SECONDS - 1, QUIET_SECONDS, 0.0)
    task = Faulty(*worked)
    await supervised(task)
    assert task.waits(*worked) == [0.75, 1.5, 3.0, 6.0, 0.75, 1.5]
