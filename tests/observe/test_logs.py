import io
import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from daemon.observe.logs import Log, Tap, _LibraryHandler, open_log, route_library_logs
from daemon.observe.redaction import Redactor

TOKEN = "whapi-token-Zx81q"
PHONE = "573001234567"
NOW = datetime(2026, 7, 26, 12, 3, 44, 123000, tzinfo=timezone(timedelta(hours=-5)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make_log(
    stream: io.TextIOBase, *, human: bool | None = None, taps: tuple[Tap, ...] = (), **more: Any
) -> Log:
    assert isinstance(stream, io.StringIO | io.TextIOWrapper)
    level = more.pop("level", "info")
    redactor = Redactor([TOKEN])
    return open_log(
        stream=stream,
        level=level,
        human=human,
        redactor=redactor,
        now=lambda: NOW,
        taps=taps,
        **more,
    )


def test_people_get_one_readable_line() -> None:
    stream = io.StringIO()
    make_log(stream, human=True).info(
        f'Laura {PHONE}: "Hola, tienen cupo…"', symbol="👤", kind="text", wait=1.5, note="a b"
    )
    assert stream.getvalue() == (
        '12:03:44 👤 Laura 5730…4567: "Hola, tienen cupo…" kind=text wait=1.5 note="a b"\n'
    )


def test_machines_get_json_in_utc() -> None:
    stream = io.StringIO()
    make_log(stream).bind(chat="x").warning("it\nbroke", symbol="👤", count=2)
    assert json.loads(stream.getvalue()) == {
        "timestamp": "2026-07-26T17:03:44.123Z",
        "level": "warning",
        "event": "it\nbroke",
        "chat": "x",
        "count": 2,
    }


def test_terminal_gets_colored_warnings_unless_no_color_is_wanted() -> None:
    colored, plain = Terminal(), Terminal()
    make_log(colored).error("broken")
    make_log(plain, no_color=True).error("broken")
    assert colored.getvalue() == "\x1b[31m12:03:44 ❌ broken\x1b[0m\n"
    assert plain.getvalue() == "12:03:44 ❌ broken\n"


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    log = make_log(stream, level="warning")
    log.info("quiet")
    log.warning("loud")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("human", [True, False])
def test_a_customer_can_neither_break_the_line_nor_drive_the_terminal(*, human: bool) -> None:
    stream = io.StringIO()
    make_log(stream, human=human).info("a\nb\x1b[2J", text="c\r\nd\u202e\u2028")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def raise_group(words: str) -> None:
    try:
        raise ValueError(words)  # noqa: TRY301 - a cause is what is wanted
    except ValueError as cause:
        raise ExceptionGroup(words, [OSError(words)]) from cause


@pytest.mark.parametrize("human", [True, False])
def test_canary_in_every_place_never_reaches_the_output(*, human: bool) -> None:
    """A token and a phone number go into everything that a line can hold."""
    canary = f"{TOKEN} +{PHONE} {PHONE}@s.whatsapp.net"
    stream, tapped = io.StringIO(), []

    def tap(event: Mapping[str, Any]) -> None:
        tapped.append(dict(event))

    log = make_log(stream, human=human, taps=(tap,)).bind(bound=canary)
    log.info(canary, text=canary, **{canary: 1})
    log.info("%s", canary)
    log.info(
        "nested", value={canary: [canary, (canary,), {canary}, canary.encode()]}, symbol=canary
    )
    try:
        raise_group(canary)
    except ExceptionGroup as error:
        error.add_note(canary)
        log.exception("broke", fault=error)
        log.warning("broke", exc_info=error)
        with route_library_logs(log):
            logging.getLogger("httpx").exception("request %s", canary)
    written = stream.getvalue()
    assert len(written.splitlines()) == 6
    assert "ExceptionGroup" in written
    for seen in (written, repr(tapped)):
        assert TOKEN not in seen
        assert PHONE not in seen


def test_libraries_are_heard_from_warning_on_and_only_inside_the_block() -> None:
    stream = io.StringIO()
    library = logging.getLogger("hypercorn.error")
    with route_library_logs(make_log(stream)):
        library.info("quiet")
        library.warning("loud %s", "enough")
        library.log(35, "odd level")
    library.warning("after")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "loud enough"),
        ("warning", "odd level"),
    ]
    assert lines[0]["library"] == "hypercorn.error"


def test_arguments_that_do_not_fit_are_left_out() -> None:
    stream = io.StringIO()
    record = logging.LogRecord("openai", logging.ERROR, "x.py", 1, "%d", ("no number",), None)
    _LibraryHandler(make_log(stream)).emit(record)
    assert json.loads(stream.getvalue())["event"] == "%d"


def test_closed_reader_never_raises() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        make_log(stream).error("nobody listens")


def test_blocked_reader_never_blocks_and_losses_are_told() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb") as read_end:
        log = make_log(stream, human=False)
        # A pipe holds 64 KiB (pipe(7)); this is far more.
        for _ in range(200):
            log.info("x" * 1000)
        os.set_blocking(reader, False)
        read_end.read()
        log.info("again")
        last = read_end.read().splitlines()[-1]
    event = json.loads(last)
    assert event["event"] == "again"
    assert event["lost_lines"] > 100


def test_time_may_be_in_any_zone() -> None:
    stream = io.StringIO()
    log = open_log(
        stream=stream,
        level="info",
        human=False,
        redactor=Redactor(),
        now=lambda: NOW.astimezone(UTC),
    )
    log.info("x")
    assert json.loads(stream.getvalue())["timestamp"] == "2026-07-26T17:03:44.123Z"
