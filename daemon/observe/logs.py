"""The log: one line an event, for people on a terminal, as JSON for everything else.

Built on structlog without its global configuration: ``open_log`` makes a logger, whoever needs one
is given it. The steps of a line are: level, time, exception as text, redaction, taps, rendering,
writing. Redaction comes after everything that adds words, so no field, exception or library's line
can carry a secret or a phone number past it.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from daemon.observe.lines import human_line
from daemon.observe.redaction import Redactor
from daemon.observe.sink import LineSink

Log = FilteringBoundLogger
"""What the rest of the daemon logs with: ``log.info("words", symbol="👤", name=value)``.

``symbol`` is shown in front of the words on a terminal. ``log.bind(name=value)`` gives a log that
adds the fields to each of its lines. May be used from any task or thread.
"""

Tap = Callable[[Mapping[str, Any]], None]
"""Is shown each written event, redacted; must return at once and not raise."""


def open_log(
    *,
    stream: TextIO,
    level: str,
    human: bool | None,
    redactor: Redactor,
    now: Callable[[], datetime],
    no_color: bool = False,
    taps: Sequence[Tap] = (),
) -> Log:
    """Make the log that writes to ``stream`` whatever is at least as serious as ``level``.

    ``human`` None means: readable lines if the stream is a terminal, else JSON. ``now`` returns an
    aware time; people see it in its own zone, JSON has UTC. ``no_color`` is what NO_COLOR asks for
    (no-color.org); colour is for terminals only in any case. Writing never raises and never waits
    for a reader that has stopped reading: lines are lost instead, and counted in the next one.
    """
    terminal = stream.isatty()
    sink = LineSink(stream)
    render = (
        _HumanRenderer(color=terminal and not no_color)
        if (terminal if human is None else human)
        else _render_json
    )
    steps: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        _Redaction(redactor, now, sink, taps),
        render,
    ]
    return cast(
        "Log",
        structlog.wrap_logger(
            sink,
            processors=steps,
            wrapper_class=structlog.make_filtering_bound_logger(level),
            context_class=dict,
            cache_logger_on_first_use=False,
        ).bind(),
    )


class _Redaction:
    """Redacts an event, dates it, and shows it to the taps."""

    def __init__(
        self,
        redactor: Redactor,
        now: Callable[[], datetime],
        sink: LineSink,
        taps: Sequence[Tap],
    ) -> None:
        self._redactor = redactor
        self._now = now
        self._sink = sink
        self._taps = taps

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        if self._sink.lost:
            event_dict["lost_lines"] = self._sink.lost
        # The time is added here since it is ours and must stay whole.
        timestamp, level = self._now(), event_dict.pop("level", "info")
        fields = {
            self._redactor.text(str(name)): self._redactor.value(value)
            for name, value in event_dict.items()
        }
        event = {"timestamp": timestamp, "level": level, "event": fields.pop("event", "")} | fields
        for tap in self._taps:
            tap(event)
        return event


def _render_json(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> str:
    stamp: datetime = event_dict["timestamp"]
    text = stamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # Symbols are decoration for people; in JSON they would only be noise.
    fields = {name: value for name, value in event_dict.items() if name != "symbol"}
    return json.dumps(fields | {"timestamp": text}, ensure_ascii=False)


class _HumanRenderer:
    """Renders ``12:03:44 👤 words name=value``."""

    def __init__(self, *, color: bool) -> None:
        self._color = color

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> str:
        return human_line(event_dict, color=self._color)


class _LibraryHandler(logging.Handler):
    """Passes on what libraries say through the standard library's logging."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            words = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit are the library's fault
            words = str(record.msg)
        fields: dict[str, Any] = {"library": record.name}
        if record.exc_info and record.exc_info[0] is not None:
            fields["exc_info"] = record.exc_info
        # structlog knows the five usual levels only; libraries may have invented others.
        level = next(
            known
            for known in (logging.CRITICAL, logging.ERROR, logging.WARNING)
            if record.levelno >= known
        )
        self._log.log(level, words, **fields)


@contextmanager
def route_library_logs(log: Log) -> Iterator[None]:
    """Send warnings and worse of all libraries to ``log`` until the block is left.

    The handler sits on the root logger, so hypercorn, httpx, openai and quart need no mention;
    their ``propagate`` is on unless they are told otherwise. Hypercorn writes on its own as well
    unless its ``errorlog`` is set to the logger ``hypercorn.error``.
    """
    root = logging.getLogger()
    handler, level = _LibraryHandler(log), root.level
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
