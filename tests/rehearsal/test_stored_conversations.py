"""`recado rehearse --from` and `recado case`: what was said, against what is to come."""

import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result
from support.place import variables_of_store
from support.rows import count, select
from support.stage import LAURA, Stage, open_stage

from daemon.__main__ import main
from daemon.ops.rehearsal.writing import anonymous, quoted

TOOL = '''
from daemon.tools import tool


@tool
def free_rooms(day: str) -> str:
    """Say which rooms are free."""
    return "room 7 is free"
'''
BEFORE = '- When asked about "room": free_rooms.'
AFTER = '- When asked about "room": free_rooms.\n- When asked about "pool": "It opens at 8 am."'


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A daemon with a tool of the operator's."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "rooms.py").write_text(TOOL)
    async with open_stage(tmp_path / "data", started=False, tools={"folder": tools}) as stage:
        stage.settings.assistant.instructions_file.write_text(BEFORE)
        await stage.start()
        yield stage


async def run(stage: Stage, *arguments: str | Path) -> Result:
    """Run a command beside the daemon, which has no real model."""
    data, tools = stage.settings.data_dir, stage.settings.tools.folder
    environ = {
        "RECADO_CONFIG": "",
        "OPENAI_API_KEY": "",
        "RECADO_DATA_DIR": str(data),
        "RECADO_TOOLS__FOLDER": str(tools),
        **variables_of_store(data),
    }
    return await trio.to_thread.run_sync(
        lambda: CliRunner(env=environ).invoke(main, [*map(str, arguments)])
    )


async def says(stage: Stage, words: str, sent: int) -> None:
    await stage.gateway.customer_says(LAURA, words)
    await stage.gateway.wait_sent(LAURA, sent)
    await stage.quiet()


async def test_stored_turns_are_compared_with_a_candidate(stage: Stage, tmp_path: Path) -> None:
    await says(stage, "Is a room free?", 1)
    await says(stage, "And the pool, when does it open?", 2)
    await says(stage, "Thanks", 3)
    candidate, page = tmp_path / "new.md", tmp_path / "page.html"
    candidate.write_text(AFTER)
    before = len(stage.gateway.ledger.calls)
    turns = count(stage.settings.data_dir, "turns")
    # The tool itself has changed since: its recorded result is what the candidate gets.
    (tmp_path / "tools" / "rooms.py").write_text(TOOL.replace("room 7", "room 9"))
    done = await run(stage, "rehearse", "--from", "1h", "--instructions", candidate, "--html", page)
    assert done.exit_code == 0, done.output
    assert "3 turns of 1 chats; the simulated model" in done.stdout
    assert "1 better, 2 same" in done.stdout
    assert "of 20 labelled judgements" in done.stdout
    assert "pool" not in done.stdout  # no words of anybody
    shown = page.read_text()
    assert "It opens at 8 am." in shown
    assert "room 7 is free" in shown
    assert "room 9" not in shown
    assert len(stage.gateway.ledger.calls) == before
    assert count(stage.settings.data_dir, "turns") == turns
    assert select(stage.settings.data_dir, "audit", "action") == [("reveal",)]


async def test_what_was_not_recorded_is_named(stage: Stage, tmp_path: Path) -> None:
    await says(stage, "When does the pool open?", 1)
    candidate = tmp_path / "new.md"
    candidate.write_text('- When asked about "pool": free_rooms.')
    done = await run(stage, "rehearse", "--from", "1h", "--instructions", candidate)
    assert done.exit_code == 0, done.output
    assert "; results not recorded: free_rooms" in done.stdout


async def test_a_stored_conversation_becomes_a_case(stage: Stage, tmp_path: Path) -> None:
    other = "573009998877"
    stage.gateway.contact(other, name="Rosalba Quintero")
    await stage.gateway.customer_says(other, "I am Rosalba, +57 310 555 0199. Is a room free?")
    await stage.gateway.wait_sent(other)
    await stage.quiet()
    ((message_id,),) = select(stage.settings.data_dir, "messages", "id", where={"from_me": 0})
    done = await run(stage, "case", message_id, "--name", "free room")
    assert done.exit_code == 0, done.output
    (case,) = tomllib.loads(done.stdout)["case"]
    assert case["name"] == "free room"
    assert case["tools"] == {"free_rooms": ["room 7 is free"]}
    assert case["turn"][0]["called"] == ["free_rooms"]
    assert "Rosalba" not in done.stdout
    assert "0199" not in done.stdout
    path = tmp_path / "case.toml"
    path.write_text(done.stdout)
    settings = stage.settings.assistant.instructions_file
    played = await run(stage, "rehearse", path, "--instructions", settings)
    assert played.exit_code == 0, played.output


async def test_a_message_without_a_turn_is_no_case(stage: Stage) -> None:
    done = await run(stage, "case", "unknown")
    assert done.exit_code == 2
    assert "no turn with message unknown is known" in done.stderr
    done = await run(stage, "rehearse", "--from", "1h")
    assert done.exit_code == 2
    assert "no turn has been answered since then" in done.stderr


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("Soy Ana María, 310 555 0199", "Soy Laura, 573001234567"),
        ("write to ana.maria@hotel.example", "write to laura@example.com"),
        ("room 101 for $180.000", "room 101 for $180.000"),
        ("the banana", "the banana"),
        ("soy ana li, la de ayer", "soy Laura, la de ayer"),
        ("habla Wu", "habla Wu"),  # a short part alone may be any word
        ("Zoé te escribe", "Laura te escribe"),
    ],
)
def test_a_person_is_taken_out_of_a_text(text: str, without: str) -> None:
    names = ["Ana María", "Ana Li", "~Zoé🌸", "Wu", "La"]
    assert anonymous(text, names) == without


def test_any_text_of_a_case_can_be_read_again() -> None:
    text = "".join(map(chr, range(0x250))) + "\u2028\ufffe😀"
    assert tomllib.loads(f"text = {quoted(text)}")["text"] == text
