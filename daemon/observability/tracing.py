"""The trace of a turn: its stages, its calls, and how long each took.

A trace belongs to the turn's task and to the tasks that this one starts; they find it by a context
variable, like the fields of the log. Outside a turn the functions below do nothing. A trace holds
only fixed names, numbers and the names of tools, and nothing that anybody wrote.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_STAGES = 200
MOST_SPANS = 200
"""Of one turn, since a long outage repeats the same ones. Further ones are only counted."""

STAGES = (
    *("window", "init", "resumed", "processing", "openai_start", "function_calling"),
    *("post_tools_completed", "validation", "superseded", "retry_wait", "delivery"),
    *("completed", "failed", "interrupted"),
)
"""The stages of a turn, named as in the replaced system where it had the stage."""

Value = str | int | float | bool


class Stage(NamedTuple):
    """The beginning of a stage; the next one ends it. ``at`` in Unix seconds."""

    name: str
    at: float
    detail: str = ""


@dataclass(slots=True)
class Span:
    """One piece of work with a beginning and an end, in Unix seconds."""

    name: str
    began_at: float
    parent: int | None
    """Its place among the trace's spans; None for the turn itself."""
    ended_at: float = 0
    failed: bool = False
    attributes: dict[str, Value] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The duration."""
        return max(0.0, self.ended_at - self.began_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A turn in one line: its outcome, where the time went, what was called and used."""

    outcome: str
    seconds: float
    stages: str
    """Each stage with its seconds, in the order of first occurrence."""
    rounds: int
    """Calls of the model."""
    tools: int
    """Calls of tools."""
    tools_failed: int
    tokens_in: int
    tokens_out: int
    cost: float
    """In the configured currency."""


class Trace:
    """The stages and spans of one turn while it is worked on."""

    def __init__(
        self, request_id: str, turn_id: int, *, now: float, clock: Callable[[], float]
    ) -> None:
        """``now``: Unix seconds; ``clock`` is a steady clock for durations."""
        self.request_id = request_id
        self.turn_id = turn_id
        self.outcome = ""
        self.messages = 0
        """How many messages the turn answers."""
        self.left_out = 0
        """Stages and spans beyond the limits."""
        self.stages: list[Stage] = []
        self.spans: list[Span] = []
        self._clock = clock
        self._offset = now - clock()
        self._add_span("turn", None)

    def now(self) -> float:
        """Unix seconds on the trace's own steady clock."""
        return self._clock() + self._offset

    def stage(self, name: str, detail: str = "", *, at: float | None = None) -> None:
        """A stage has begun, now or at ``at``."""
        if len(self.stages) >= MOST_STAGES:
            self.left_out += 1
            return
        self.stages.append(Stage(name, self.now() if at is None else at, detail))

    def begin_span(self, name: str, parent: int) -> tuple[Span, int]:
        """Begin a span inside another; returns it with its place.

        A span beyond the limit is not kept, and its place is its parent's.
        """
        if len(self.spans) >= MOST_SPANS:
            self.left_out += 1
            return Span(name, self.now(), parent), parent
        return self._add_span(name, parent), len(self.spans) - 1

    def end(self, outcome: str) -> None:
        """End the trace; ``outcome`` only counts if none was set before."""
        self.outcome = self.outcome or outcome
        name = "failed" if self.outcome in {"dead", "crashed"} else "completed"
        name = "interrupted" if self.outcome == "interrupted" else name
        last = Stage(name, self.now(), self.outcome)
        self.stages.append(last)
        turn = self.spans[0]
        # The window belongs to the turn, although it was open before the turn began.
        turn.began_at = min(stage.at for stage in self.stages)
        turn.ended_at = last.at
        turn.failed = name == "failed"
        for span in self.spans:
            span.ended_at = span.ended_at or last.at

    def _add_span(self, name: str, parent: int | None) -> Span:
        span = Span(name, self.now(), parent)
        self.spans.append(span)
        return span

    def summary(self) -> "Summary":
        """Summarise the turn. Only after its end."""
        calls = [span for span in self.spans if span.name == "model call"]
        tools = [span for span in self.spans if span.name == "tool call"]
        return Summary(
            outcome=self.outcome,
            seconds=round(self.spans[0].seconds, 2),
            stages=", ".join(f"{name} {took:.2f}" for name, took in self._seconds().items()),
            rounds=len(calls),
            tools=len(tools),
            tools_failed=sum(span.failed for span in tools),
            tokens_in=sum(int(span.attributes.get("input_tokens", 0)) for span in calls),
            tokens_out=sum(int(span.attributes.get("output_tokens", 0)) for span in calls),
            cost=round(sum(float(span.attributes.get("cost", 0)) for span in calls), 6),
        )

    def _seconds(self) -> dict[str, float]:
        """The total duration of each stage, in the order of first occurrence."""
        seconds: dict[str, float] = {}
        for stage, following in zip(self.stages, self.stages[1:], strict=False):
            took = max(0.0, following.at - stage.at)
            seconds[stage.name] = seconds.get(stage.name, 0.0) + took
        return seconds


class _Place(NamedTuple):
    """The span and stage of the current task."""

    trace: Trace
    span: int


_here: ContextVar[_Place | None] = ContextVar("recado_trace", default=None)


@contextmanager
def followed(trace: Trace) -> Iterator[None]:
    """Make this the trace of the current task, and of tasks that it starts, inside the block."""
    token = _here.set(_Place(trace, 0))
    try:
        yield
    finally:
        _here.reset(token)


def stage(name: str, detail: str = "") -> None:
    """Record that the current turn, if any, begins one of `STAGES`."""
    here = _here.get()
    if here is not None:
        here.trace.stage(name, detail)


def outcome(name: str, *, messages: int) -> None:
    """Record the outcome of the current turn, if any, and the number of its messages."""
    here = _here.get()
    if here is not None:
        here.trace.outcome = name
        here.trace.messages = messages


@contextmanager
def span(name: str, **attributes: Value) -> Iterator[Span]:
    """Time the block as a span of the current turn; it has failed if an exception leaves it.

    A cancellation is no failure. Without a turn the span is not kept.
    """
    here = _here.get()
    if here is None:
        yield Span(name, 0, None)
        return
    begun, place = here.trace.begin_span(name, here.span)
    begun.attributes.update(attributes)
    token = _here.set(_Place(here.trace, place))
    try:
        yield begun
    except Exception:
        begun.failed = True
        raise
    finally:
        _here.reset(token)
        begun.ended_at = here.trace.now()


def exemplar() -> dict[str, str] | None:
    """The exemplar for an observation of a histogram: the current turn, if any."""
    here = _here.get()
    return None if here is None else {"request_id": here.trace.request_id}
