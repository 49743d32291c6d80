"""`recado rehearse` and `recado ask`: tried before customers meet it, and nothing is sent."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
import trio
from click.testing import CliRunner, Result
from support.stage import open_stage

from daemon.__main__ import main
from daemon.ops.rehearsal import cases as case_files
from daemon.ops.rehearsal.cases import Case, CaseTurn, LocatedCase
from daemon.ops.rehearsal.checks import PlayedTurn, ToolCall, failures
from daemon.ops.rehearsal.play import Play, Tries, pass_at, play_cases
from daemon.ops.rehearsal.stage import RehearsalOptions, open_rehearsal, rehearsed
from daemon.settings import Settings, with_tables

ROOT = Path(__file__).parents[2]
HOTEL = ROOT / "config" / "cases"

ONE = """
[[case]]
name = "one"
[[case.turn]]
says = "Hola"
said = "Entendí"
"""


def recado(*arguments: str | Path, **environ: str) -> Result:
    """Run a command without a configuration file."""
    variables = {"RECADO_CONFIG": "", "OPENAI_API_KEY": "", **environ}
    return CliRunner(env=variables).invoke(main, [*map(str, arguments)])


def rehearse(*arguments: str | Path) -> Result:
    return recado("rehearse", "--simulated", *arguments)


def written(folder: Path, text: str) -> Path:
    """A file of cases with this text."""
    path = folder / "cases.toml"
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


# -- the example hotel -----------------------------------------------------------------------------


def test_the_cases_of_the_example_hotel_pass() -> None:
    done = rehearse(HOTEL)
    assert done.exit_code == 0, done.output
    assert "30 cases; the simulated model" in done.stdout
    assert "pass^1: 1.000" in done.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "case"),
    [
        ("48 horas antes de la llegada", "el mismo día", "cancelar: 48 horas antes"),
        ("«Tenemos parqueadero gratis", "«Sí, por $10.000", "parqueadero"),
        ("«tarjeta», «factura»: usa escalate_to_human", "«tarjeta»: «Sí.»", "quiere pagar"),
        ("«reserva la»: usa book_room", "«reserva la»: «Reservada.»", "reserva de principio"),
    ],
)
def test_a_fault_in_the_instructions_is_found(
    tmp_path: Path, right: str, wrong: str, case: str
) -> None:
    faulty = tmp_path / "faulty.md"
    faulty.write_text((HOTEL / "hotel.md").read_text().replace(right, wrong))
    done = rehearse(HOTEL, "--instructions", faulty, "--only", case)
    assert done.exit_code == 1, done.output
    assert f"FAILED  {case}" in done.stdout


def test_the_same_seed_gives_the_same_report(tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.md"
    faulty.write_text((HOTEL / "hotel.md").read_text().replace("48", "24"))
    reports = []
    for run in ("first", "second"):
        page, junit = tmp_path / f"{run}.html", tmp_path / f"{run}.xml"
        files = ("--html", page, "--junit", junit)
        done = rehearse(HOTEL, "--instructions", faulty, "--times", "2", "--seed", "7", *files)
        assert done.exit_code == 1
        reports.append((done.stdout, page.read_text(), junit.read_text()))
    assert reports[0] == reports[1]


# -- reports ---------------------------------------------------------------------------------------


def test_reports_name_what_failed(tmp_path: Path) -> None:
    cases = written(tmp_path, ONE + ONE.replace('"one"', '"two"').replace("Entendí", "<b>"))
    page, junit = tmp_path / "report.html", tmp_path / "report.xml"
    done = rehearse(cases, "--times", "2", "--html", page, "--junit", junit)
    assert done.exit_code == 1
    assert f"FAILED  two (try 1), {cases}:8" in done.stdout
    assert "turn 1: not said: <b>" in done.stdout
    assert "pass^1: 0.500\npass^2: 0.500" in done.stdout
    assert "&lt;b&gt;" in page.read_text()
    suite = ET.parse(junit).getroot()  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    failed = [test.get("name") for test in suite if test.find("failure") is not None]
    assert failed == ["two (try 1)", "two (try 2)"]
    assert rehearse(cases, "--bar", "0.5").exit_code == 0


def played(passed: Sequence[bool]) -> list[Play]:
    found = LocatedCase(case=Case(name="c", turn=[CaseTurn(says="x")]), path=Path("c.toml"), line=1)
    return [Play(found, n, failures=[] if well else ["x"]) for n, well in enumerate(passed, 1)]


@pytest.mark.parametrize(
    ("passed", "k", "share"),
    [
        ([True, True], 2, 1.0),
        ([True, False], 1, 0.5),
        ([True, False], 2, 0.0),
        ([True, True, True, False], 2, 0.5),  # 3 of the 6 pairs
        ([True], 2, 0.0),  # never tried so often
    ],
)
def test_the_share_in_which_all_tries_succeed(passed: list[bool], k: int, share: float) -> None:
    assert pass_at(played(passed), k) == pytest.approx(share)


# -- what must hold --------------------------------------------------------------------------------


TALK = [
    PlayedTurn(
        says=["Hi"],
        answers=["The room is free.", "Shall I book it for you?"],
        calls=[ToolCall("check", '{"room": "101", "nights": 2}', "free")],
        outcome="answered",
    )
]


@pytest.mark.parametrize(
    ("expected", "failure"),
    [
        ({"said": ["ROOM", "book it"]}, ""),
        ({"said": "breakfast"}, "not said: breakfast"),
        ({"not_said": "free"}, "said: free"),
        ({"called": ["check"]}, ""),
        ({"called": ["book"]}, "book was not called"),
        ({"called": [{"tool": "check", "with": {"room": "10\\d", "nights": 2}}]}, ""),
        ({"called": [{"tool": "check", "with": {"nights": 3}}]}, "check called with"),
        ({"called": [{"tool": "check", "times": 2}]}, "check called 1 times, not 2"),
        ({"not_called": "check"}, "check was called"),
        ({"handed_over": False}, ""),
        ({"handed_over": True}, "not handed over"),
        ({"language": "en"}, ""),
        ({"language": "es"}, "not in es"),
        ({"longest": 20}, "characters, more than 20"),
        ({"messages": 1}, "2 messages, more than 1"),
    ],
)
def test_what_must_hold_is_checked(expected: dict[str, Any], failure: str) -> None:
    wanted = msgspec.convert(expected, case_files.Expected)
    found = failures(wanted, TALK)
    assert bool(found) == bool(failure), found
    assert all(failure in line for line in found)


def test_a_function_and_a_judge_have_a_say(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def short(lines):\n    return '' if len(lines) < 2 else f'{len(lines)} lines'\n"
    )
    text = ONE + 'check = "own.py:short"\njudge = \'The assistant says "nothing at all".\'\n'
    done = rehearse(written(tmp_path, text))
    assert done.exit_code == 1
    assert "turn 1: 2 lines" in done.stdout
    assert "turn 1: judge: The assistant says" in done.stdout
    assert re.search(r"the judge agrees with \d+ of 20 labelled judgements", done.stdout)


def test_a_tool_that_a_case_says_nothing_of_is_not_called(tmp_path: Path) -> None:
    text = '[[case]]\nname = "a"\n[[case.turn]]\nsays = "¿Hay disponibilidad?"\n'
    (tmp_path / "rehearsal.toml").write_text(f'tools = "{ROOT / "config" / "tools"}"\n')
    done = rehearse(written(tmp_path, text))
    assert done.exit_code == 1
    assert "check_availability was called, and the case says nothing" in done.stdout


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[[case]]\nname = "a"\nturn = 1\n', ":3: Expected `array`"),
        ('[[case]]\nname = "a"\n', ":1: Object missing required field `turn`"),
        (ONE + 'sayd = "x"\n', ":7: Object contains unknown field `sayd`"),
        (ONE + ONE.replace("one", "two") + "longest = true\n", ":13: Expected `int | null`"),
        (ONE + 'said = "x"\n', ":7: Cannot overwrite a value"),
        (ONE + 'not_said = "("\n', ":2: (: missing )"),
        (ONE + ONE, ":8: "),
        (ONE + 'called = ["fly"]\n', ":2: there is no tool fly"),
        (ONE + 'check = "none.py:none"\n', ":2: check: there is no file none.py"),
        (ONE.replace('"Hola"', "[]"), ":2: a turn says nothing"),
        (ONE.replace('"Hola"', '["Hola", " "]'), ":2: a turn says nothing"),
        (ONE.replace('"Hola"', '[{ text = "", voice = true }]'), ":2: a turn says nothing"),
        (
            '[[customer]]\nname = "a"\ngoal = "b"\nscript = ["Hola", ""]\n',
            ":1: a line of the script says nothing",
        ),
        (ONE + 'called = [{ tool = "remember", with = { x = "(" } }]\n', ":2: (: missing )"),
        (ONE + "longest = -1\n", ":7: Expected `int` >= 0"),
        (
            '[[customer]]\nname = "a"\ngoal = "b"\nhabits = { bursts = 3 }\n',
            ":4: Expected `float` <= 1.0",
        ),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, place: str) -> None:
    path = written(tmp_path, text)
    done = rehearse(path)
    assert done.exit_code == 2, done.output
    assert f"{path}{place}" in done.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--only", "("], "(: missing )"),
        (["--budget", "-1"], "-1.0 is not in the range"),
        (["--bar", "2"], "2.0 is not in the range"),
        (["--html", "nowhere/report.html"], "there is no folder nowhere"),
        (["--at", "2026-13-01"], "give a time like"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_played(options: list[str], why: str) -> None:
    done = rehearse(HOTEL, *options)
    assert done.exit_code == 2, done.output
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["ask", "Hola", " "], "a text is empty"),
        (["rehearse", "--from", "7d", "--times", "4"], "--from has no --times"),
        (["rehearse", "--from", "7d", "--by-model"], "--from has no --by-model"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], why: str) -> None:
    done = recado(*arguments)
    assert done.exit_code == 2, done.output
    assert why in done.stderr


def test_a_report_holds_whatever_was_said(tmp_path: Path) -> None:
    odd = r"\u0001\uFFFE<b>\""
    cases = written(tmp_path, ONE.replace('"one"', f'"{odd}"').replace("Hola", f"Hola {odd}"))
    page, junit = tmp_path / "report.html", tmp_path / "report.xml"
    (tmp_path / "own.py").write_text("def wrong(lines):\n    return True\n")
    cases.write_text(cases.read_text() + 'check = "own.py:wrong"\n')
    assert rehearse(cases, "--html", page, "--junit", junit).exit_code == 1
    (test,) = ET.parse(junit).getroot()  # noqa: S314 - our own
    assert test.get("name") == '<b>"'
    assert "<b>" not in page.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_rehearsal_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    folder, cases = tmp_path / "temporary", written(tmp_path, ONE + 'check = "own.py:tells"\n')
    folder.mkdir()
    (tmp_path / "own.py").write_text(
        "import sys\n\n\ndef tells(lines):\n    print('played', file=sys.stderr, flush=True)\n"
    )
    command = [sys.executable, "-m", "daemon", "rehearse", str(cases), "--times", "100"]
    environ = {**os.environ, "TMPDIR": str(folder), "RECADO_CONFIG": "", "OPENAI_API_KEY": ""}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "the simulated model answers" in process.stderr.readline()
        assert process.stderr.readline() == "played\n"
        process.send_signal(number)
        said = process.stderr.read()
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    assert list(folder.iterdir()) == []


# -- nothing is sent -------------------------------------------------------------------------------


async def test_a_rehearsal_sends_nothing_to_anybody(tmp_path: Path) -> None:
    """With everything configured that the daemon sends by, and the gateway there to take it."""
    escalation = {"chat": "573009998877", "label": "person"}
    async with open_stage(tmp_path / "data", started=False, escalation=escalation) as stage:
        terms = RehearsalOptions(simulated=True, at=1_772_463_600.0)
        talk = Case(name="all", turn=[CaseTurn(says="Hola"), CaseTurn(says="Quiero un asesor")])
        found = LocatedCase(case=talk, path=Path("c.toml"), line=1)
        result = await play_cases(stage.outside_settings(), terms, [found], Tries())
        (play,) = result.plays
        assert play.passed, play.failures
        assert [len(turn.answers) for turn in play.turns] == [1, 1]
        assert stage.gateway.ledger.calls == []
        assert not (tmp_path / "data").exists()


def test_what_is_tried_live_or_acts_elsewhere_has_no_part_in_a_rehearsal(tmp_path: Path) -> None:
    """A candidate would answer too; servers that the model server calls would really book."""
    hosted = ({"type": "web_search"}, {"type": "mcp", "server_label": "hotel"})
    changes = {"candidate": "shadow", "options": {"tools": list(hosted)}, "hosted_tools": hosted}
    settings = with_tables(Settings(), {"assistant": changes})
    own = rehearsed(settings, tmp_path, RehearsalOptions(simulated=False, at=0.0)).assistant
    assert own.candidate == "off"
    assert [tool["type"] for tool in own.hosted_tools] == ["web_search"]
    assert [tool["type"] for tool in own.options["tools"]] == ["web_search"]


async def test_a_rehearsal_without_a_real_model_opens_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_stage(tmp_path / "data", started=False) as stage:
        settings = stage.outside_settings()

        def refused(*_: object) -> None:
            raise AssertionError("a connection was opened")

        monkeypatch.setattr(socket.socket, "connect", refused)
        monkeypatch.setattr(trio.socket.SocketType, "connect", refused)
        async with open_rehearsal(settings, RehearsalOptions(simulated=True, at=0.0)) as rehearsal:
            key = rehearsal.new_chat()
            for text in ("Hola", "Quiero hablar con un asesor"):
                heard = await rehearsal.say(key, [text], seconds=60)
                assert heard.answers
        monkeypatch.undo()


# -- ask -------------------------------------------------------------------------------------------


def test_ask_answers_in_the_terminal(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = recado("ask", "Hola", "¿qué tal?", RECADO_DATA_DIR=str(data))
    assert done.exit_code == 0, done.output
    assert "Entendí: «Hola ¿qué tal?»" in done.stdout  # one burst, one answer
    assert "the simulated model answers: assistant.api_key" in done.stderr
    assert re.search(r"\d+ tokens of the simulated model", done.stderr)
    assert not data.exists()


def test_ask_runs_no_tool_with_effects(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from pathlib import Path\nfrom daemon.tools import tool\n\n\n@tool(effects=True)\n"
        "def open_door() -> str:\n    '''Open the door.'''\n"
        f"    Path({str(tmp_path / 'opened')!r}).touch()\n    return 'the door is open'\n"
    )
    instructions = tmp_path / "rules.md"
    instructions.write_text('- When asked about "door": open_door.')
    settings = {
        "RECADO_TOOLS__FOLDER": str(tmp_path),
        "RECADO_ASSISTANT__INSTRUCTIONS_FILE": str(instructions),
    }
    done = recado("ask", "Open the door, please", **settings)
    assert done.exit_code == 0, done.output
    assert "tool open_door({}) not run: --effects runs it" in done.stderr
    assert not (tmp_path / "opened").exists()
    done = recado("ask", "--effects", "Open the door, please", **settings)
    assert "the door is open" in done.stdout
    assert (tmp_path / "opened").exists()


def test_ask_searches_the_documents(tmp_path: Path) -> None:
    (tmp_path / "pool.md").write_text("# Sauna\n\nThe sauna opens at nine and costs nothing.")
    done = recado("ask", "When does the sauna open?", RECADO_KNOWLEDGE__FOLDER=str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "The sauna opens at nine" in done.stdout
