"""What a model server may say and take, over real HTTP, up to what the customer hears."""

import json
from pathlib import Path

from support.brisk import open_brisk_stage
from support.model_script import OutputItem, Step, call, say
from support.rows import select
from support.stage import LAURA

from daemon.sandbox.model_wire import CallTool, Say

SLOW = '''
"""A tool that takes its time."""

import trio

from daemon.tools.tool import tool


@tool(timeout=30)
async def look_up() -> str:
    """Look something up, slowly."""
    await trio.sleep(1.7)
    return "found"
'''


async def test_only_the_final_answer_is_sent(tmp_path: Path) -> None:
    """What the model says before and between its calls stays in the thread, with its phase."""
    data = tmp_path / "data"
    aside = Say("Voy a mirar las notas.", phase="commentary")
    async with open_brisk_stage(data) as stage:
        stage.model.script(
            Step(
                outputs=(
                    aside,
                    CallTool("get_conversation_context", '{"context_level":"recent_50"}'),
                )
            ),
            Step(
                outputs=(
                    Say("Ya lo tengo.", phase="commentary"),
                    OutputItem({"type": "hologram"}),
                    Say("Sí, hay lugar.", phase="final_answer"),
                )
            ),
            say("Con gusto."),
        )
        await stage.gateway.customer_says(LAURA, "¿Hay lugar?")
        await stage.gateway.wait_sent(LAURA, 1)
        await stage.quiet()
        await stage.gateway.customer_says(LAURA, "Gracias")
        await stage.gateway.wait_sent(LAURA, 2)
        assert stage.received() == ["Sí, hay lugar.", "Con gusto."]
        figures = dict(
            line.split(" ")
            for line in (await stage.get("/metrics")).text.splitlines()
            if line.startswith("recado_last_run")
        )
        ((last_run,),) = select(data, "responses", "MAX(run_id)")
        responses = select(data, "responses", "response", where={"run_id": last_run})
        usage = [json.loads(response)["usage"] for (response,) in responses]
        tokens = sum(one["input_tokens"] + one["output_tokens"] for one in usage)
        assert float(figures["recado_last_run_tokens"]) == tokens
        assert 0 < float(figures["recado_last_run_latency_seconds"]) < 30
        (warned,) = stage.events("the model's answer had items left out")
        assert warned["types"] == ["hologram"]
        rows = select(data, "thread_items", "item", where={"item LIKE": "%phase%"})
        phases = [json.loads(item)["phase"] for (item,) in rows]
        assert phases == ["commentary", "commentary", "final_answer"]
        told = json.dumps(stage.model.calls[-1].body["input"], ensure_ascii=False)
        assert "hay lugar" in told
        assert "Voy a mirar" not in told, "this server would read it as something that was said"


async def test_a_refusal_of_the_model_is_sent_as_it_is(tmp_path: Path) -> None:
    refusal = {"type": "refusal", "refusal": "Lo siento, en eso no puedo ayudar."}
    message = {"type": "message", "role": "assistant", "content": [refusal]}
    async with open_brisk_stage(tmp_path / "data") as stage:
        stage.model.script(Step(outputs=(OutputItem(message),)))
        await stage.gateway.customer_says(LAURA, "Hazme un ataque")
        await stage.gateway.wait_sent(LAURA, 1)
        assert stage.received() == ["Lo siento, en eso no puedo ayudar."]


async def test_the_clock_of_a_run_stops_while_its_tools_work(tmp_path: Path) -> None:
    """Three rounds of a slow tool take longer than the run may; each is within its own limit."""
    data, folder = tmp_path / "data", tmp_path / "tools"
    folder.mkdir()
    (folder / "slow.py").write_text(SLOW)
    async with open_brisk_stage(
        data, tools={"folder": folder}, assistant={"run_timeout_seconds": 5.0}
    ) as stage:
        stage.model.script(*[call("look_up")] * 3, say("Listo."))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA, 1)
        assert stage.received() == ["Listo."]
        attempts = select(data, "turns", "attempts")
        assert list(attempts) == [(1,)]
