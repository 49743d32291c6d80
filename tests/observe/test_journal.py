"""The journal's native protocol: against a socket of our own, and against journald itself."""

import array
import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.domain.messages import ChatKey
from daemon.domain.redaction import Redactor
from daemon.observability.events import MESSAGE, UNEXPECTED_ERROR
from daemon.observability.logs import Log, LogWriter, about
from daemon.observability.outputs import is_journal, open_output

ROOT = Path(__file__).parents[2]
PHONE = "573001234567"
LAURA = ChatKey("CHANNEL-1", f"{PHONE}@s.whatsapp.net")
JOURNALD = Path("/usr/lib/systemd/systemd-journald")


class Journald:
    """A socket where journald's would be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(5)
        self.memories = 0
        """Entries that came as a sealed memfd."""

    def receive(self) -> dict[str, str]:
        """Take one entry, read as the protocol says."""
        size = array.array("i").itemsize
        data, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(size))
        for _, kind, passed in ancillary:
            assert kind == socket.SCM_RIGHTS
            (descriptor,) = array.array("i", passed)
            with os.fdopen(descriptor, "rb") as memory:
                with pytest.raises(OSError, match="not permitted"):
                    os.write(descriptor, b"sealed")
                memory.seek(0)
                data = memory.read()
            self.memories += 1
        return parse(data)


def parse(data: bytes) -> dict[str, str]:
    """Read an entry of the journal's native protocol."""
    fields: dict[str, str] = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + length], data[8 + length :]
            assert data[:1] == b"\n"
            data = data[1:]
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    listening = Journald(tmp_path / "socket")
    yield listening
    listening.socket.close()


@contextmanager
def open_log_at(journal: Path, stream: io.StringIO) -> Iterator[Log]:
    output = open_output(
        stream, format="journal", environ={}, symbols=True, no_color=False, journal=journal
    )
    writer = LogWriter(
        output,
        level="info",
        redactor=Redactor(["a-secret-0123"]),
        now=lambda: datetime(2026, 7, 26, 12, 3, 44, tzinfo=UTC),
        language="es",
        strict=True,
    )
    log = Log(writer, processors=[], context={})
    log.hash_chats(lambda _key: "0a1b2c")
    yield log
    log.close()


def test_an_event_has_its_id_its_priority_and_its_fields(journald: Journald) -> None:
    stream = io.StringIO()
    with about(turn="turn_1"), open_log_at(journald.path, stream) as log:
        log.event(
            MESSAGE, name="Laura", chat=LAURA, text="Hola, ¿cupo?", kind="text", request="webhook_7"
        )
    assert journald.receive() == {
        "MESSAGE": 'Laura: "Hola, ¿cupo?"',
        "MESSAGE_ID": MESSAGE.message_id,
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "recado",
        "RECADO_EVENT": "message",
        "RECADO_CHAT": "0a1b2c",
        "RECADO_TURN": "turn_1",
        "RECADO_REQUEST": "webhook_7",
        "RECADO_NAME": "Laura",
        "RECADO_TEXT": "Hola, ¿cupo?",
        "RECADO_KIND": "text",
    }
    assert stream.getvalue() == ""


def test_a_lone_surrogate_in_a_list_is_written_and_fails_no_other_write(journald: Journald) -> None:
    with open_log_at(journald.path, io.StringIO()) as log:
        log.warning("odd names", symbol="\ud83d", names=["\ud83d", "Laura"], id="\udc00")
    entry = journald.receive()
    assert json.loads(entry["RECADO_NAMES"]) == ["\ud83d", "Laura"]
    assert entry["RECADO_ID"] == "\\udc00"


def test_a_traceback_is_part_of_the_message_and_line_breaks_of_others_forge_no_field(
    journald: Journald,
) -> None:
    try:
        raise ValueError(f"a-secret-0123 of {PHONE}\nPRIORITY=0")  # noqa: TRY301 - to be logged
    except ValueError as error:
        with open_log_at(journald.path, io.StringIO()) as log:
            log.event(
                UNEXPECTED_ERROR, where="chat", what="a\nPRIORITY=0", chat=LAURA, exc_info=error
            )
    entry = journald.receive()
    assert entry["PRIORITY"] == "3"
    assert entry["RECADO_WHAT"] == "a\nPRIORITY=0"
    assert entry["MESSAGE"].splitlines()[0] == "Error inesperado (chat): a ⏎ PRIORITY=0"
    assert "Traceback" in entry["MESSAGE"]
    assert "a-secret-0123" not in str(entry)
    assert PHONE not in str(entry)


def test_names_of_fields_are_made_fit(journald: Journald) -> None:
    with open_log_at(journald.path, io.StringIO()) as log:
        log.info("x", **{"a-b=c\n": 1, "é" * 80: [1, {"k": None}]})
    entry = journald.receive()
    assert entry["RECADO_A_B_C_"] == "1"
    assert entry["RECADO_" + "_" * 57] == '[1,{"k":null}]'


def test_entries_too_large_for_a_datagram_go_through_a_sealed_memfd(journald: Journald) -> None:
    long = "palabra " * 100_000
    with open_log_at(journald.path, io.StringIO()) as log:
        log.warning("large", text=long)
    assert journald.receive()["RECADO_TEXT"] == long
    assert journald.memories == 1


def test_without_a_journal_socket_the_line_goes_to_the_stream(tmp_path: Path) -> None:
    stream = io.StringIO()
    with open_log_at(tmp_path / "nobody", stream) as log:
        log.warning("careful", chat=LAURA)
    event = json.loads(stream.getvalue())
    assert (event["event"], event["chat_hash"]) == ("careful", "0a1b2c")


def test_a_journal_that_does_not_keep_up_never_blocks(journald: Journald) -> None:
    stream = io.StringIO()
    with open_log_at(journald.path, stream) as log:
        for _ in range(3000):
            log.info("x")
    taken = 0
    journald.socket.setblocking(False)
    while True:
        try:
            journald.receive()
        except BlockingIOError:
            break
        taken += 1
    assert taken > 0
    assert taken + len(stream.getvalue().splitlines()) == 3000


def test_only_the_very_stream_of_the_journal_counts_as_it(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        found = os.fstat(stream.fileno())
        ours = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        other = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}
        assert is_journal(ours, stream.fileno())
        assert not any(is_journal(e, stream.fileno()) for e in (other, {}, {"JOURNAL_STREAM": ""}))


IN_NAMESPACE = """
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/log/journal
[ ! -d /var/log/journal ] || mount -t tmpfs none /var/log/journal
"$JOURNALD" 2>/dev/null & journald=$!
trap 'kill $journald; wait $journald' EXIT
until [ -S /run/systemd/journal/socket ]; do sleep 0.02; done
"$PYTHON" "$PROGRAM"
journalctl --sync
journalctl --no-pager -o json RECADO_TURN=turn_1
"""

PROGRAM = """
import sys
from datetime import datetime
from daemon.domain.messages import ChatKey
from daemon.observability.events import MESSAGE, TURN_ENDED
from daemon.observability.logs import about, open_log
from daemon.domain.redaction import Redactor
log = open_log(stream=sys.stderr, level="info", redactor=Redactor(), format="journal",
    now=lambda: datetime.now().astimezone(), strict=True)
log.hash_chats(lambda key: "0a1b2c")
chat = ChatKey("C", "573001234567@s.whatsapp.net")
with about(turn="turn_1", chat=chat):
    log.event(MESSAGE, name="Laura", text="Hola")
    log.warning("large", text="palabra " * 40000)
    log.event(TURN_ENDED, name="Laura", outcome="answered", messages=1, seconds=1.5, rounds=2,
        tools=1, tokens_in=900, tokens_out=95, cost=0.01)
log.info("of another turn", turn="turn_2")
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not JOURNALD.exists() or not shutil.which("unshare"),
    reason="needs root, systemd-journald and unshare",
)
def test_one_turn_can_be_read_from_journald(tmp_path: Path) -> None:
    """A real journald in a mount namespace of its own, asked by journalctl."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [
            "/usr/bin/env",
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "bash",
            "-c",
            IN_NAMESPACE,
        ],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "JOURNALD": str(JOURNALD),
            "PYTHON": sys.executable,
            "PROGRAM": str(program),
        },
        capture_output=True,
        timeout=180,
        check=False,
    )
    if b"mount" in done.stderr and done.returncode:
        pytest.skip(f"no mount namespace here: {done.stderr.decode()}")
    assert done.returncode == 0, done.stderr
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["RECADO_EVENT"] for entry in entries] == ["message", "large", "turn ended"]
    assert {entry["RECADO_CHAT"] for entry in entries} == {"0a1b2c"}
    assert [entry["PRIORITY"] for entry in entries] == ["6", "4", "6"]
    assert entries[0]["MESSAGE_ID"] == MESSAGE.message_id
    assert entries[2]["MESSAGE"] == (
        "Laura: turn turn_1: answered; 1.5 s, 1 message, 2 rounds, 1 tool, 900 + 95 tokens, "
        "cost 0.01"
    )
    assert PHONE.encode() not in done.stdout
