"""The context line over real HTTP: told when there is something new, and part of the thread."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.scenes import open_scene, role_of, thread, words
from support.stage import LAURA, Stage

from daemon.conversation import chat_info
from daemon.conversation.chat_info import RETRY_SECONDS
from daemon.domain.messages import JsonObject
from daemon.domain.prompt.context_line import RENEWED_AFTER_SECONDS
from daemon.sandbox.payloads import chat_id_of

QUOTED, PAID = "2", "3"
"""Ids of two labels of the simulated business: "Cotizado", "Atiende una persona"."""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon between its simulators."""
    async with open_scene(tmp_path) as stage:
        yield stage


async def exchange(stage: Stage, words: str, *, name: str = "Laura") -> None:
    """One message, answered, and the chat at rest."""
    count = len(stage.received())
    await stage.gateway.customer_says(LAURA, words, name=name)
    await stage.gateway.wait_sent(LAURA, count + 1)
    await stage.quiet()


def contexts(items: list[JsonObject]) -> list[str]:
    """The context lines among some items."""
    notes = [words(item) for item in items if role_of(item) == "data"]
    return [note for note in notes if note.startswith("Fecha: ")]


async def relabel(stage: Stage, *labels: str) -> None:
    """The business changes the labels of the chat, and Whapi tells of it."""
    chat = stage.gateway.ledger.chat(chat_id_of(LAURA))
    chat.labels[:] = labels
    names = [label for label in stage.gateway.directory.labels if label["id"] in labels]
    after = {"id": chat.id, "labels": names}
    update = {"before_update": {"id": chat.id}, "after_update": after, "changes": ["labels"]}
    await stage.gateway.post(LAURA, "chats.patch", {"chats_updates": [update]})


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the simulated gateway takes longer than a turn waits for it."""
    monkeypatch.setattr(chat_info, "PATIENCE_SECONDS", 30.0)


async def test_the_context_line_is_sent_once_and_keeps_its_place(stage: Stage) -> None:
    """The beginning of the second request is that of the first, for the server's cache."""
    await exchange(stage, "Hola")
    await exchange(stage, "¿Hay cupo?")
    first, second = (call.items for call in stage.model.calls)
    (line,) = contexts(first)
    assert re.fullmatch(
        r"Fecha: \d\d/\d\d/\d{4} \| Hora: \d\d:\d\d \(-05\) \| Contacto: Laura"
        r"( \| Chat: [\w .]+)? \| Canal: WhatsApp",
        line,
    )
    assert second[: len(first)] == first
    assert contexts(second) == [line]
    assert contexts(thread(stage)) == [line]
    assert len(stage.gateway.calls("chat")) == 1


async def test_the_context_line_is_not_repeated_after_a_restart(stage: Stage) -> None:
    await exchange(stage, "Hola")
    await stage.stop()
    await stage.start()
    await exchange(stage, "¿Hay cupo?")
    assert len(contexts(stage.model.calls[-1].items)) == 1


async def test_after_three_hours_the_context_line_is_repeated(stage: Stage) -> None:
    await exchange(stage, "Hola")
    await stage.stop()
    stage.later_seconds = RENEWED_AFTER_SECONDS + 1
    await stage.start()
    await exchange(stage, "¿Sigue en pie?")
    earlier, later = contexts(stage.model.calls[-1].items)
    assert earlier != later


async def test_a_change_of_the_labels_reaches_the_model(stage: Stage) -> None:
    await exchange(stage, "Hola")
    await relabel(stage, QUOTED)
    await exchange(stage, "¿Y el precio?")
    await exchange(stage, "Gracias")
    lines = contexts(stage.model.calls[-1].items)
    assert len(lines) == 2
    assert "Etiquetas: Cotizado" in lines[1]
    assert len(stage.gateway.calls("chat")) == 1


async def test_a_change_of_the_name_reaches_the_model(stage: Stage) -> None:
    await exchange(stage, "Hola")
    await exchange(stage, "Me casé", name="Laura de Ruiz")
    lines = contexts(stage.model.calls[-1].items)
    assert "Contacto: Laura de Ruiz" in lines[-1]
    assert len(lines) == 2


async def test_earlier_labels_reach_the_model(stage: Stage) -> None:
    stage.gateway.ledger.chat(chat_id_of(LAURA)).labels += [QUOTED, PAID]
    await exchange(stage, "Hola")
    (line,) = contexts(stage.model.calls[-1].items)
    assert "Etiquetas: Cotizado, Atiende una persona" in line


async def test_a_gateway_that_does_not_answer_delays_only_once_and_only_a_second(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the labels count as they were told last, so nothing is told again."""
    monkeypatch.setattr(chat_info, "PATIENCE_SECONDS", 1.0)
    assert RETRY_SECONDS > 20
    held = stage.gateway.faults.add(operation="chat", kind="hold", times=-1)
    await exchange(stage, "Hola")
    await exchange(stage, "¿Hay cupo?")
    assert held.hits == 1
    assert len(contexts(stage.model.calls[-1].items)) == 1


async def test_a_gateway_that_refuses_fails_no_answer(stage: Stage) -> None:
    stage.gateway.faults.add(operation="chat", kind="status", status=400, times=-1)
    await exchange(stage, "Hola")
    assert len(contexts(stage.model.calls[-1].items)) == 1


async def test_after_a_crash_before_the_answer_the_context_is_repeated(stage: Stage) -> None:
    """What was not concluded was not told: the thread has the line once."""
    stage.gateway.faults.add(operation="send", kind="hold", times=1)
    await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
    await stage.model.wait_requests(1)
    await stage.crash()
    stage.gateway.reset_faults()
    await stage.start()
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    await exchange(stage, "¿Hay cupo?")
    assert len(contexts(thread(stage))) == 1
    assert len(contexts(stage.model.calls[-1].items)) == 1


async def tell(stage: Stage, event: str, **parts: object) -> None:
    """Whapi tells of something; the daemon has taken it in."""
    await stage.gateway.post(LAURA, event, parts, deliver="acknowledged")


async def test_saving_a_name_sends_an_event(stage: Stage) -> None:
    await exchange(stage, "Hola")
    after = {"id": LAURA, "name": "Laura, de la boda", "pushname": "Laura"}
    update = {"before_update": {"id": LAURA}, "after_update": after, "changes": ["name"]}
    await tell(stage, "contacts.patch", contacts_updates=[update])
    await exchange(stage, "¿Y el precio?")
    assert "Chat: Laura, de la boda" in contexts(stage.model.calls[-1].items)[-1]
    assert len(stage.gateway.calls("chat")) == 1


async def test_renaming_a_chat_sends_an_event(stage: Stage) -> None:
    await exchange(stage, "Hola")
    chat = chat_id_of(LAURA)
    update = {"after_update": {"id": chat, "name": "Boda de Laura"}, "changes": ["name"]}
    await tell(stage, "chats.patch", chats_updates=[update])
    await exchange(stage, "¿Y el precio?")
    assert "Chat: Boda de Laura" in contexts(stage.model.calls[-1].items)[-1]


async def test_irrelevant_changes_change_nothing(stage: Stage) -> None:
    """Muted for ever (more than 64 bits), a new chat, one that nobody has written in."""
    await exchange(stage, "Hola")
    chat = chat_id_of(LAURA)
    muted = {"after_update": {"id": chat, "mute_until": 18446744073709552000}, "changes": ["mute"]}
    other = {"after_update": {"id": "573009999999@s.whatsapp.net", "labels": []}}
    await tell(stage, "chats.patch", chats_updates=[muted, other, {"changes": ["labels"]}])
    await tell(stage, "chats.post", chats=[{"id": chat, "type": "contact", "unread": 1}])
    await tell(stage, "contacts.post", contacts=[{"id": "573009999999", "pushname": "Nadie"}])
    await exchange(stage, "¿Y el precio?")
    assert len(contexts(stage.model.calls[-1].items)) == 1
    assert len(stage.gateway.calls("chat")) == 1


async def test_labels_of_a_chat_that_is_not_known_yet_are_not_lost(stage: Stage) -> None:
    """They are told before its first message; its first turn asks for them."""
    stage.gateway.ledger.chat(chat_id_of(LAURA))
    await relabel(stage, QUOTED)
    await exchange(stage, "Hola")
    assert "Etiquetas: Cotizado" in contexts(stage.model.calls[-1].items)[-1]


async def test_a_change_while_whapi_is_asked_counts_more_than_its_answer(stage: Stage) -> None:
    """Nobody knows which of the two is newer, so the next turn asks again."""
    held = stage.gateway.faults.add(operation="chat", kind="hold_answer")
    count = len(stage.received())
    await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
    await held.reached.wait()
    await relabel(stage, QUOTED)
    held.release()
    await stage.gateway.wait_sent(LAURA, count + 1)
    await stage.quiet()
    await exchange(stage, "¿Y el precio?")
    assert "Etiquetas: Cotizado" in contexts(stage.model.calls[-1].items)[-1]
    assert len(stage.gateway.calls("chat")) == 2
