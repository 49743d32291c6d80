import io
import json
import logging
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TextIO

import pytest
import trio

from daemon.domain.messages import ChatKey
from daemon.domain.redaction import Redactor
from daemon.observability.events import ALL, DASHBOARD, MESSAGE, TYPING, Language
from daemon.observability.lines import LogRecord
from daemon.observability.logs import Log, _LibraryHandler, about, open_log, route_library_logs
from daemon.observability.outputs import Format

TOKEN = "whapi-token-Zx81q"
PHONE = "573001234567"
NOW = datetime(2026, 7, 26, 12, 3, 44, 123000, tzinfo=timezone(timedelta(hours=-5)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make_log(stream: TextIO, *, format: Format = "auto", **more: Any) -> Log:  # noqa: A002
    level = more.pop("level", "info")
    redactor = Redactor([TOKEN])
    return open_log(
        stream=stream,
        level=level,
        format=format,
        redactor=redactor,
        now=lambda: NOW,
        strict=True,
        **more,
    )


def test_people_get_one_readable_line() -> None:
    stream = io.StringIO()
    make_log(stream, format="human").info(
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


@pytest.mark.parametrize("format", ["human", "json"])
def test_a_customer_can_neither_break_the_line_nor_drive_the_terminal(format: Format) -> None:  # noqa: A002
    stream = io.StringIO()
    make_log(stream, format=format).info("a\nb\x1b[2J", text="c\r\nd\u202e\u2028")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def raise_group(words: str) -> None:
    try:
        raise ValueError(words)  # noqa: TRY301 - a cause is what is wanted
    except ValueError as cause:
        raise ExceptionGroup(words, [OSError(words)]) from cause


@pytest.mark.parametrize("format", ["human", "json"])
def test_canary_in_every_place_never_reaches_the_output(format: Format) -> None:  # noqa: A002
    """A token and a phone number go into everything that a line can hold."""
    canary = f"{TOKEN} +{PHONE} {PHONE}@s.whatsapp.net"
    stream, tapped = io.StringIO(), list[LogRecord]()
    plain = make_log(stream, format=format)
    with plain.tapped(tapped.append, ALL):
        write_canary(plain.bind(bound=canary), canary)
    written = stream.getvalue()
    assert len(written.splitlines()) == 7
    assert "ExceptionGroup" in written
    for seen in (written, repr([(record.line, record.fields) for record in tapped])):
        assert TOKEN not in seen
        assert PHONE not in seen


def write_canary(log: Log, canary: str) -> None:
    log.info(canary, text=canary, **{canary: 1})
    log.event(MESSAGE, name=canary, chat=ChatKey(canary, canary), text=canary, turn=canary)
    log.info("words of ours")
    log.info(
        "nested", value={canary: [canary, (canary,), {canary}, canary.encode()]}, symbol=canary
    )
    try:
        raise_group(canary)
    except ExceptionGroup as error:
        error.add_note(canary)
        log.warning("broke", exc_info=True, fault=error)
        log.warning("broke", exc_info=error)
        with route_library_logs(log):
            logging.getLogger("httpx").exception("request %s", canary)


def test_libraries_are_logged_from_warning_on_and_only_inside_the_block() -> None:
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


def test_a_blocked_reader_never_blocks_and_losses_are_reported() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb") as read_end:
        log = make_log(stream, format="json")
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


def test_a_file_gets_every_line(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        log = make_log(stream)
        for number in range(3):
            log.info("a line", number=number)
        lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2]


def test_lines_of_a_block_are_written_at_its_end(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        log = make_log(stream)
        with log.together():
            for number in range(50):
                log.info("a line", number=number)
            assert not (tmp_path / "log").read_text()
        log.info("a line", number=50)
        lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(51))


def test_losses_of_a_block_are_counted_line_by_line() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb") as read_end:
        log = make_log(stream, format="json")
        with log.together():
            for _ in range(200):
                log.info("x" * 1000)
        os.set_blocking(reader, False)
        whole = read_end.read().splitlines()
        log.info("again")
        last = json.loads(read_end.read().splitlines()[-1])
    assert all(json.loads(line)["event"] == "x" * 1000 for line in whole)
    assert last["lost_lines"] == 200 - len(whole)


def test_time_may_be_in_any_zone() -> None:
    stream = io.StringIO()
    log = open_log(
        stream=stream,
        level="info",
        format="json",
        redactor=Redactor(),
        now=lambda: NOW.astimezone(UTC),
    )
    log.info("x")
    assert json.loads(stream.getvalue())["timestamp"] == "2026-07-26T17:03:44.123Z"


LAURA = ChatKey("CHANNEL-1", f"{PHONE}@s.whatsapp.net")


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("es", '12:03:44 👤 Laura: "Hola, tienen cupo…"\n12:03:44 ✍️ 5730…4567 está escribiendo…\n'),
        ("en", '12:03:44 👤 Laura: "Hola, tienen cupo…"\n12:03:44 ✍️ 5730…4567 is typing…\n'),
    ],
)
def test_an_event_is_one_sentence_in_the_language_of_the_business(
    language: Language, line: str
) -> None:
    stream = io.StringIO()
    log = make_log(stream, format="human", language=language)
    log.event(MESSAGE, name="Laura", chat=LAURA, text="Hola, tienen cupo…", kind="text")
    log.event(TYPING, chat=LAURA)
    assert stream.getvalue() == line


def test_without_symbols_serious_lines_name_their_level() -> None:
    stream = io.StringIO()
    log = make_log(stream, format="human", symbols=False)
    log.event(MESSAGE, name="Laura", text="Hola")
    log.warning("careful")
    assert stream.getvalue() == '12:03:44 Laura: "Hola"\n12:03:44 WARNING careful\n'


def test_machines_tell_chats_apart_without_knowing_them() -> None:
    stream = io.StringIO()
    log = make_log(stream, format="json")
    log.hash_chats(lambda key: f"hash of {key.number}")
    with about(chat=LAURA, turn="turn_1"):
        log.event(MESSAGE, name="Laura", text="Hola")
    event = json.loads(stream.getvalue())
    assert event["event"] == "message"
    assert event["chat"] == "5730…4567@s.whatsapp.net"
    assert event["chat_hash"] == "hash of CHANNEL-1"
    assert event["turn"] == "turn_1"


def test_an_undeclared_field_is_an_error_in_tests_and_none_in_production() -> None:
    with pytest.raises(TypeError, match="no fields"):
        make_log(io.StringIO()).event(TYPING, colour="red")
    stream = io.StringIO()
    log = open_log(stream=stream, level="info", redactor=Redactor(), now=lambda: NOW)
    log.event(TYPING, colour="red")
    assert json.loads(stream.getvalue())["colour"] == "red"


def test_a_tap_sees_its_kinds_whatever_the_level_until_its_block_is_left() -> None:
    stream, tapped = io.StringIO(), list[LogRecord]()
    log = make_log(stream, level="error")
    with log.tapped(tapped.append, DASHBOARD):
        log.event(MESSAGE, name="Laura", chat=LAURA, text=f"call {PHONE}", turn="turn_1")
        log.event(TYPING, chat=LAURA)
        log.warning("not for the dashboard")
    log.event(MESSAGE, name="Laura", chat=LAURA, text="after")
    (record,) = tapped
    assert (record.kind, record.chat, record.turn) == (MESSAGE, LAURA, "turn_1")
    assert record.line == 'Laura: "call 5730…4567"'
    assert record.at == NOW
    assert stream.getvalue() == ""


async def test_surroundings_reach_the_tasks_begun_in_them_and_no_other(
    nursery: trio.Nursery,
) -> None:
    stream, done = io.StringIO(), trio.Event()
    log = make_log(stream)

    async def tool() -> None:
        await trio.to_thread.run_sync(log.info, "in a thread")
        done.set()

    with about(turn="turn_1"):
        nursery.start_soon(tool)
    with about(turn="turn_2"):
        await done.wait()
    log.info("outside")
    seen = [json.loads(line).get("turn") for line in stream.getvalue().splitlines()]
    assert seen == ["turn_1", None]


async def test_serious_lines_name_their_task(nursery: trio.Nursery) -> None:
    stream = io.StringIO()
    log, done = make_log(stream), trio.Event()

    async def work() -> None:
        log.warning("careful")
        done.set()

    nursery.start_soon(work, name=f"chat {PHONE}@s.whatsapp.net")
    await done.wait()
    assert json.loads(stream.getvalue())["task"] == "chat 5730…4567@s.whatsapp.net"


@pytest.mark.parametrize("repeated", [False, True])
def test_repeated_lines_are_counted_and_the_count_is_logged(*, repeated: bool) -> None:
    """Sixty of a kind in a minute are enough; what is left out is told when the minute is over."""
    stream, tapped = io.StringIO(), list[LogRecord]()
    times = iter([NOW] * 105 + [NOW + timedelta(seconds=61)] * 3)
    log = open_log(
        stream=stream, level="info", format="human", redactor=Redactor(), now=lambda: next(times)
    )
    with log.tapped(tapped.append, ALL, repeated=repeated):
        for _ in range(100):
            log.warning("refused")
        log.info("next")
        log.info("later")
        for _ in range(5):
            log.info("more")
    lines = stream.getvalue().splitlines()
    assert sum("refused" in line for line in lines) == 61
    assert "12:04:45 … … and 40 more in 60 s: refused" in lines
    assert len(tapped) == (107 if repeated else 67)


def test_the_name_of_a_webhook_stays_whole_although_it_may_look_like_a_number() -> None:
    stream = io.StringIO()
    make_log(stream).event(MESSAGE, text="Hola", request="webhook_734412346412")
    assert json.loads(stream.getvalue())["request"] == "webhook_734412346412"
