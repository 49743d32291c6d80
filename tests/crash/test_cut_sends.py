"""A send that a crash has cut: it may still be on its way when the next process looks for it."""

from pathlib import Path

from support.model_script import say
from support.rows import select
from support.stage import LAURA, open_stage

ECHO_SECONDS = 0.8


async def test_a_cut_send_has_time_to_arrive_before_it_is_looked_for(tmp_path: Path) -> None:
    """The gateway passes it on without ever answering; a quick restart does not overtake it."""
    async with open_stage(tmp_path / "data", rules={"echo_seconds": ECHO_SECONDS}) as stage:
        stage.gateway.echoes.mode = "missing"
        stage.model.script(say("Con gusto."))
        cut = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "una habitación")
        await cut.reached.wait()
        await stage.crash()
        await stage.start()
        await stage.gateway.wait_for(lambda: bool(stage.gateway.calls("list")))
        await stage.quiet()
        ((began, attempts),) = select(tmp_path / "data", "outbox", "attempted_at, attempts")
        assert stage.gateway.calls("list")[0].at >= began + ECHO_SECONDS
        assert stage.received() == ["Con gusto."]
        assert attempts == 1
