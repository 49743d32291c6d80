"""How far a run has come, shared by the run, its tool calls and the chat that may stop it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

from daemon.domain.records import NewPart

Speak = Callable[[str, int, NewPart], Awaitable[bool]]
"""Says something to the customer during a run: idempotency key of the call, which of the things
that the call says, the message. Gives False if it will not be said."""


async def _nobody_listens(_key: str, _ordinal: int, _part: NewPart) -> bool:
    return False


@dataclass(slots=True)
class Progress:
    """What a run has done so far, for those who may want to stop it."""

    effects: bool = False
    """True once a tool with side effects has started, or something was said to the customer: from
    then on it is not superseded."""
    deeds: dict[str, str] = field(default_factory=dict)
    """Outputs of the calls with side effects that this run has made, by what they do."""
    speak: Speak = _nobody_listens
    """How tools speak to the customer while they work."""
    time_limit: trio.CancelScope | None = None
    """The scope that ends the run when it takes too long."""

    @contextmanager
    def clock_stopped(self, longest_seconds: float) -> Iterator[None]:
        """Let a block take up to so many seconds without counting them as the run's own."""
        limit = self.time_limit
        if limit is None:
            yield
            return
        began, deadline = trio.current_time(), limit.deadline
        limit.deadline = deadline + longest_seconds
        try:
            yield
        finally:
            limit.deadline = deadline + min(trio.current_time() - began, longest_seconds)
