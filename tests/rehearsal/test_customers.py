"""Simulated customers: personas with habits, by script and by a model."""

from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result
from support.model_script import say
from support.stage import open_stage

from daemon.__main__ import main
from daemon.ops.rehearsal.cases import (
    Case,
    Customer,
    EditedMessage,
    Habits,
    LocatedCase,
    find_cases,
)
from daemon.ops.rehearsal.customers import GREETINGS, NOT_FOR_US, Script
from daemon.ops.rehearsal.play import Tries, play_cases
from daemon.ops.rehearsal.stage import RehearsalOptions

ROOT = Path(__file__).parents[2]
GUESTS = ROOT / "config" / "customers"


def rehearse(*arguments: str | Path) -> Result:
    environ = {"RECADO_CONFIG": "", "OPENAI_API_KEY": ""}
    return CliRunner(env=environ).invoke(main, ["rehearse", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_guests_of_the_example_hotel_reach_their_ends() -> None:
    done = rehearse(GUESTS, "--times", "4")
    assert done.exit_code == 0, done.output
    assert "6 cases, 4 times each" in done.stdout
    assert rehearse(GUESTS, "--times", "4").stdout == done.stdout


def test_a_guest_who_does_not_reach_it_is_found(tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.md"
    hotel = (ROOT / "config" / "cases" / "hotel.md").read_text()
    faulty.write_text(hotel.replace("«gerente»: usa escalate_to_human", "«gerente»: «No está.»"))
    done = rehearse(GUESTS, "--instructions", faulty, "--times", "2")
    assert done.exit_code == 1
    assert "FAILED  Marta se queja" in done.stdout
    assert "not handed over" in done.stdout


def written(**habits: float) -> list[str | EditedMessage]:
    """The bursts of a customer who always has these habits."""
    line = "Hola, ¿abren la piscina, por favor?"
    customer = Customer(name="c", goal="g", script=[line, "Gracias"], habits=Habits(**habits))
    script = Script.of(customer, Random(1))  # noqa: S311 - repeatable
    return [message for turn in script._left for message in turn.burst]


def test_habits_change_how_a_line_is_written() -> None:
    plain = ["Hola, ¿abren la piscina, por favor?", "Gracias"]
    assert written() == plain
    assert written(bursts=1) == ["Hola,", "¿abren la piscina,", "por favor?", "Gracias"]
    assert written(dictation=1) == ["hola abren la piscina por favor", "gracias"]
    changed = EditedMessage(text="Hola, ¿abren la piscina, por", edit=plain[0])
    assert written(edits=1) == [changed, "Gracias"]
    greeted = [GREETINGS["es"], plain[0], GREETINGS["es"], "Gracias"]
    assert written(second_language=1) == greeted
    assert written(wrong_number=1) == [*NOT_FOR_US["es"], *plain]
    assert written(silence=1) == plain[:1]


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
        played = await play_cases(stage.outside_settings(), terms, [found], tries)
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
