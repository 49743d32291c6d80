"""`recado unanswered`: which messages nobody has dealt with yet."""

import json

import pytest
import trio
from support.model_script import Step
from support.operator import recado
from support.rows import select, states_of
from support.scenes import forgive, logged, thread
from support.scenes import found as seen
from support.stage import LAURA, Stage

from daemon.domain.transitions.handover import DONE


async def test_it_lists_answered_messages_that_were_never_delivered(stage: Stage) -> None:
    """And `recado replay --dead` has it answered anew."""
    stage.gateway.faults.add(operation="delivery", kind="failed", times=2)
    message_id = await stage.gateway.customer_says(LAURA, "Hola")
    await stage.gateway.wait_sent(LAURA, 2)
    await logged(stage, "WhatsApp could not deliver, given up")
    found = await recado(stage.settings.data_dir, "unanswered")
    assert found.exit_code == 1
    assert "5730…4567@s.whatsapp.net  waits for an operator  since 20" in found.stdout
    assert f"dead, its answer could not be delivered  1 message, the first {message_id}\n" in (
        found.stdout
    )
    await recado(stage.settings.data_dir, "replay", "--dead")
    await stage.gateway.wait_sent(LAURA, 3)
    await stage.quiet()
    nothing = await recado(stage.settings.data_dir, "unanswered")
    assert (nothing.exit_code, nothing.stdout) == (0, "0 chats wait\n")
    forgive(stage)


@pytest.mark.parametrize("status", [0, 403])
async def test_it_lists_given_up_messages_until_the_next_one(stage: Stage, status: int) -> None:
    """The model (0) has refused that message, or Whapi the answer: nobody else will answer."""
    if status:
        stage.gateway.faults.add(operation="send", kind="status", status=status)
    else:
        stage.model.script(Step(status=400, code="invalid_prompt"))
    message_id = await stage.gateway.customer_says(LAURA, "Hola")
    await seen(lambda: states_of(stage.settings.data_dir)[message_id][0] == "dead")
    found = await recado(stage.settings.data_dir, "unanswered")
    assert found.exit_code == 1
    assert "waits for an operator" in found.stdout
    assert f"{status or 'invalid_prompt'}" in found.stdout
    await stage.quiet()
    await stage.gateway.agent_says(LAURA, "Hola, le atiendo yo")
    assert (await recado(stage.settings.data_dir, "unanswered")).exit_code == 0
    forgive(stage)


async def test_it_lists_only_messages_without_an_outcome(stage: Stage) -> None:
    await stage.gateway.customer_says(LAURA, "Hola")
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    nothing = await recado(stage.settings.data_dir, "unanswered")
    assert (nothing.exit_code, nothing.stdout) == (0, "0 chats wait\n")

    thought = trio.Event()
    stage.model.script(Step(gate=thought))
    message_id = await stage.gateway.customer_says(LAURA, "¿Y mañana?")
    await stage.model.wait_requests(2)
    found = await recado(stage.settings.data_dir, "unanswered")
    assert found.exit_code == 1
    assert "5730…4567@s.whatsapp.net  waits for the bot  since 20" in found.stdout
    assert f"in_turn, 1 attempt  1 message, the first {message_id}\n1 chat waits\n" in found.stdout
    assert LAURA not in found.stdout
    (row,) = json.loads(
        (await recado(stage.settings.data_dir, "unanswered", "--json", "--reveal")).stdout
    )
    assert (row["message_id"], row["chat"]) == (message_id, f"{LAURA}@s.whatsapp.net")
    assert (row["waits_for"], row["messages"]) == ("bot", 1)
    young = await recado(stage.settings.data_dir, "unanswered", "--older-than", "3600")
    assert young.exit_code == 0
    thought.set()
    await stage.gateway.wait_sent(LAURA, 2)


async def test_chats_that_wait_for_a_person_are_listed_until_done(stage: Stage) -> None:
    """A line a chat; `recado done` closes it beside the daemon, which tells the thread of it."""
    await stage.gateway.agent_says(LAURA, "Hola")
    first = await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
    await stage.gateway.customer_says(LAURA, "¿Hola?")
    found = await recado(stage.settings.data_dir, "unanswered")
    assert found.exit_code == 1
    assert "5730…4567@s.whatsapp.net  waits for a person  since 20" in found.stdout
    assert f"an agent has the chat  2 messages, the first {first}\n1 chat waits\n" in found.stdout
    ((event,),) = select(stage.settings.data_dir, "messages", "event_id", where={"id": first})
    replayed = await recado(stage.settings.data_dir, "replay", str(event))
    assert "it waits for a person" in replayed.stdout
    done = await recado(stage.settings.data_dir, "done", LAURA)
    assert (done.exit_code, done.stdout) == (0, "2 messages closed\n")
    assert (await recado(stage.settings.data_dir, "unanswered")).exit_code == 0
    assert set(states_of(stage.settings.data_dir).values()) == {("handed_off", DONE)}
    (row,) = select(
        stage.settings.data_dir, "audit JOIN audit_details ON audit_id = audit.id", "action, after"
    )
    assert row == ("done", "2 messages")
    again = await recado(stage.settings.data_dir, "done", LAURA, "--json")
    assert json.loads(again.stdout) == {"chats": 1, "messages": 0}
    nobody = await recado(stage.settings.data_dir, "done", "573009999999")
    assert nobody.exit_code == 1
    await found_in_thread(stage, "¿Hay cupo?\n¿Hola?")


async def found_in_thread(stage: Stage, words: str) -> None:
    """Wait until the thread has these words, which no turn has put there."""
    await seen(lambda: words in [item["content"] for item in thread(stage)])
