"""The log: one line an event, for people on a terminal, for the journal, as JSON for all else.

Built on structlog without its global configuration: ``open_log`` makes a logger, whoever needs one
is given it. An event goes: fields of its surroundings (`about`), redaction, taps, level, noise,
writing. Redaction comes after everything that adds words, so no field, exception or library's line
can carry a secret or a phone number past it.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TextIO

import structlog

from daemon.domain.messages import ChatKey
from daemon.domain.redaction import Redactor
from daemon.observability.events import PLAIN, EventKind, Language, Level
from daemon.observability.lines import Tap
from daemon.observability.outputs import Format, open_output
from daemon.observability.writing import LogWriter

_surroundings: ContextVar[Mapping[str, Any]] = ContextVar(
    "surroundings", default=MappingProxyType({})
)
"""What the current task is about; tasks and threads that it starts inherit it."""


class Log(structlog.BoundLoggerBase):
    """What the daemon logs with: ``log.event(KIND, name=value)`` or ``log.info("words", …)``.

    ``chat`` is a `ChatKey` wherever there is one. ``symbol`` is shown in front of the words on a
    terminal. ``log.bind(name=value)`` gives a log that adds the fields to each of its lines. May be
    used from any task or thread.
    """

    _logger: LogWriter

    def event(self, kind: EventKind, /, **fields: Any) -> None:
        """Log an event of the vocabulary; its fields are those that the kind declares.

        Raises TypeError for others if the log is a strict one, as it is in tests.
        """
        self._logger.check(kind, fields)
        self._logger.take(kind, kind.name, kind.level, self._merged(fields))

    def debug(self, words: str, /, **fields: Any) -> None:
        """Log what only matters to whoever looks for a fault."""
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

    def exception(self, words: str, /, **fields: Any) -> None:
        """Log a fault of ours with the exception that is being handled."""
        self._plain("error", words, {"exc_info": True} | fields)

    def tapped(self, tap: Tap, kinds: Collection[EventKind]) -> AbstractContextManager[None]:
        """Show ``tap`` every event of these kinds, whatever the level, until the block is left."""
        return self._logger.tapped(tap, kinds)

    def set_level(self, level: str) -> None:
        """Write whatever is at least as serious as this from now on."""
        self._logger.set_level(level)

    def hash_chats(self, chat_hash: Callable[[ChatKey], str]) -> None:
        """Tell chats apart by this from now on, where machines read the log."""
        self._logger.chat_hash = chat_hash

    def close(self) -> None:
        """Write how many lines were left out as noise; what comes later goes to the stream."""
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
    """Make the log that writes to ``stream`` whatever is at least as serious as ``level``.

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
        # Libraries may have invented other levels.
        if record.levelno >= logging.CRITICAL:
            self._log.critical(words, **fields)
        elif record.levelno >= logging.ERROR:
            self._log.error(words, **fields)
        else:
            self._log.warning(words, **fields)


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
