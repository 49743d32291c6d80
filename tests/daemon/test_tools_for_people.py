"""Tools that turn to people: interim words, handing over, labels, facts; over real HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from support.model_script import Step, call, say
from support.operator import files_with, recado
from support.rows import select
from support.scenes import (
    PEDRO,
    end_pause,
    found,
    logged,
    model_input,
    open_scene,
    outbox,
    outcomes,
    thread,
    words,
)
from support.stage import LAURA, QUICK, Stage

from daemon.domain.notification_texts import notice
from daemon.domain.texts import texts
from daemon.sandbox.model_wire import CallTool

TOOLS = '''
"""Tools that speak while they work, for tests."""

from pathlib import Path

import trio

from daemon.tools.tool import ToolContext, tool

FOLDER = Path(__file__).parent


@tool
async def look_up(context: ToolContext) -> str:
    """Look up what is free."""
    said = [await context.say("Voy a consultar"), await context.say("Ya casi")]
    (FOLDER / "spoken").touch()
    while (FOLDER / "hang").exists():
        await trio.sleep(0.01)
    return f"free {said}"


@tool
def look_up_in_a_thread(context: ToolContext) -> str:
    """Look up what is free."""
    return f"free {context.say_from_thread('Voy a mirar')}"
'''

AGENTS = "120363000000000009@g.us"
HAND_OVER = call(
    "escalate_to_human",
    '{"reason": "Pide una persona", "summary": "Quiere facturar", "urgency": "high"}',
)


@pytest.fixture(autouse=True)
def _quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put into another chat's outbox is found in tenths of a second."""
    monkeypatch.setitem(QUICK, "housekeeping", {"sweep_seconds": 0.1})


@asynccontextmanager
async def open_tools(
    tmp_path: Path, *, hangs: bool = False, **changes: Any
) -> AsyncIterator[tuple[Stage, Path]]:
    """A stage with tools that speak; ``hangs``: they do not return while the file is there."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "desk.py").write_text(TOOLS)
    if hangs:
        (folder / "hang").touch()
    async with open_scene(tmp_path, tools={"folder": folder}, **changes) as stage:
        yield stage, folder


# -- interim words -------------------------------------------------------------------------------


async def test_a_tool_sends_messages_while_it_works(tmp_path: Path) -> None:
    """The customer has the words before the tool has returned; the thread has them in place."""
    async with open_tools(tmp_path, hangs=True) as (stage, folder):
        stage.model.script(call("look_up"), say("La 101 está libre"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay libre?")
        await stage.gateway.wait_sent(LAURA, 2)
        assert len(stage.model.calls) == 1
        (folder / "hang").unlink()
        await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        assert stage.received() == ["Voy a consultar", "Ya casi", "La 101 está libre"]
        kinds = [item.get("type", item.get("role")) for item in thread(stage)]
        spoken = [words(item) for item in thread(stage) if item.get("role") == "assistant"]
        assert spoken == ["Voy a consultar", "Ya casi", "La 101 está libre"]
        assert kinds.index("function_call") > kinds.index("assistant")
        # Their echoes are ours: nobody has taken the chat over, and the model goes on.
        assert not stage.events("an agent writes")
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Gracias")
        await stage.gateway.wait_sent(LAURA, 4)
        assert "Voy a consultar" in model_input(stage, role="assistant")
        await stage.quiet()
        assert outcomes(stage) == ["answered", "answered"]


async def test_a_tool_in_a_thread_sends_messages_too(tmp_path: Path) -> None:
    async with open_tools(tmp_path) as (stage, _):
        stage.model.script(call("look_up_in_a_thread"), say("Libre"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay libre?")
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received() == ["Voy a mirar", "Libre"]
        assert "free True" in model_input(stage)


async def test_sent_messages_are_not_sent_again_after_a_crash(tmp_path: Path) -> None:
    """The tool has no effects, so it is called again; its words are those of the first call."""
    async with open_tools(tmp_path, hangs=True) as (stage, folder):
        stage.model.script(call("look_up"), say("La 101 está libre"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay libre?")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.crash()
        (folder / "hang").unlink()
        (folder / "spoken").unlink()
        await stage.start()
        await stage.gateway.wait_sent(LAURA, 3)
        assert (folder / "spoken").exists()
        assert stage.received() == ["Voy a consultar", "Ya casi", "La 101 está libre"]


async def test_a_run_that_has_spoken_is_not_superseded(tmp_path: Path) -> None:
    """What comes meanwhile is for the next turn: the customer has been told to wait for this."""
    async with open_tools(tmp_path, hangs=True) as (stage, folder):
        stage.model.script(call("look_up"), say("La 101 está libre"), say("Sí, con balcón"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay libre?")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.gateway.customer_says(LAURA, "¿Y con balcón?")
        (folder / "hang").unlink()
        await stage.gateway.wait_sent(LAURA, 4)
        assert stage.received()[2:] == ["La 101 está libre", "Sí, con balcón"]
        assert not stage.events("run interrupted")


async def test_a_tool_sends_nothing_during_a_takeover(tmp_path: Path) -> None:
    """Taken over during the call: what is not sent yet is dropped, and the chat is theirs."""
    async with open_tools(tmp_path, hangs=True, delivery={"typing": True}) as (stage, folder):
        stage.model.script(call("look_up"))
        await stage.gateway.customer_says(LAURA, "¿Qué hay libre?")
        await found((folder / "spoken").exists)
        await stage.gateway.agent_says(LAURA, "Yo le ayudo")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await found(lambda: outcomes(stage) == ["handed_off"])
        assert stage.received() == []
        assert outbox(stage) == [("dropped", "Voy a consultar"), ("dropped", "Ya casi")]
        assert stage.gateway.presences(LAURA)[-1].presence == "pause"


# -- handing over --------------------------------------------------------------------------------


async def test_a_chat_is_handed_to_a_person(tmp_path: Path) -> None:
    """The answer is said, the agents are told, the label is on; then the bot is silent."""
    escalation = {"chat": AGENTS, "label": "atiende una persona", "pause_minutes": 60.0}
    takeover = {"pause_minutes": 0.0}
    async with open_tools(tmp_path, escalation=escalation, takeover=takeover) as (stage, _):
        stage.model.script(HAND_OVER, say("Ya le escribe una persona"), say("Otra vez yo"))
        await stage.gateway.customer_says(LAURA, "Quiero hablar con alguien", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        (notice,) = await stage.gateway.wait_sent(AGENTS)
        assert f"+{LAURA}" in notice.text
        assert f"https://wa.me/{LAURA}" in notice.text
        for said in ("Pide una persona", "Quiere facturar", "🔴"):
            assert said in notice.text
        assert stage.gateway.ledger.chats[f"{LAURA}@s.whatsapp.net"].labels == ["3"]
        await found(lambda: outcomes(stage) == ["answered"])
        await stage.gateway.customer_says(LAURA, "¿Hola?")
        await end_pause(stage)
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received() == ["Ya le escribe una persona", texts("es").overdue]
        await stage.gateway.customer_says(LAURA, "¿Siguen ahí?")
        await stage.gateway.wait_sent(LAURA, 3)
        assert model_input(stage)[-4:-2] == [texts("es").overdue, "¿Hola?"]
        await stage.quiet()
        assert outcomes(stage) == ["answered", "answered"]
        assert len(stage.gateway.sent(AGENTS)) == 1


async def test_a_handing_over_that_a_crash_has_cut_is_done_once(tmp_path: Path) -> None:
    """Killed before the model was told: the call is made again, the agents are told once."""
    escalation = {"chat": AGENTS, "pause_minutes": 10.0}
    async with open_tools(tmp_path, escalation=escalation) as (stage, _):
        gate = trio.Event()
        stage.model.script(HAND_OVER, say("Ya le escriben", gate=gate))
        await stage.gateway.customer_says(LAURA, "Quiero hablar con alguien")
        await stage.model.wait_requests(2)
        await stage.crash()
        gate.set()
        await stage.start()
        await stage.gateway.wait_sent(AGENTS)
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["Ya le escriben"]
        assert len(stage.gateway.sent(AGENTS)) == 1
        (paused,) = select(
            stage.settings.data_dir,
            "chats JOIN turns USING (chat)",
            "paused_until > closed_at + 500",
        )
        assert paused == (1,)


async def test_agents_are_notified_although_they_write_in_their_chat(tmp_path: Path) -> None:
    """From the business's phone that looks like a takeover; in their own chat it is none."""
    async with open_tools(tmp_path, escalation={"chat": PEDRO}) as (stage, _):
        await stage.gateway.agent_says(PEDRO, "¿Todo bien por allá?")
        await stage.gateway.customer_says(PEDRO, "Sí, todo bien")
        stage.model.script(HAND_OVER, say("Ya le escriben"))
        await stage.gateway.customer_says(LAURA, "Quiero hablar con alguien")
        await stage.gateway.wait_sent(PEDRO)
        await stage.quiet()
        assert len(stage.gateway.sent(PEDRO)) == 1
        assert len(stage.model.calls) == 2


async def test_without_labels_or_agents_chat_handing_over_still_pauses(tmp_path: Path) -> None:
    """A label that does not exist is no reason to leave the customer alone."""
    async with open_tools(tmp_path, escalation={"label": "No existe"}) as (stage, _):
        stage.model.script(HAND_OVER, say("Ya le escriben"))
        await stage.gateway.customer_says(LAURA, "Quiero hablar con alguien")
        await stage.gateway.wait_sent(LAURA)
        await logged(stage, "chat not labelled")
        await found(lambda: select(stage.settings.data_dir, "chats", "paused_until")[0][0] > 0)


def test_a_chat_without_a_number_is_named_by_its_id_and_braces_stay_as_they_are() -> None:
    """Names and summaries may hold what looks like a place to fill in."""
    model_input = notice(
        texts("es").escalation,
        chat="99887766554433@lid",
        name="{reason}",
        reason="Pide {link}",
        summary="",
        urgency="low",
    )
    assert "*{reason}*" in model_input
    assert "Pide {link}" in model_input
    assert "99887766554433@lid" in model_input
    assert "wa.me" not in model_input


# -- labels and facts ----------------------------------------------------------------------------


async def test_a_label_that_the_business_has_just_made_is_known(tmp_path: Path) -> None:
    """Whapi tells of it, so the labels are not those that were remembered."""
    async with open_tools(tmp_path) as (stage, _):
        add = call("set_labels", '{"add": ["VIP"], "remove": null}')
        stage.model.script(add, say("No puedo"), add, say("Listo"))
        await stage.gateway.customer_says(LAURA, "Soy VIP")
        await stage.gateway.wait_sent(LAURA)
        made = {"id": "9", "name": "VIP", "color": "gold"}
        stage.gateway.directory.labels.append(made)
        parts = {"labels": [made]}
        await stage.gateway.post(LAURA, "labels.post", parts, deliver="acknowledged")
        await stage.gateway.customer_says(LAURA, "¿Y ahora?")
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.gateway.ledger.chats[f"{LAURA}@s.whatsapp.net"].labels == ["9"]


async def test_labels_are_set_by_name_and_unknown_ones_reported(tmp_path: Path) -> None:
    async with open_tools(tmp_path) as (stage, _):
        stage.model.script(
            Step(
                outputs=(
                    CallTool(
                        "set_labels", '{"add": ["cotizado", "Nuevo cliente"], "remove": null}'
                    ),
                    CallTool("set_labels", '{"add": ["VIP"], "remove": null}'),
                )
            ),
            call("set_labels", '{"add": null, "remove": ["Nuevo cliente", "Atiende una persona"]}'),
            say("Listo"),
        )
        await stage.gateway.customer_says(LAURA, "¿Me cotiza?")
        await stage.gateway.wait_sent(LAURA)
        assert stage.gateway.ledger.chats[f"{LAURA}@s.whatsapp.net"].labels == ["2"]
        assert len(stage.gateway.calls("labels")) == 1
        assert any(
            "there is no label VIP; the labels are: Nuevo" in said for said in model_input(stage)
        )


async def test_facts_are_in_every_later_request_and_can_be_forgotten(tmp_path: Path) -> None:
    async with open_tools(tmp_path) as (stage, _):
        stage.model.script(
            call("remember", '{"fact": "Es alérgica al maní"}'),
            say("Anotado"),
            call("forget_fact", '{"fact_id": 1}'),
            say("Olvidado"),
            say("Hola"),
        )
        await stage.gateway.customer_says(LAURA, "Soy alérgica al maní")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.customer_says(LAURA, "Ya no lo soy")
        await stage.gateway.wait_sent(LAURA, 2)
        remembered = [said for said in model_input(stage, 2, role="data") if "maní" in said]
        assert len(remembered) == 1
        assert "1: Es alérgica al maní" in remembered[0]
        await stage.gateway.customer_says(PEDRO, "Hola")
        await stage.gateway.wait_sent(PEDRO)
        assert not [said for said in model_input(stage, role="data") if "maní" in said]
        assert not select(stage.settings.data_dir, "facts")


async def test_facts_and_handings_over_are_exported_and_forgotten(tmp_path: Path) -> None:
    async with open_tools(tmp_path, escalation={"chat": AGENTS}) as (stage, _):
        data_dir = stage.settings.data_dir
        both = Step(
            outputs=(
                CallTool("remember", '{"fact": "Zarzuela"}'),
                CallTool(
                    "escalate_to_human",
                    '{"reason": "Zurriago", "summary": "Zapallo", "urgency": "low"}',
                ),
                CallTool("look_up"),
            )
        )
        stage.model.script(both, say("Listo"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(AGENTS)
        await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        exported = json.loads((await recado(data_dir, "export", LAURA)).stdout)
        assert [row["fact"] for row in exported["facts"]] == ["Zarzuela"]
        assert [row["reason"] for row in exported["escalations"]] == ["Zurriago"]
        done = await recado(data_dir, "forget", LAURA, "--yes")
        assert done.exit_code == 0, done.output
        assert files_with(data_dir, "Zarzuela", "Zurriago", "Zapallo", LAURA) == []
        assert not select(data_dir, "facts")
        assert not select(data_dir, "escalations")


# -- hosted tools --------------------------------------------------------------------------------


async def test_hosted_tools_are_passed_on_beside_ours(tmp_path: Path) -> None:
    hosted = ({"type": "web_search"}, {"type": "mcp", "server_label": "hotel", "server_url": "x"})
    async with open_scene(
        tmp_path, assistant={"hosted_tools": hosted}, tools={"disabled": ("set_labels",)}
    ) as stage:
        stage.model.script(say("Hola"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        tools = stage.model.calls[0].body["tools"]
        assert tools[-2:] == list(hosted)
        names = [tool["name"] for tool in tools[:-2]]
        assert "escalate_to_human" in names
        assert "set_labels" not in names
        assert all(tool["strict"] for tool in tools[:-2])
