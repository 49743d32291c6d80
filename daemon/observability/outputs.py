"""Where the log's events are written to, chosen by what standard error is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, TextIO

from daemon.observability.journal import SOCKET, JournalSocket, is_journal
from daemon.observability.lines import LogRecord, human_line, json_line
from daemon.observability.sink import LineSink

Format = Literal["auto", "human", "json", "journal"]


class Output(Protocol):
    """Takes finished events; never raises, never waits long. May be called from any thread."""

    @property
    def lost(self) -> int:
        """Events lost since the last one that was written."""

    def write(self, record: LogRecord, chat_hash: str) -> None:
        """Write one event; ``chat_hash`` names its chat to machines, empty if it has none."""

    def close(self) -> None:
        """Give back what was opened; the stream is whoever's it was, and may be written to."""


class _People:
    """Readable lines."""

    def __init__(self, sink: LineSink, *, color: bool, symbols: bool) -> None:
        self._sink = sink
        self._color = color
        self._symbols = symbols

    @property
    def lost(self) -> int:
        return self._sink.lost

    def write(self, record: LogRecord, _chat_hash: str) -> None:
        line = human_line(record, color=self._color, symbols=self._symbols)
        self._sink.write(line.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Nothing was opened."""


class _Machines:
    """JSON lines."""

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink

    @property
    def lost(self) -> int:
        return self._sink.lost

    def write(self, record: LogRecord, chat_hash: str) -> None:
        self._sink.write(json_line(record, chat_hash))

    def close(self) -> None:
        """Nothing was opened."""


class _Journal:
    """The journal, and JSON on the stream for what it does not take."""

    def __init__(self, sink: LineSink, path: Path) -> None:
        self._sink = sink
        self._socket = JournalSocket(path, otherwise=_Machines(sink).write)

    @property
    def lost(self) -> int:
        return self._sink.lost

    def write(self, record: LogRecord, chat_hash: str) -> None:
        self._socket.write(record, chat_hash)

    def close(self) -> None:
        self._socket.close()


def open_output(
    stream: TextIO,
    *,
    format: Format,  # noqa: A002 - the name of the setting
    environ: Mapping[str, str],
    symbols: bool,
    no_color: bool,
    journal: Path = SOCKET,
) -> Output:
    """Give the output for a stream; see `daemon.observability.logs.open_log`."""
    terminal = stream.isatty()
    sink = LineSink(stream)
    if format == "auto":
        format = _fitting(sink, environ, terminal=terminal)  # noqa: A001 - see above
    if format == "journal":
        return _Journal(sink, journal)
    if format == "human":
        return _People(sink, color=terminal and not no_color, symbols=symbols)
    return _Machines(sink)


def _fitting(sink: LineSink, environ: Mapping[str, str], *, terminal: bool) -> Format:
    if terminal:
        return "human"
    in_journal = sink.descriptor is not None and is_journal(environ, sink.descriptor)
    return "journal" if in_journal else "json"
