"""What is due is done by one node: reminders and outgoing webhooks by the number's, documents by
the one that leads.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.receiver import Receiver, open_receiver
from support.rows import delete, insert, select
from support.scenes import found
from support.stage import LAURA, NUMBER, open_stage

from daemon.conversation import reminders
from daemon.ledger.reminders import Reminders
from daemon.ledger.webhook_deliveries import WebhookDeliveries
from daemon.ops import webhook_sender

LAURA_CHAT = f"{LAURA}@s.whatsapp.net"
OWNED = {"owner": "ghost", "epoch": 7}


def prepare(folder: Path) -> None:
    """Another node, which does nothing, owns the number and leads; there is work for each."""
    now = time.time()
    ghost = {"process": "ghost", "name": "ghost", "version": "", "until": now + 3600}
    insert(folder, "nodes", {**ghost, "renewed_at": 0})
    insert(folder, "numbers", {"number": NUMBER, **OWNED}, {"number": "", **OWNED})
    chat = {"channel": NUMBER, "chat": LAURA_CHAT}
    insert(
        folder,
        "reminders",
        {
            **chat,
            "kind": "reminder",
            "key": "a",
            "text": "A las 9.",
            "due_at": now,
            "created_at": now,
        },
    )
    delivery = {"endpoint": "crm", "webhook_id": "msg_1", "event": "chat.given_back"}
    body = '{"type":"chat.given_back","data":{}}'
    insert(
        folder,
        "webhook_deliveries",
        {**delivery, **chat, "payload": body, "created_at": now, "next_at": 0.0},
    )


async def looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait until both tasks have looked for work a few times."""
    looks: list[str] = []

    def noted(name: str, due: Callable[..., Any]) -> Callable[..., Any]:
        async def look(*arguments: Any, **named: Any) -> Any:
            looks.append(name)
            return await due(*arguments, **named)

        return look

    monkeypatch.setattr(Reminders, "due", noted("reminders", Reminders.due))
    monkeypatch.setattr(WebhookDeliveries, "due", noted("webhooks", WebhookDeliveries.due))
    await found(lambda: min(map(looks.count, ("reminders", "webhooks"))) > 2)


@pytest.mark.usefixtures("url")
async def test_what_is_due_is_left_to_the_node_that_has_the_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminders, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(webhook_sender, "LOOK_SECONDS", 0.02)
    folder, documents = tmp_path / "data", tmp_path / "documents"
    documents.mkdir()
    (documents / "hotel.md").write_text("# Hotel\n\nLa piscina abre a las ocho.")
    async with open_receiver() as receiver:
        prepare(folder)
        knowledge = {"folder": documents, "check_seconds": 0.05}
        async with open_stage(folder, started=False, knowledge=knowledge) as stage:
            webhooks = {"webhooks": (receiver.settings(),)}
            stage.settings = stage.settings.model_copy(update=webhooks)
            await stage.start()
            await looked(monkeypatch)
            assert work(folder, receiver) == ("waiting", "pending", 0, 0)
            delete(folder, "nodes", where={"process": "ghost"})  # its lease is over
            await found(lambda: work(folder, receiver) == ("sent", "sent", 1, 1))
            await stage.gateway.wait_sent(LAURA)
            await looked(monkeypatch)
            assert stage.received() == ["A las 9."]
            assert receiver.asked.count("msg_1") == 1


def work(folder: Path, receiver: Receiver) -> tuple[str, str, int, int]:
    """The states of the reminder and the delivery; documents; deliveries taken."""
    ((reminder,),) = select(folder, "reminders", "state")
    ((delivery,),) = select(folder, "webhook_deliveries", "state", where={"webhook_id": "msg_1"})
    return reminder, delivery, len(select(folder, "knowledge_documents", "id")), len(receiver.taken)
