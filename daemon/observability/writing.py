"""What becomes of an event between whoever logs it and the outputs: redaction, taps, noise."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import trio
from structlog.processors import format_exc_info

from daemon.domain.messages import ChatKey
from daemon.domain.redaction import Redactor
from daemon.observability.events import (
    CONTEXT_FIELDS,
    REPEATED,
    SHOWN_CHARACTERS,
    EventKind,
    Language,
    Level,
)
from daemon.observability.lines import LogRecord, Tap, with_fields
from daemon.observability.noise import PERIOD_SECONDS, Noise, Repeated
from daemon.observability.outputs import Output

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
        self._taps: tuple[tuple[Collection[EventKind], Tap], ...] = ()
        self.chat_hash: Callable[[ChatKey], str] = _unknown

    def set_level(self, level: str) -> None:
        """See `daemon.observability.logs.Log.set_level`."""
        self._threshold = SEVERITY[level]

    @contextmanager
    def tapped(self, tap: Tap, kinds: Collection[EventKind]) -> Iterator[None]:
        """See `daemon.observability.logs.Log.tapped`."""
        entry = (kinds, tap)
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
        """Write an event and show it to the taps that want it; ``fields`` become ours."""
        taps = [tap for kinds, tap in self._taps if kind in kinds] if self._taps else ()
        written = SEVERITY[level] >= self._threshold
        if not written and not taps:
            return
        at = self._now()
        if written:
            self._tell(at, self._ended(at))
            written = self._admits(kind, event, fields, at)
            if not written and not taps:
                return
        record = self._record(kind, event, level, at, fields)
        for tap in taps:
            tap(record)
        if written:
            self._write(record)

    def close(self) -> None:
        """Write what has been left out so far, and close the output."""
        with self._noise_mutex:
            left_out = self._noise.end()
        self._tell(self._now(), left_out)
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
        # What a library says differs each time; what it is about does not.
        key = str(fields.get("library", event))
        with self._noise_mutex:
            return self._noise.admits(key, limit=kind.per_minute, now=at.timestamp())

    def _tell(self, at: datetime, left_out: list[Repeated]) -> None:
        for repeated in left_out:
            fields: dict[str, Any] = {
                "what": repeated.key,
                "count": repeated.lines,
                "period": round(PERIOD_SECONDS),
            }
            self._write(self._record(REPEATED, REPEATED.name, REPEATED.level, at, fields))

    # -- the record ----------------------------------------------------------------------------

    def _write(self, record: LogRecord) -> None:
        chat_hash = self.chat_hash(record.chat) if record.chat and record.chat.channel else ""
        self._output.write(record, chat_hash)

    def _record(
        self, kind: EventKind, event: str, level: Level, at: datetime, given: dict[str, Any]
    ) -> LogRecord:
        symbol = given.pop("symbol", kind.symbol)
        chat = given.get("chat")
        if isinstance(chat, ChatKey):
            given["chat"] = chat.chat
        elif chat is not None:
            chat = ChatKey("", str(chat))
        self._complete(level, given)
        fields = self._redactor.fields(given)
        if kind.template(self._language):
            if type(said := fields.get("text")) is str:
                fields["text"] = said[:SHOWN_CHARACTERS]
            line = kind.line(self._language, fields)
        else:
            event = self._redactor.text(event)
            line = with_fields(event, fields)
        return LogRecord(
            kind=kind,
            event=event,
            symbol=self._redactor.text(symbol),
            level=level,
            at=at,
            line=line,
            fields=fields,
            chat=chat,
            # As it is: our own name for a turn, which can look like a number and is looked up by.
            turn=str(given.get("turn", "")),
        )

    def _complete(self, level: Level, fields: dict[str, Any]) -> None:
        """Add what nobody names: the exception as text, the task, the lines that were lost."""
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
