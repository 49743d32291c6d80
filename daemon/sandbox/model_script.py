"""What the simulated model is told to say, and how it is told to fail. Pure values.

Tests write steps; `daemon.sandbox.model_wit` writes outputs when nobody does.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Say:
    """A message to the customer."""

    text: str
    phase: str = ""
    """``commentary`` or ``final_answer``, as models from gpt-5.3 on say; empty: not said."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function call with its arguments as JSON text, so that broken JSON can be sent too."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Think:
    """A reasoning item, as reasoning models put before what they say or call."""

    summary: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """Any other output item, or a message of unusual parts, as it is."""

    fields: dict[str, Any]


Output = Say | Call | Think | Item


class Gate(Protocol):
    """Something that can be waited for, such as a trio.Event."""

    def wait(self) -> Awaitable[Any]:
        """Return once it is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How the server treats one request. The default step answers as the model's wit does.

    The faults are looked at in the order of the fields; they may be combined where that makes
    sense (`gate` with `cut_after`, say).
    """

    when: Callable[[dict[str, Any]], bool] | None = None
    """Takes only requests whose body it returns True for; None takes the next one."""

    status: int = 200
    """Anything else is answered at once, with an error of `code` and `message`."""
    code: str | None = None
    message: str = "This is a scripted fault."
    headers: dict[str, str] = field(default_factory=dict)

    hang_up: bool = False
    """Close the connection without any answer."""
    garbage: bool = False
    """Answer 200 with a stream that is no JSON."""

    outputs: tuple[Output, ...] | None = None
    """What the model says; None: what the wit says; (): nothing at all."""
    echo: bool = False
    """Say the customer's last text back."""

    gate: Gate | None = None
    """Waited for before event number `gate_at`; a gate that never opens is a model that hangs."""
    gate_at: int = 2
    """The default is after ``response.created`` and ``response.in_progress``."""
    tokens_per_second: float | None = None
    """Pace of the deltas; None is the server's own, 0 is no pace."""
    cut_after: int | None = None
    """The connection is cut after that many events. A background response runs on."""

    failed: str = ""
    """End with ``response.failed`` and this code."""
    error_event: str = ""
    """End with an ``error`` event of this code, and nothing after it."""
    incomplete: str = ""
    """End with ``response.incomplete`` for this reason."""


def say(text: str, **how: Any) -> Step:
    """Return a step that answers with one text."""
    return Step(outputs=(Say(text),), **how)


def call(name: str, arguments: str = "{}", **how: Any) -> Step:
    """Return a step that asks for one function call."""
    return Step(outputs=(Call(name, arguments),), **how)
