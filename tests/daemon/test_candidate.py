"""A candidate: for a share of the contacts, or in shadow, where nothing of it is ever sent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from support.model_script import Step, call, say
from support.operator import recado
from support.rows import rows, select
from support.scenes import PEDRO, forgive, found, open_scene
from support.stage import LAURA, Stage

from daemon.domain.versions import is_in_share
from daemon.ops.maintenance import outcomes

TOOLS = '''
from pathlib import Path

from daemon.tools.tool import ToolContext, tool


def note(name: str) -> None:
    with Path(__file__).with_suffix(".done").open("a") as file:
        file.write(f"{name}\\n")


@tool(effects=True)
async def book_room(context: ToolContext, room: str) -> str:
    """Book a room."""
    note("book")
    await context.say("Reservando…")
    return f"booked {room}"


@tool
async def look_at(context: ToolContext, room: str) -> str:
    """Look whether a room is free."""
    note("look")
    await context.say("Mirando…")
    return f"{room} is free"
'''
ESCALATION = json.dumps({"reason": "x", "summary": "y", "urgency": "high"})
NEW = "You answer for a large hotel, in one sentence."


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at once where the daemon lets seconds pass."""
    monkeypatch.setattr(outcomes, "LOOK_SECONDS", 0.02)
    return iter([None])


@pytest.fixture
def instructions(tmp_path: Path) -> Path:
    """The candidate's instructions, beside tools that write down their calls."""
    path = tmp_path / "new.md"
    path.write_text(NEW)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "hotel.py").write_text(TOOLS)
    return path


def tried(mode: str, instructions: Path, **more: Any) -> dict[str, Any]:
    """The settings of a candidate."""
    return {
        "candidate": mode,
        "candidate_instructions_file": instructions,
        "candidate_model": "gpt-6-new",
        **more,
    }


def candidates(stage: Stage) -> list[dict[str, Any]]:
    return rows(
        stage.settings.data_dir, "candidate_answers", "text, tools, turn_id", order="turn_id"
    )


def of_candidate(stage: Stage) -> list[Any]:
    """The calls that the model server got for the candidate."""
    return [one for one in stage.model.calls if one.body["model"] == "gpt-6-new"]


@pytest.mark.parametrize(("share", "in_it"), [(1.0, True), (0.0, False)])
async def test_the_contacts_of_a_share_are_answered_by_the_candidate(
    tmp_path: Path,
    instructions: Path,
    share: float,
    in_it: bool,  # noqa: FBT001
) -> None:
    settings = tried("share", instructions, candidate_share=share)
    async with open_scene(tmp_path, assistant=settings) as stage:
        data_dir = stage.settings.data_dir
        for number in (1, 2):
            stage.model.script(say("Hola."))
            await stage.gateway.customer_says(LAURA, f"Hola {number}")
            await stage.gateway.wait_sent(LAURA, number)
            await stage.quiet()
        assert len(of_candidate(stage)) == (2 if in_it else 0)
        assert (NEW in stage.model.calls[-1].body["instructions"]) is in_it
        ((model,),) = select(data_dir, "versions", "model_name")
        assert (model == "gpt-6-new") is in_it
        await found(lambda: select(data_dir, "enquiries", "version_id") == [(1,)])
        assert candidates(stage) == []


def test_a_contact_stays_in_its_share() -> None:
    contacts = [f"57300{number:07d}@s.whatsapp.net" for number in range(2_000)]
    taken = {share: {c for c in contacts if is_in_share("main", c, share)} for share in (0.1, 0.5)}
    assert taken[0.1] < taken[0.5]
    assert 120 < len(taken[0.1]) < 280
    assert not any(is_in_share("main", contact, 0.0) for contact in contacts)
    assert all(is_in_share("main", contact, 1.0) for contact in contacts)


async def test_in_shadow_nothing_is_sent_and_no_tool_is_run(
    tmp_path: Path, instructions: Path
) -> None:
    """The results of the live turn are used; what it has not called has none."""
    folder = tmp_path / "tools"
    async with open_scene(
        tmp_path, assistant=tried("shadow", instructions), tools={"folder": folder}
    ) as stage:
        data_dir = stage.settings.data_dir
        stage.model.script(
            call("book_room", '{"room": "7"}'),
            say("Reservada la 7."),
            call("book_room", '{ "room":"7" }'),
            call("book_room", '{"room": "8"}'),
            call("look_at", '{"room": "9"}'),
            call(
                "escalate_to_human", json.dumps({"reason": "x", "summary": "y", "urgency": "high"})
            ),
            say("Listo, la 7 es suya."),
        )
        await stage.gateway.customer_says(LAURA, "Reserve la 7", name="Laura")
        await found(lambda: candidates(stage))
        await stage.quiet()
        assert stage.received() == ["Reservando…", "Reservada la 7."]
        assert (folder / "hotel.done").read_text().split() == ["book"]
        ((kept),) = candidates(stage)
        assert kept["text"] == "Listo, la 7 es suya."
        assert kept["tools"] == "book_room book_room look_at escalate_to_human"
        shadow = of_candidate(stage)
        assert len(shadow) == 5
        outputs = [i["output"] for i in shadow[-1].items if i.get("type") == "function_call_output"]
        assert outputs[0] == "booked 7"
        assert all("was not made" in output for output in outputs[1:])
        assert NEW in shadow[0].body["instructions"]
        # The live turn's own calls, sends and version are all that the ledger has.
        assert select(data_dir, "tool_calls", "tool") == [("book_room",)]
        assert len(select(data_dir, "outbox", "id")) == 2
        assert select(data_dir, "escalations", "turn_id") == []
        assert select(data_dir, "versions", "model_name", order="id") == [
            (stage.settings.assistant.model,),
            ("gpt-6-new",),
        ]
        tokens = sum(one[0] for one in select(data_dir, "usage", "tokens"))
        ((day,),) = select(data_dir, "usage_days", "tokens", where={"chat": ""})
        assert day > tokens  # the shadow's cost counts in the budget
        ((message_id,),) = select(data_dir, "messages", "id", where={"from_me": 0})
        explained = await recado(data_dir, "explain", message_id)
        assert "not sent" in explained.stdout
        # And the next turn knows nothing of it.
        stage.model.script(say("Con gusto."), say("De nada."))
        await stage.gateway.customer_says(LAURA, "Gracias")
        await stage.gateway.wait_sent(LAURA, 3)
        assert "es suya" not in str(stage.model.calls[7].items)
        await found(lambda: len(candidates(stage)) == 2)
        done = await recado(data_dir, "forget", LAURA, "--yes")
        assert done.exit_code == 0, done.output
        assert candidates(stage) == []


PRICES = {
    "gpt-6-luna": {"input": 100.0, "cached": 100.0, "output": 100.0},
    "gpt-6-new": {"input": 1.0, "cached": 1.0, "output": 1.0},
}
HOSTED = ({"type": "web_search"}, {"type": "mcp", "server_label": "hotel"})


async def test_a_shadow_costs_what_its_model_costs_and_calls_no_server_that_may_act(
    tmp_path: Path, instructions: Path
) -> None:
    settings = tried("shadow", instructions, hosted_tools=HOSTED)
    async with open_scene(tmp_path, assistant=settings, budget={"prices": PRICES}) as stage:
        data_dir = stage.settings.data_dir
        stage.model.script(say("Hola."), say("Hola."))
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: candidates(stage))
        await stage.quiet()
        ((live,),) = select(data_dir, "usage", "micros")
        ((shadow,),) = select(data_dir, "candidate_answers", "micros")
        assert 0 < shadow < live / 10
        offered = [{tool["type"] for tool in one.body["tools"]} for one in stage.model.calls]
        assert offered == [{"function", "web_search", "mcp"}, {"function", "web_search"}]


async def test_a_share_costs_what_its_model_costs(tmp_path: Path, instructions: Path) -> None:
    settings = tried("share", instructions, candidate_share=1.0)
    async with open_scene(tmp_path, assistant=settings, budget={"prices": PRICES}) as stage:
        stage.model.script(say("Hola."))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA, 1)
        await stage.quiet()
        ((tokens, micros),) = select(stage.settings.data_dir, "usage", "tokens, micros")
        assert micros == tokens  # a million tokens cost one


async def test_a_shadow_that_hangs_delays_nobody_and_no_stop(
    tmp_path: Path, instructions: Path
) -> None:
    async with open_scene(tmp_path, assistant=tried("shadow", instructions)) as stage:
        never = trio.Event()
        stage.model.script(say("Uno."), say("nunca", gate=never))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA, 1)
        await stage.model.wait_requests(2)
        # The same chat and another one are answered while it hangs.
        stage.model.script(say("Dos."), say("nunca", gate=never))
        await stage.gateway.customer_says(LAURA, "¿Y ahora?")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.model.wait_requests(4)
        stage.model.script(say("Tres."))  # two are under way: this one is not tried
        await stage.gateway.customer_says(PEDRO, "Hola")
        await stage.gateway.wait_sent(PEDRO, 1)
        await stage.quiet()
        assert len(of_candidate(stage)) == 2
        await stage.stop()
        assert candidates(stage) == []
        assert stage.received() == ["Uno.", "Dos."]


async def test_a_shadow_that_fails_or_a_crash_during_it_leaves_the_answer_alone(
    tmp_path: Path, instructions: Path
) -> None:
    async with open_scene(tmp_path, assistant=tried("shadow", instructions)) as stage:
        stage.model.script(say("Uno."), Step(status=400, code="invalid_prompt", message="No"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA, 1)
        await found(lambda: [one["text"] for one in candidates(stage)] == [""])
        assert (await stage.get("/health")).json()["status"] == "healthy"
        never = trio.Event()
        stage.model.script(say("Dos."), say("nunca", gate=never))
        await stage.gateway.customer_says(LAURA, "¿Y ahora?")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.model.wait_requests(4)
        await stage.quiet()
        await stage.crash()
        await stage.start()
        stage.model.script(say("Tres."), say("tres"))
        await stage.gateway.customer_says(LAURA, "¿Hola?")
        await stage.gateway.wait_sent(LAURA, 3)
        await found(lambda: len(candidates(stage)) == 2)
        assert stage.received() == ["Uno.", "Dos.", "Tres."]
        forgive(stage)


async def test_two_versions_are_compared_with_intervals(tmp_path: Path, instructions: Path) -> None:
    settings = tried("share", instructions, candidate_share=0.5)
    contacts = [f"57300{number:07d}" for number in range(8)]
    async with open_scene(tmp_path, assistant=settings) as stage:
        data_dir = stage.settings.data_dir
        for contact in contacts:
            stage.model.script(say("Sí, hay."))
            await stage.gateway.customer_says(contact, "¿Hay cupo?")
            await stage.gateway.wait_sent(contact, 1)
        await stage.quiet()
        await found(
            lambda: select(data_dir, "enquiries", "outcome"), lambda r: r == [("automatic",)] * 8
        )
        digests = [row[0] for row in select(data_dir, "versions", "digest", order="id")]
        assert len(digests) == 2
        compared = ("versions", "compare", *digests)
        with_store = ("--data-dir", str(data_dir))
        done = await recado(data_dir, *compared, *with_store)
        assert done.exit_code == 0, done.output
        line = next(one for one in done.stdout.splitlines() if "without a person" in one)
        assert line.count("100.0% [") == 2
        as_json = [await recado(data_dir, *compared, "--json", *with_store) for _ in range(2)]
        assert as_json[0].stdout == as_json[1].stdout
        assert sum(json.loads(as_json[0].stdout)["enquiries"]) == 8
        wrong = await recado(data_dir, "versions", "compare", "zz", digests[0], *with_store)
        assert wrong.exit_code == 2
