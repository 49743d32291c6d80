"""How far a command has come: a bar on a terminal, plain lines elsewhere, and nothing in stdout."""

import io
import os
import pty
import re
import sqlite3
import subprocess
import sys
import termios
from contextlib import closing
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner
from support.place import store_in
from support.rows import insert

from daemon.__main__ import main
from daemon.ledger.admin import backup
from daemon.ledger.admin.backup import back_up
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ops.commands import progress
from daemon.ops.commands.progress import shown

pytestmark = pytest.mark.sqlite
ROOT = Path(__file__).parents[2]
LAURA = "573001234567@s.whatsapp.net"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data folder of a store with one chat; documents are beside it."""
    folder = tmp_path / "data"
    trio.run(_opened_once, folder)
    insert(
        folder,
        "chats",
        {"channel": "main", "chat": LAURA, "first_seen_at": 1, "last_activity_at": 1},
    )
    (tmp_path / "documents").mkdir()
    for name in ("menu.md", "una-carta-de-nombre-muy-largo-\x1b[31m.md"):
        (tmp_path / "documents" / name).write_text("# Horario\n\nAbrimos a las ocho.\n")
    return folder


async def _opened_once(folder: Path) -> None:
    async with store_in(folder):
        pass


def environ(data_dir: Path) -> dict[str, str]:
    """Variables by which a command finds its store and documents."""
    documents = data_dir.parent / "documents"
    return {"RECADO_DATA_DIR": str(data_dir), "RECADO_KNOWLEDGE__FOLDER": str(documents)}


def on_terminal(data_dir: Path, *arguments: str) -> tuple[str, str, int]:
    """Run a command with a terminal for its stderr; gives stdout, what the terminal got, status."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen(
        [sys.executable, "-m", "daemon", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ(data_dir)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as command:
        os.close(theirs)
        got = b""
        while chunk := _read(ours):
            got += chunk
        assert command.stdout is not None
        printed = command.stdout.read()
    os.close(ours)
    return printed, got.decode(), command.returncode


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # EIO: the other end is closed
        return b""


COMMANDS = {
    "backup": (["backup", "{folder}/copy.db"], "store"),
    "export": (["export", LAURA], "tables"),
    "forget": (["forget", LAURA, "--yes"], "stages"),
    "knowledge": (["knowledge", "sync"], "documents"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_shows_a_bar_that_fills(data_dir: Path, name: str) -> None:
    arguments, label = COMMANDS[name]
    given = [each.format(folder=data_dir.parent) for each in arguments]
    printed, terminal, status = on_terminal(data_dir, *given)
    assert status == 0, terminal
    assert "\x1b" not in printed
    assert label not in printed.splitlines()
    drawn = re.sub(r"\x1b\[\?25[lh]", "", terminal).replace("\r", "\n").splitlines()
    *_, last = [line.rstrip() for line in drawn if line.startswith(f"{label}  [")]
    assert f"[{'#' * progress.BAR_WIDTH}]" in last
    assert "100%" in last
    # No line is wider than the terminal, the cursor is shown again, and a name cannot colour it.
    assert all(len(line.rstrip()) <= 80 for line in drawn)
    assert terminal.rindex("\x1b[?25h") > terminal.rindex("\x1b[?25l")
    assert "\x1b[31m" not in terminal


@pytest.mark.parametrize("name", COMMANDS)
def test_elsewhere_there_are_plain_lines_now_and_then(
    data_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    arguments, label = COMMANDS[name]
    given = [each.format(folder=data_dir.parent) for each in arguments]
    done = CliRunner().invoke(main, given, env=environ(data_dir))
    assert done.exit_code == 0, done.output
    lines = [line for line in done.stderr.splitlines() if line.startswith(f"{label}: ")]
    assert len(lines) > 1
    assert lines[-1].startswith(f"{label}: 100 % (")
    assert lines[-1].endswith(" s")
    assert "\x1b" not in done.stderr
    assert f"{label}:" not in done.stdout


def test_a_short_command_says_nothing_and_a_long_one_where_it_is() -> None:
    now, stream = 0.0, io.StringIO()
    with shown("rows", stream=stream, clock=lambda: now) as report:
        for done in range(25):
            now = done * 1.0
            report(done, 50, "chats")
            if done == 9:
                assert not stream.getvalue()
    assert stream.getvalue().splitlines() == [
        "rows: 20 % (10 of 50)  chats",
        "rows: 40 % (20 of 50)  chats",
        "rows: 48 % (24 of 50) after 24 s",
    ]


def test_a_copy_in_steps_is_of_one_moment_whatever_is_written_meanwhile(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAGES", 1)
    copied: list[int] = []
    target = data_dir.parent / "copy.db"

    def write(done: int, _total: int, item: str) -> None:
        if item == "copying":
            copied.append(done)
        if item == "copying" and len(copied) <= 100:
            chat = f"57300{len(copied):07}@s.whatsapp.net"
            insert(
                data_dir,
                "chats",
                {"channel": "main", "chat": chat, "first_seen_at": 1, "last_activity_at": 1},
            )

    with open_cli_connection(data_dir) as connection:
        back_up(connection, target, write)
    assert len(copied) > 50
    assert copied == sorted(copied), "the copy has begun again"
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT COUNT(*) FROM chats").fetchone() == (1,)
