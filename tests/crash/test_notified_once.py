"""Two nodes that could both notify people of the same: each occasion is sent once."""

import json
from pathlib import Path

import pytest
from support.model_script import call, say
from support.shared_numbers import SharedNumbers, open_shared_numbers
from support.target import NotificationTarget, open_target

LAURA, PEDRO = "573001234567", "573007654321"


async def escalate(shared: SharedNumbers, number: str, summary: str, customer: str = LAURA) -> None:
    """Have the model hand a chat of a number to a person."""
    wish = {"reason": "customer_complaint", "summary": summary, "urgency": "high"}
    shared.model.script(call("escalate_to_human", json.dumps(wish)), say("Una persona le escribe."))
    await shared.write(number, customer, "estoy furiosa")


def times(target: NotificationTarget, summary: str) -> int:
    """How often people were notified of it."""
    return sum(str(body["message"]).count(summary) for body in target.taken)


async def test_an_escalation_is_notified_once_whichever_node_owns_the_number_or_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node that leads is killed when it has stored one, before it sends it."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    async with open_target() as target:
        more = {"RECADO_NOTIFY__URLS": target.address}
        async with open_shared_numbers(tmp_path, more) as shared:
            dying = shared.nodes["a"]
            await dying.start(point="after commit of Notifications.note", armed=True)
            await shared.start("b")
            await shared.until(lambda: shared.are_even("a", "b"))
            shared.call("b")
            numbers = {node: number for number, (node, _) in shared.owners().items()}

            await escalate(shared, numbers["b"], "la ducha")  # b stores it, and a sends it
            await shared.until(lambda: times(target, "la ducha") == 1)
            await escalate(shared, numbers["a"], "la cama")
            await dying.lives.death()
            await shared.until(lambda: times(target, "la cama") == 1)

            await shared.start("a")
            await shared.until(lambda: shared.are_even("a", "b"))
            await escalate(shared, numbers["b"], "la llave", PEDRO)
            await shared.until(lambda: times(target, "la llave") == 1)
            await shared.until(lambda: shared.select("notifications", "state") == [("sent",)] * 3)
            assert [times(target, one) for one in ("la ducha", "la cama", "la llave")] == [1] * 3
            for node in ("a", "b"):
                await shared.nodes[node].lives.stop()
