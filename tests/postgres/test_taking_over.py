"""A node that takes a number over, and the webhooks that come meanwhile."""

from pathlib import Path

import pytest
import trio
from support.scenes import closes_with, open_scene
from support.stage import LAURA


@pytest.mark.usefixtures("url")
async def test_a_message_that_comes_meanwhile_is_counted_once(tmp_path: Path) -> None:
    """The look for what the former owner has left finds it too: the window would close early."""
    async with open_scene(tmp_path, started=False, buffer=closes_with(3)) as stage:
        asked = stage.gateway.faults.add(operation="health", kind="hold")
        await stage.start()
        await stage.gateway.customer_says(LAURA, "uno")
        asked.release()  # who we are; then comes that look, and then the watch of the number
        await stage.gateway.wait_for(lambda: len(stage.gateway.calls("health")) > 1)
        await stage.gateway.customer_says(LAURA, "dos")
        await stage.gateway.customer_says(LAURA, "tres")
        with trio.fail_after(30):  # less than the window lasts by its time
            await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [call.customer_texts for call in stage.model.calls] == [["uno\ndos\ntres"]]
