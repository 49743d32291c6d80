"""Simulated customers: personas with habits, by script and by a model."""

import re
import socket
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import trio
from click.testing import CliRunner, Result
from pydantic import SecretStr
from support.model_script import say
from support.stage import open_stage

from daemon.__main__ import main
from daemon.ops.rehearsal import cases as case_files
from daemon.ops.rehearsal.cases import (
    Case,
    Customer,
    CustomerMessage,
    Habits,
    LocatedCase,
    find_cases,
)
from daemon.ops.rehearsal.customers import GREETINGS, NOT_FOR_US, Persona
from daemon.ops.rehearsal.play import Tries, play_cases
from daemon.ops.rehearsal.stage import HELD, RehearsalOptions
from daemon.settings import Settings, with_tables
from daemon.settings.webhooks import WebhookSettings
from daemon.startup import open_sandbox

ROOT = Path(__file__).parents[2]
GUESTS = ROOT / "config" / "customers"


def rehearse(*arguments: str | Path) -> Result:
    environ = {"RECADO_CONFIG": "", "OPENAI_API_KEY": ""}
    return CliRunner(env=environ).invoke(main, ["rehearse", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def without_tokens(report: str) -> list[str]:
    """A report without what the moments of a conversation change."""
    return [line for line in report.splitlines() if not re.search(r"\d+ tokens", line)]


def test_the_guests_of_the_example_hotel_reach_their_ends() -> None:
    done = rehearse(GUESTS, "--at-once", "8")
    assert done.exit_code == 0, done.output
    assert "6 cases; the simulated model" in done.stdout
    assert re.search(r"the judge agrees with \d+ of 20 labelled judgements", done.stdout)


def test_a_guest_who_does_not_reach_it_is_found_each_time(tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.md"
    hotel = (ROOT / "config" / "cases" / "hotel.md").read_text()
    faulty.write_text(hotel.replace("«gerente»: usa escalate_to_human", "«gerente»: «No está.»"))
    reports = []
    for run in ("first", "second"):
        page, junit = tmp_path / f"{run}.html", tmp_path / f"{run}.xml"
        files = ("--html", page, "--junit", junit, "--only", "Marta|equivocado", "--times", "2")
        done = rehearse(GUESTS, "--instructions", faulty, *files)
        assert done.exit_code == 1, done.output
        assert "FAILED  Marta se queja (try 2)" in done.stdout
        assert "not handed over" in done.stdout
        assert "pass^2: 0.500" in done.stdout
        reports.append([without_tokens(t) for t in (done.stdout, page.read_text())])
        reports[-1].append([junit.read_text()])
    assert reports[0] == reports[1]


LINE = "Hola, ¿abren la piscina, por favor?"


def persona(**fields: Any) -> LocatedCase:
    """A customer of the example hotel, as a file gives it."""
    customer = msgspec.convert({"goal": "Saber de la piscina.", **fields}, Customer)
    case = case_files._end_of(customer)
    return LocatedCase(case=case, path=Path("c.toml"), line=1, customer=customer)


def hotel(folder: Path) -> Settings:
    """The settings of the example hotel."""
    instructions = ROOT / "config" / "cases" / "hotel.md"
    return with_tables(
        Settings(data_dir=folder / "data"),
        {
            "assistant": {"instructions_file": instructions},
            "tools": {"folder": ROOT / "config" / "tools"},
            "escalation": {"chat": "573009998877", "label": "person"},
        },
    )


async def test_the_whole_daemon_meets_every_habit(tmp_path: Path) -> None:
    script, said = [LINE], "8 a 20"
    rude = "Pésimo, quiero al gerente"
    cast = [
        persona(name="bursts", script=script, habits={"bursts": 1}, said=said),
        persona(name="edits", script=script, habits={"edits": 1}, said=said),
        persona(name="voice", script=script, habits={"voice": 1}, said=said),
        persona(name="mixed", script=script, habits={"second_language": 1}, said=said),
        persona(name="lost", script=script, habits={"wrong_number": 1}, said=said),
        persona(name="gone", script=[*script, "Reserva la 101"], habits={"silence": 1}, said="no"),
        persona(name="angry", script=[rude, "¿Hola?"], handed_over=True, customer="Marta"),
        persona(
            name="books",
            script=["Reserva la 101 desde el 10/05/2026 por 2 noches a nombre de Ana Gil"],
            tools={"book_room": {"booked": True, "reference": "a1b2c3d4"}},
            called=[{"tool": "book_room", "with": {"room": "101", "guest": "Ana Gil"}}],
            said="a1b2c3d4",
        ),
    ]
    terms = RehearsalOptions(simulated=True, at=1_772_463_600.0)
    with trio.fail_after(120):
        tries = Tries(at_once=len(cast))
        settings = hotel(tmp_path)
        played = await play_cases(settings, terms, cast, tries, open_sandbox=open_sandbox)
    assert {play.found.case.name: play.failures for play in played.plays} == {
        one.case.name: [] for one in cast
    }
    turns = {play.found.case.name: play.turns for play in played.plays}
    assert [len(turns[name]) for name in ("gone", "lost", "angry")] == [1, 2, 2]
    assert turns["bursts"][0].says == ["Hola,", "¿abren la piscina,", "por favor?"]
    assert turns["voice"][0].says == ["(voice note) hola abren la piscina por favor"]
    assert [turn.outcome for turn in turns["angry"]] == ["answered", HELD]
    assert not (tmp_path / "data").exists()


async def test_customers_of_a_rehearsal_reach_nobody_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everything configured by which the daemon sends, and somebody there to take it."""
    async with open_stage(tmp_path / "data", started=False) as stage:
        outside = stage.model_url
        settings = with_tables(
            stage.outside_settings(),
            {
                "escalation": {"chat": "573009998877", "label": "person"},
                "notify": {"urls": (SecretStr(outside.replace("http", "json")),)},
                "tracing": {"otlp_endpoint": outside},
            },
        )
        endpoint = WebhookSettings(
            name="crm", url=outside, secret=(SecretStr("whsec_" + "A" * 40),), private=True
        )
        settings = settings.model_copy(update={"webhooks": (endpoint,)})
        asked: list[str] = []
        connect = socket.socket.connect

        def noted(self: socket.socket, address: Any) -> None:
            asked.append(f"http://{address[0]}:{address[1]}")
            connect(self, address)

        monkeypatch.setattr(socket.socket, "connect", noted)  # trio's sockets have one of these
        terms = RehearsalOptions(simulated=True, at=1_772_463_600.0)
        cast = [persona(name="all", script=["Hola", "Quiero un asesor"], handed_over=True)]
        played = await play_cases(settings, terms, cast, Tries(), open_sandbox=open_sandbox)
        (play,) = played.plays
        assert play.passed, play.failures
        assert asked, "the daemon talks to its simulators"
        assert {url.rpartition(":")[0] for url in asked} == {"http://127.0.0.1"}
        assert outside not in asked
        assert stage.gateway.ledger.calls == []
        assert not (tmp_path / "data").exists()


async def written(**habits: float) -> list[str | CustomerMessage]:
    """The bursts of a customer who always has these habits."""
    customer = Customer(name="c", goal="g", script=[LINE, "Gracias"], habits=Habits(**habits))
    one = Persona(customer, Random(1))  # noqa: S311 - repeatable
    turns = []
    while turn := await one.next([]):
        turns.append(turn)
    return [message for turn in turns for message in turn.burst]


async def test_habits_change_how_a_line_is_written() -> None:
    plain = [LINE, "Gracias"]
    assert await written() == plain
    assert await written(bursts=1) == ["Hola,", "¿abren la piscina,", "por favor?", "Gracias"]
    spoken = [
        CustomerMessage(text, voice=True) for text in ("hola abren la piscina por favor", "gracias")
    ]
    assert await written(voice=1) == spoken
    changed = CustomerMessage("Hola, ¿abren la piscina, por", edit=LINE)
    assert await written(edits=1) == [changed, "Gracias"]
    greeted = [GREETINGS["es"], LINE, GREETINGS["es"], "Gracias"]
    assert await written(second_language=1) == greeted
    assert await written(wrong_number=1) == [*NOT_FOR_US["es"], *plain]
    assert await written(silence=1) == plain[:1]


def test_a_customer_without_a_script_needs_a_model(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('\n[[customer]]\nname = "a"\ngoal = "b"\n')
    done = rehearse(path)
    assert done.exit_code == 2
    assert f"{path}:2: without a script only --by-model can play this" in done.stderr
    done = rehearse(path, "--by-model")
    assert done.exit_code == 2
    assert "the simulated model plays no customers" in done.stderr


async def test_a_model_plays_a_customer(tmp_path: Path) -> None:
    """One model server plays both sides: what it is asked tells them apart."""
    async with open_stage(tmp_path / "data", started=False) as stage:
        customer = Customer(name="c", goal="Learn when the pool opens.", said="at eight", turns=3)
        found = LocatedCase(
            case=find_end(tmp_path, customer), path=tmp_path, line=1, customer=customer
        )
        stage.model.script(
            *[say("Hi!\nWhen does the pool open?"), say("The pool opens at eight."), say("END")]
        )
        terms = RehearsalOptions(simulated=False, at=0.0)
        tries = Tries(by_model=True)
        settings = stage.outside_settings()
        played = await play_cases(settings, terms, [found], tries, open_sandbox=open_sandbox)
        (play,) = played.plays
        assert play.passed, play.failures
        (turn,) = play.turns
        assert turn.says == ["Hi!", "When does the pool open?"]
        assert turn.answers == ["The pool opens at eight."]
        assert stage.gateway.ledger.calls == []


def find_end(folder: Path, customer: Customer) -> Case:
    """The case of a customer, as a file gives it."""
    path = folder / "one.toml"
    path.write_text(
        f'[[customer]]\nname = "{customer.name}"\ngoal = "{customer.goal}"\nsaid = "at eight"\n'
    )
    (found,) = find_cases([path])
    return found.case
