"""Bodies that nobody should send, to the whole daemon: right status, and it lives on."""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from support.brisk import open_brisk_stage
from support.rows import select, states_of
from support.stage import LAURA, Stage, text_webhook

from daemon.domain.records import NOT_ADDRESSED

ANDRES = "573005550142"
SOFIA = "573005550173"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A running daemon between its simulators."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        yield stage


def holding(**fields: Any) -> bytes:
    """A body whose one message has odd fields."""
    return json.dumps({"messages": [{"id": "odd-1", "chat_id": LAURA, **fields}]}).encode()


BODIES: dict[str, tuple[bytes, int]] = {
    "no JSON": (b"hello", 400),
    "half of it": (json.dumps(text_webhook("Hola", "half-1")).encode()[:-10], 400),
    "nothing": (b"", 400),
    "spaces": (b"  \n", 400),
    "array": (b"[]", 400),
    "string": (b'"messages"', 400),
    "number": (b"7", 400),
    "null": (b"null", 400),
    "UTF-16": ('{"messages": []}'.encode("utf-16"), 400),
    "deep": (b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "junk": (b"x" * 10_000_000, 400),
    "compressed": (gzip.compress(json.dumps(text_webhook("Hola", "zip-1")).encode()), 400),
    "form": (b"messages=1&event=2", 400),
    "nothing in it": (b"{}", 200),
    "NaN": (b'{"messages": [], "n": NaN}', 200),
    "not UTF-8": (b'{"messages": "\xff\xfe"}', 200),
    "unknown keys": (b'{"calls": [{"id": 1}], "x": null}', 200),
    "messages null": (b'{"messages": null}', 200),
    "messages a text": (b'{"messages": "x"}', 200),
    "messages of numbers": (b'{"messages": [1, null, [], "x"]}', 200),
    "id an object": (holding(id={"a": 1}, type="text"), 200),
    "no chat": (b'{"messages": [{"id": "odd-2", "type": "text"}]}', 200),
    "type a list": (holding(id="odd-3", type=["text"]), 200),
    "event a text": (b'{"messages": [], "event": "post"}', 200),
    "presences of numbers": (b'{"presences": [1, {"status": 4}]}', 200),
    "statuses of lists": (b'{"statuses": [[], {"id": []}]}', 200),
}


async def test_no_body_harms_the_daemon(tmp_path: Path) -> None:
    """Each odd body gets its status, none is answered, and the next customer is."""
    async with open_brisk_stage(tmp_path / "data") as stage:
        got = {name: (await stage.post(body)).status_code for name, (body, _) in BODIES.items()}
        assert got == {name: status for name, (_, status) in BODIES.items()}
        # A 200 has its event in the store, whatever could be read of it.
        accepted = sum(status == 200 for _, status in BODIES.values())
        assert select(tmp_path / "data", "events", "COUNT(*)") == [(accepted,)]
        await stage.gateway.customer_says(ANDRES, "Hola")
        await stage.gateway.wait_sent(ANDRES)
        await stage.quiet()
        assert (await stage.get("/health")).json()["status"] == "healthy"
        assert stage.received() == []


async def test_an_odd_message_does_not_cost_its_neighbours(stage: Stage) -> None:
    webhook = text_webhook("¿hay cupo?", "good-1")
    webhook["messages"] = [7, {"id": []}, *webhook["messages"], None]
    assert (await stage.post(webhook)).status_code == 200
    await stage.gateway.wait_sent(LAURA)
    assert stage.model.calls[0].customer_texts == ["¿hay cupo?"]
    assert len(stage.events("part of a webhook could not be read")) == 3


@pytest.mark.parametrize("written", [b"\\ud83d", "\ud83d".encode("utf-8", "surrogatepass")])
async def test_half_an_emoji_is_stored_and_answered(tmp_path: Path, written: bytes) -> None:
    """Some phones cut an emoji in half; the rest of the text is still a question."""
    body = json.dumps(text_webhook("Hola @@ hay cupo", "half-emoji")).encode()
    async with open_brisk_stage(tmp_path / "data") as stage:
        assert (await stage.post(body.replace(b"@@", written))).status_code == 200
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        (told,) = stage.model.calls[0].customer_texts
        assert told.startswith("Hola ")
        assert told.endswith(" hay cupo")
        assert states_of(tmp_path / "data") == {"half-emoji": ("answered", "")}


async def test_odd_characters_are_only_text(stage: Stage) -> None:
    """All of it reaches the model but the zero byte, which a database may not be able to hold."""
    words = "a\x00b \u202e\u200b '; DROP TABLE messages; -- \U0010ffff"
    assert (await stage.post(text_webhook(words, "odd-text"))).status_code == 200
    await stage.gateway.wait_sent(LAURA)
    assert stage.model.calls[0].customer_texts == [words.replace("\x00", "\ufffd")]


IGNORED: dict[str, tuple[dict[str, Any], str]] = {
    "system": ({"type": "system", "system": {"body": "x"}}, "nothing to answer"),
    "call": ({"type": "call", "call": {"video": True}}, "nothing to answer"),
    "unheard": ({"type": "hologram", "hologram": {"watts": 5}}, "nothing to answer"),
    "story": ({"type": "text", "text": {"body": "x"}, "chat_id": "stories"}, "not a conversation"),
    "list": (
        {"type": "text", "text": {"body": "x"}, "chat_id": "57300@newsletter"},
        "not a conversation",
    ),
    "group": ({"type": "text", "text": {"body": "x"}, "chat_id": "120363000@g.us"}, NOT_ADDRESSED),
    "blank": ({"type": "text", "text": {"body": "   "}}, "an empty text"),
    "reaction": (
        {"type": "action", "action": {"type": "reaction", "target": "x", "emoji": "👍"}},
        "a reaction",
    ),
}


async def test_messages_without_an_answer_are_stored_with_the_reason(tmp_path: Path) -> None:
    async with open_brisk_stage(tmp_path / "data") as stage:
        for message_id, (fields, _) in IGNORED.items():
            webhook = text_webhook("", message_id)
            del webhook["messages"][0]["text"]
            webhook["messages"][0].update(fields)
            assert (await stage.post(webhook)).status_code == 200
        await stage.gateway.customer_says(ANDRES, "Hola", id="wanted")
        await stage.gateway.wait_sent(ANDRES)
        await stage.quiet()
        found = states_of(tmp_path / "data")
        assert found.pop("wanted") == ("answered", "")
        assert {message_id: state for message_id, (state, _) in found.items()} == dict.fromkeys(
            IGNORED, "ignored"
        )
        for message_id, (_, reason) in IGNORED.items():
            assert found[message_id][1].startswith(reason)
        assert len(stage.gateway.ledger.sends) == 1


async def test_all_three_delivery_modes_are_understood(stage: Stage) -> None:
    """Whapi says what a call is about in its body, in the path, or by path and method."""
    chats = {"body": LAURA, "path": ANDRES, "method": SOFIA}
    for mode, chat in chats.items():
        stage.gateway.set_webhook(f"{stage.url}/hook", mode=mode)
        await stage.gateway.customer_says(chat, f"por {mode}", deliver="acknowledged")
    for chat in chats.values():
        await stage.gateway.wait_sent(chat)
    await stage.quiet()
    told = {text for call in stage.model.calls for text in call.customer_texts}
    assert told == {"por body", "por path", "por method"}


async def test_a_payload_with_several_keys_is_read_whole(tmp_path: Path) -> None:
    """Messages of two chats, an edit, a presence, a status and unknown keys in one call."""
    body = text_webhook("Hola de Laura", "multi-1")
    body["messages"] += text_webhook("Hola de Andrés", "multi-2", chat=ANDRES)["messages"]
    body["presences"] = [{"contact_id": ANDRES, "status": "typing"}]
    body["statuses"] = [{"id": "nobody-knows", "status": "delivered", "recipient_id": LAURA}]
    body["messages_updates"] = [
        {
            "id": "multi-1",
            "before_update": dict(body["messages"][0]),
            "after_update": {**body["messages"][0], "text": {"body": "Hola, soy Laura"}},
            "changes": ["text"],
        }
    ]
    body["chats_updates"] = [{"before_update": {}, "after_update": {}}]
    async with open_brisk_stage(tmp_path / "data") as stage:
        assert (await stage.post(body)).status_code == 200
        with trio.fail_after(30):
            await stage.gateway.wait_sent(LAURA)
            await stage.gateway.wait_sent(ANDRES)
        await stage.quiet()
        told = {text for call in stage.model.calls for text in call.customer_texts}
        assert told == {"Hola, soy Laura", "Hola de Andrés"}
        assert states_of(tmp_path / "data") == {
            "multi-1": ("answered", ""),
            "multi-2": ("answered", ""),
        }
