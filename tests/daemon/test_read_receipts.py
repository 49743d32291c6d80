"""Read receipts: what is answered is marked as read when that begins, and nothing else is."""

from pathlib import Path

import trio
from support.model_script import say
from support.scenes import found, open_scene, outcomes
from support.stage import LAURA


async def test_a_burst_is_marked_as_read_when_its_answer_is_begun(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        gate = trio.Event()
        stage.model.script(say("Con gusto", gate=gate))
        gateway = stage.gateway
        burst = [gateway.compose(LAURA, text) for text in ("Hola", "¿Hay cupo?")]
        await gateway.announce(burst)
        ids = {str(message["id"]) for message in burst}
        await stage.model.wait_requests(1)
        await gateway.wait_for(lambda: gateway.ledger.read == ids)
        assert stage.received() == []
        gate.set()
        await gateway.wait_sent(LAURA)
        assert len(gateway.calls("mark_read")) == 2


async def test_messages_that_join_a_run_are_marked_read_once(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        gateway = stage.gateway
        stage.model.script(say("nunca", gate=trio.Event()), say("Con gusto"))
        await gateway.customer_says(LAURA, "Hola")
        await stage.model.wait_requests(1)
        await gateway.customer_says(LAURA, "Perdón, otra cosa")
        await gateway.wait_sent(LAURA)
        await gateway.wait_for(lambda: len(gateway.ledger.read) == 2)
        assert len(gateway.calls("mark_read")) == 2


async def test_a_receipt_that_hangs_or_fails_delays_no_answer(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        held = stage.gateway.faults.add(operation="mark_read", kind="hold")
        stage.gateway.faults.add(operation="mark_read", kind="status", status=500, times=-1)
        for count in (1, 2):
            await stage.gateway.customer_says(LAURA, "Hola")
            await stage.gateway.wait_sent(LAURA, count)
        await found(lambda: outcomes(stage) == ["answered", "answered"])
        assert held.reached.is_set()


async def test_an_agents_chat_stays_unread(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.agent_says(LAURA, "Buenas, le atiendo yo")
        await stage.gateway.customer_says(LAURA, "Gracias")
        await stage.quiet()
        assert not stage.gateway.calls("mark_read")


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with open_scene(tmp_path, delivery={"read_receipts": False}) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert not stage.gateway.calls("mark_read")
