"""The log: one line an event, for people on a terminal, for the journal, as JSON for all else.

Built on structlog without its global configuration: ``open_log`` makes a logger, which is passed to
whoever logs. The steps of an event: fields of the context (`about`), redaction, taps, level, noise,
output. Redaction comes after everything that adds words, so no field, exception or library's line
can carry a secret or a phone number past it.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType
from typing import Any, TextIO

import structlog
import trio
from structlog.processors import format_exc_info

from daemon.domain.messages import ChatKey
from daemon.domain.redaction import Redactor
from daemon.observability.events import (
    CONTEXT_FIELDS,
    PLAIN,
    REPEATED,
    SHOWN_CHARACTERS,
    EventKind,
    Language,
    Level,
)
from daemon.observability.lines import PERIOD_SECONDS, LogRecord, Noise, Repeated, Tap, with_fields
from daemon.observability.outputs import Format, Output, open_output

# -- the writer ------------------------------------------------------------------------------------


SEVERITY = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class LogWriter:
    """Takes the events of all loggers. May be called from any task or thread."""

    def __init__(
        self,
        output: Output,
        *,
        level: str,
        redactor: Redactor,
        now: Callable[[], datetime],
        language: Language,
        strict: bool,
    ) -> None:
        """``strict``: see `check`."""
        self._output = output
        self.set_level(level)
        self._redactor = redactor
        self._now = now
        self._strict = strict
        self._language: Language = language
        self._noise = Noise()
        self._noise_mutex = threading.Lock()
        self._taps: tuple[tuple[Collection[EventKind], Tap, bool], ...] = ()
        self.chat_hash: Callable[[ChatKey], str] = _unknown

    def set_level(self, level: str) -> None:
        """See `daemon.observability.logs.Log.set_level`."""
        self._threshold = SEVERITY[level]

    @contextmanager
    def tapped(self, tap: Tap, kinds: Collection[EventKind], *, repeated: bool) -> Iterator[None]:
        """See `daemon.observability.logs.Log.tapped`."""
        entry = (kinds, tap, repeated)
        self._taps = (*self._taps, entry)
        try:
            yield
        finally:
            self._taps = tuple(known for known in self._taps if known is not entry)

    def check(self, kind: EventKind, fields: Collection[str]) -> None:
        """Raise TypeError if a strict log is given a field that the kind does not declare."""
        if self._strict and not kind.fields.union(CONTEXT_FIELDS).issuperset(fields):
            unknown = sorted(set(fields) - kind.fields - CONTEXT_FIELDS)
            raise TypeError(f"the event {kind.name!r} has no fields {unknown}")

    def take(self, kind: EventKind, event: str, level: Level, fields: dict[str, Any]) -> None:
        """Write an event and pass it to the taps of its kind; takes over ``fields``."""
        taps = [known for known in self._taps if kind in known[0]] if self._taps else []
        written = SEVERITY[level] >= self._threshold
        if not written and not taps:
            return
        at = self._now()
        if written:
            self._write_repeated(at, self._ended(at))
            written = self._admits(kind, event, fields, at)
            if not written:
                taps = [known for known in taps if known[2]]
                if not taps:
                    return
        record = self._record(kind, event, level, at, fields)
        for _, tap, _ in taps:
            tap(record)
        if written:
            self._write(record)

    def together(self) -> AbstractContextManager[None]:
        """See `daemon.observability.logs.Log.together`."""
        return self._output.together()

    def close(self) -> None:
        """Write the counts of lines left out so far, and close the output."""
        with self._noise_mutex:
            left_out = self._noise.end()
        self._write_repeated(self._now(), left_out)
        self._output.close()

    # -- noise ---------------------------------------------------------------------------------

    def _ended(self, at: datetime) -> list[Repeated]:
        if not self._noise.counts:
            return []
        with self._noise_mutex:
            return self._noise.ended(at.timestamp())

    def _admits(self, kind: EventKind, event: str, fields: Mapping[str, Any], at: datetime) -> bool:
        if not kind.per_minute:
            return True
        # A library's lines differ each time, so they are counted by the library.
        key = str(fields.get("library", event))
        with self._noise_mutex:
            return self._noise.admits(key, limit=kind.per_minute, now=at.timestamp())

    def _write_repeated(self, at: datetime, left_out: list[Repeated]) -> None:
        for repeated in left_out:
            fields: dict[str, Any] = {
                "what": repeated.key,
                "count": repeated.lines,
                "period": round(PERIOD_SECONDS),
            }
            self._write(self._record(REPEATED, REPEATED.name, REPEATED.level, at, fields))

    # -- the record ----------------------------------------------------------------------------

    def _write(self, record: LogRecord) -> None:
        chat_hash = self.chat_hash(record.chat) if record.chat and record.chat.number else ""
        self._output.write(record, chat_hash)

    def _record(
        self, kind: EventKind, event: str, level: Level, at: datetime, given: dict[str, Any]
    ) -> LogRecord:
        symbol = self._redactor.text(given.pop("symbol")) if "symbol" in given else kind.symbol
        chat = given.get("chat")
        if isinstance(chat, ChatKey):
            given["chat"] = chat.chat
        elif chat is not None:
            chat = ChatKey("", str(chat))
        self._complete(level, given)
        request = given.pop("request", "")
        fields = self._redactor.fields(given)
        if request:  # made here, and lines are looked up by it
            fields["request"] = request
        if kind.template(self._language):
            if type(shown_text := fields.get("text")) is str:
                fields["text"] = shown_text[:SHOWN_CHARACTERS]
            line = kind.line(self._language, fields)
        else:
            event = self._redactor.text(event)
            line = with_fields(event, fields)
        return LogRecord(
            kind=kind,
            event=event,
            symbol=symbol,
            level=level,
            at=at,
            line=line,
            fields=fields,
            chat=chat,
            # Unmasked: the turn's name may look like a number, and lines are looked up by it.
            turn=str(given.get("turn", "")),
        )

    def _complete(self, level: Level, fields: dict[str, Any]) -> None:
        """Add the exception as text, the task, and the number of lost lines."""
        if "exc_info" in fields:
            format_exc_info(None, level, fields)
        if SEVERITY[level] >= SEVERITY["warning"] and "task" not in fields:
            task = _task_name()
            if task:
                fields["task"] = task
        if self._output.lost:
            fields["lost_lines"] = self._output.lost


def _task_name() -> str:
    """The name of the task that logs; empty outside of trio."""
    try:
        return trio.lowlevel.current_task().name
    except RuntimeError:
        return ""


def _unknown(_chat: ChatKey) -> str:
    return ""


_surroundings: ContextVar[Mapping[str, Any]] = ContextVar(
    "surroundings", default=MappingProxyType({})
)
"""The context fields of the current task; tasks and threads that it starts inherit them."""


class Log(structlog.BoundLoggerBase):
    """The daemon's log: ``log.event(KIND, name=value)`` or ``log.info("words", …)``.

    ``chat`` is a `ChatKey` wherever there is one. ``symbol`` is shown in front of the words on a
    terminal. ``log.bind(name=value)`` gives a log that adds the fields to each of its lines. May be
    used from any task or thread.
    """

    _logger: LogWriter

    def event(self, kind: EventKind, /, **fields: Any) -> None:
        """Log an event; its fields are those that the kind declares.

        Raises TypeError for other fields if the log is strict, as in tests.
        """
        self._logger.check(kind, fields)
        self._logger.take(kind, kind.name, kind.level, self._merged(fields))

    def debug(self, words: str, /, **fields: Any) -> None:
        """Log what only matters when looking for a fault."""
        self._plain("debug", words, fields)

    def info(self, words: str, /, **fields: Any) -> None:
        """Log what an operator may want to know."""
        self._plain("info", words, fields)

    def warning(self, words: str, /, **fields: Any) -> None:
        """Log what an operator should look at."""
        self._plain("warning", words, fields)

    def error(self, words: str, /, **fields: Any) -> None:
        """Log what an operator has to repair."""
        self._plain("error", words, fields)

    def critical(self, words: str, /, **fields: Any) -> None:
        """Log what stops the daemon."""
        self._plain("critical", words, fields)

    def tapped(
        self, tap: Tap, kinds: Collection[EventKind], *, repeated: bool = False
    ) -> AbstractContextManager[None]:
        """Pass the events of these kinds to ``tap``, whatever the level, inside the block.

        ``repeated``: also those that are left out because their kind has a limit.
        """
        return self._logger.tapped(tap, kinds, repeated=repeated)

    def together(self) -> AbstractContextManager[None]:
        """Write the lines of the block at its end, with few system calls. No task waits in it."""
        return self._logger.together()

    def set_level(self, level: str) -> None:
        """Write lines of this level or above from now on."""
        self._logger.set_level(level)

    def hash_chats(self, chat_hash: Callable[[ChatKey], str]) -> None:
        """Name chats by this hash from now on, in outputs for machines."""
        self._logger.chat_hash = chat_hash

    def close(self) -> None:
        """Write how many lines were left out as noise; later lines go to the stream."""
        self._logger.close()

    def _plain(self, level: Level, words: str, fields: dict[str, Any]) -> None:
        self._logger.take(PLAIN[level], words, level, self._merged(fields))

    def _merged(self, fields: dict[str, Any]) -> dict[str, Any]:
        surroundings = _surroundings.get()
        if surroundings or self._context:
            return {**surroundings, **self._context, **fields}
        return fields


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Add these fields to every line of the current task, and of tasks it starts, in the block.

    Nests; a field of an inner block or of the line itself wins.
    """
    token = _surroundings.set({**_surroundings.get(), **fields})
    try:
        yield
    finally:
        _surroundings.reset(token)


def local_time() -> datetime:
    """The time in the zone of this machine."""
    return datetime.now().astimezone()


def open_log(
    *,
    stream: TextIO,
    level: str,
    redactor: Redactor,
    now: Callable[[], Any],
    format: Format = "auto",  # noqa: A002 - the name of the setting
    language: Language = "en",
    symbols: bool = True,
    no_color: bool = False,
    environ: Mapping[str, str] = MappingProxyType({}),
    strict: bool = False,
) -> Log:
    """Make the log that writes lines of ``level`` or above to ``stream``.

    ``format`` "auto" means: the journal if the stream is systemd's (``environ``), readable lines
    if it is a terminal, else JSON. ``now`` returns an aware time; people see it in its own zone,
    JSON has UTC. ``no_color`` is what NO_COLOR asks for (no-color.org); colour is for terminals
    only in any case. Writing never raises and never waits for a reader that has stopped reading:
    lines are lost instead, and counted in the next one.
    """
    output = open_output(stream, format=format, environ=environ, symbols=symbols, no_color=no_color)
    writer = LogWriter(
        output, level=level, redactor=redactor, now=now, language=language, strict=strict
    )
    return Log(writer, processors=[], context={})


class _LibraryHandler(logging.Handler):
    """Passes on the lines of libraries from the standard library's logging."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            words = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's arguments may not fit its message
            words = str(record.msg)
        fields: dict[str, Any] = {"library": record.name}
        if record.exc_info and record.exc_info[0] is not None:
            fields["exc_info"] = record.exc_info
        # Libraries may have invented other levels.
        if record.levelno >= logging.CRITICAL:
            self._log.critical(words, **fields)
        elif record.levelno >= logging.ERROR:
            self._log.error(words, **fields)
        else:
            self._log.warning(words, **fields)


@contextmanager
def route_library_logs(log: Log) -> Iterator[None]:
    """Send warnings and errors of all libraries to ``log`` inside the block.

    The handler is on the root logger, so hypercorn, httpx, openai and quart need no handlers of
    their own: their ``propagate`` is on by default. Hypercorn also writes on its own unless its
    ``errorlog`` is set to the logger ``hypercorn.error``.
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
