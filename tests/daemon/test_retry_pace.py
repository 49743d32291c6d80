"""How long it is from one try of a run to the next, while the model server fails."""

from pathlib import Path

import pytest
from support.model_script import Step, say
from support.rows import select
from support.scenes import QUICK_RULES, open_scene
from support.stage import LAURA

FIRST_SECONDS = 0.3


async def test_the_wait_before_another_try_doubles_and_is_logged(tmp_path: Path) -> None:
    """From half of it to all of it, so that those who failed together do not come back together."""
    rules = {**QUICK_RULES, "retry_seconds": FIRST_SECONDS}
    async with open_scene(tmp_path, rules=rules) as stage:
        stage.model.script(*(Step(status=503) for _ in range(3)), say("Hola."))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await stage.model.wait_requests(4)
        await stage.quiet()
        failures = stage.events("model error, trying again")
        assert [failure["attempt"] for failure in failures] == [1, 2, 3]
        assert all("503" in failure["error"] for failure in failures)
        for number, failure in enumerate(failures):
            ceiling = FIRST_SECONDS * 2**number
            assert ceiling / 2 - 0.05 <= failure["wait"] <= ceiling + 0.05


@pytest.mark.parametrize(("failures", "apologies"), [(2, 0), (3, 1)])
async def test_the_third_failure_is_apologised_for(
    tmp_path: Path, failures: int, apologies: int
) -> None:
    async with open_scene(tmp_path, rules={**QUICK_RULES, "retry_seconds": 0.05}) as stage:
        stage.model.script(*(Step(status=503) for _ in range(failures)), say("Hola."))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await stage.gateway.wait_sent(LAURA, 1 + apologies)
        await stage.quiet()
        assert len(stage.received()) == 1 + apologies
        assert stage.received()[-1] == "Hola."
        assert select(stage.settings.data_dir, "turns", "attempts") == [(failures + 1,)]
