"""`recado unanswered`: which messages nobody has dealt with yet."""

import json

import trio
from support.operator import recado
from support.scenes import forgive, logged
from support.stage import LAURA, Stage

from daemon.sandbox.model_script import Step


async def test_it_names_what_was_answered_and_never_delivered(stage: Stage) -> None:
    """And `recado replay --dead` has it answered anew."""
    stage.gateway.faults.add(operation="delivery", kind="failed", times=2)
    message_id = await stage.gateway.customer_says(LAURA, "Hola")
    await stage.gateway.wait_sent(LAURA, 2)
    await logged(stage, "WhatsApp could not deliver, given up")
    found = await recado(stage.settings.data_dir, "unanswered")
    assert found.exit_code == 1
    assert f"{message_id}  5730…4567@s.whatsapp.net  dead" in found.stdout
    await recado(stage.settings.data_dir, "replay", "--dead")
    await stage.gateway.wait_sent(LAURA, 3)
    await stage.quiet()
    nothing = await recado(stage.settings.data_dir, "unanswered")
    assert (nothing.exit_code, nothing.stdout) == (0, "0 without an outcome\n")
    forgive(stage)


async def test_it_names_what_has_no_outcome_and_nothing_else(stage: Stage) -> None:
    await stage.gateway.customer_says(LAURA, "Hola")
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    nothing = await recado(stage.settings.data_dir, "unanswered")
    assert (nothing.exit_code, nothing.stdout) == (0, "0 without an outcome\n")

    thought = trio.Event()
    stage.model.script(Step(gate=thought))
    message_id = await stage.gateway.customer_says(LAURA, "¿Y mañana?")
    await stage.model.wait_requests(2)
    found = await recado(stage.settings.data_dir, "unanswered")
    assert found.exit_code == 1
    assert f"{message_id}  5730…4567@s.whatsapp.net  in_turn" in found.stdout
    assert "1 attempt" in found.stdout
    assert LAURA not in found.stdout
    (row,) = json.loads(
        (await recado(stage.settings.data_dir, "unanswered", "--json", "--reveal")).stdout
    )
    assert (row["message_id"], row["chat"]) == (message_id, f"{LAURA}@s.whatsapp.net")
    young = await recado(stage.settings.data_dir, "unanswered", "--older-than", "3600")
    assert young.exit_code == 0
    thought.set()
    await stage.gateway.wait_sent(LAURA, 2)
