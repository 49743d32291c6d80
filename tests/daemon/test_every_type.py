"""Every type of message, over real HTTP: what the model sees of it, and what the customer gets.

One row a payload of ``tests/sample_data``. Each row has a chat of its own with one daemon, which
shows that a payload of any kind leaves the others alone.
"""

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from support.plain import NO_TLS
from support.rows import count, select
from support.scenes import QUICK_RULES, forgive, open_scene, words
from support.stage import CHANNEL, Stage, text_webhook

from daemon.domain.eligibility import A_MENU, A_REACTION, A_VOTE
from daemon.domain.messages import JsonObject
from daemon.domain.records import NOT_ADDRESSED
from daemon.domain.texts import texts
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.sandbox.payloads import chat_id_of

pytestmark = pytest.mark.usefixtures("both_file_stores")

SAMPLES = Path(__file__).parents[1] / "sample_data"
LAURA = "573001234567"
LID = "123456789012345"
FAMILY = "120363012345678901"
TARGET = "text.w30M7fgwWD4XwHu-gBgTwl0rVw"
BEFORE = "¿Qué tal?"

TYPES = frozenset(
    """
    text image video gif audio voice short document documentWithCaption link_preview location
    live_location contact contact_list sticker system call unknown action group_invite
    newsletter_invite admin_invite product catalog interactive reply poll hsm order story event
    buttons list pin carousel album
    """.split()  # noqa: SIM905 - as a list it would be 35 lines
)
"""Whapi's OpenAPI document 1.8.7, ``Message.type``, with the additions of its later edition."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is expected of one payload."""

    sees: str = ""
    """The end of what the model is given, if it is asked."""
    ignored: str = ""
    """Why it is not answered; ``no message``: there is nothing in it that could be."""
    noted: str = ""
    """What the thread says of it although it is not answered."""
    before: bool = False
    """The payload refers to a message, which has come before and was answered."""
    gets: int | None = None
    """Messages that the customer gets; by default one for what is answered, else none."""


def unanswered(reason: str, *, noted: str = "", before: bool = False) -> Row:
    return Row(ignored=reason, noted=noted, before=before)


def nothing_in(kind: str) -> Row:
    return unanswered(f"nothing to answer in a message of type {kind}")


NO_MESSAGE = unanswered("no message")
AFTER_ITS_MESSAGE = unanswered("no message", before=True)

ROWS: dict[str, Row] = {
    # Words.
    "text": Row(sees="Hola, tienen cupo el viernes?"),
    "text_with_quote": Row(sees="> Le sirve el apto 301?\n[forwarded] Si, ese"),
    "text_from_ad": Row(
        sees="[came from the ad: Cabañas junto al lago]\nHola, tienen cupo el viernes?"
    ),
    "quote_without_content": Row(sees=f"> {BEFORE}\nSi, ese", before=True),
    "link_preview": Row(sees="vi esto https://example.com/h\n[link: Hotel]"),
    "lid_text": Row(sees="Hola"),
    "ephemeral_text": Row(sees="Mi clave es Sol"),
    "reply_buttons": Row(sees="> Elija\nSi"),
    "reply_button": Row(sees="> Elija\nSi"),
    "reply_list": Row(sees="> Menu\nDoble: 2 personas"),
    "poll": Row(sees="[poll] Hora?: 9, 10"),
    # Files.
    "image": Row(sees="mi cedula"),
    "video": Row(sees="miren"),
    "gif": Row(sees="["),
    "short": Row(sees="["),
    "audio": Row(sees="["),
    "voice": Row(sees="["),
    "ptt": Row(sees="["),
    "document": Row(sees="pago"),
    "document_with_caption": Row(sees="el recibo"),
    "sticker": Row(sees="[sticker"),
    # Places, people, business.
    "location": Row(sees="[location 4.71100, -74.07210] Hotel Sol, Cra 7 # 1-20"),
    "live_location": Row(sees="[live location 4.71100, -74.07210] voy"),
    "contact": Row(sees="[contacts] Pedro: +57 300 7654321"),
    "contact_list": Row(sees="[contacts] Pedro: +57 300 7654321; Ana: +57 300 7654321"),
    "order": Row(sees="[order, number 8123, 2 items, total 180000 COP] Pedido de Laura"),
    "product": Row(sees="[product, number 77] Cuarto doble Con vista"),
    "catalog": Row(sees="[catalog, number 5] Catalogo"),
    "event": Row(sees="[event] Cata de cafe Trae amigos (begins 2025-11-24 13:13 UTC)"),
    "group_invite": Row(
        sees="[invitation to a group] Unete a mi grupo https://chat.example.com/abc"
    ),
    "newsletter_invite": Row(sees="[invitation to a channel] Ofertas Sigue el canal"),
    "admin_invite": Row(sees="[invitation to be an administrator] Ofertas Ayudame con el canal"),
    # Signs, changes, and what programs send.
    "action_reaction": unanswered(A_REACTION, noted=f"[reacted 👍 to: {BEFORE}]", before=True),
    "reaction_removed": unanswered(
        A_REACTION, noted=f"[took back the reaction to: {BEFORE}]", before=True
    ),
    "messages_updates_reaction": unanswered(
        A_REACTION, noted=f"[reacted ❤️ to: {BEFORE}]", before=True
    ),
    "action_vote": unanswered(A_VOTE, noted="[voted in a poll]", before=True),
    "poll_update": unanswered(A_VOTE, noted="[voted in a poll]", before=True),
    "action_edit": unanswered(
        "a change of another message",
        noted="[The customer edited an earlier message. It now says:] Hola, el sabado",
        before=True,
    ),
    "action_edited": unanswered(
        "a change of another message",
        noted="[The customer edited an earlier message. It now says:] mi pasaporte",
        before=True,
    ),
    "messages_updates_edit": unanswered(
        "no message",
        noted="[The customer edited an earlier message. It now says:] Hola, el sabado",
        before=True,
    ),
    "action_delete": unanswered(
        "a change of another message",
        noted=f"[The customer deleted an earlier message:] {BEFORE}",
        before=True,
    ),
    "messages_removed": unanswered(
        "no message",
        noted=f"[The customer deleted an earlier message:] {BEFORE}",
        before=True,
    ),
    "messages_updates_vote": AFTER_ITS_MESSAGE,
    "messages_removed_all": AFTER_ITS_MESSAGE,
    "action_ephemeral": nothing_in("action"),
    "interactive": unanswered("sent through the API by another client"),
    "buttons": unanswered(A_MENU, noted="[menu] Elija (Si / No)", before=True),
    "list": unanswered(A_MENU, noted="[menu] Menu Elija (Doble / Sencillo)", before=True),
    "carousel": unanswered(A_MENU, noted="[menu] Nuestros cuartos (Lo quiero)", before=True),
    "hsm": unanswered(A_MENU, noted="[menu] Elija", before=True),
    "pin": nothing_in("pin"),
    "album": nothing_in("album"),
    "system": nothing_in("system"),
    "unknown": nothing_in("unknown"),
    "hologram": nothing_in("hologram"),
    "call": Row(ignored="nothing to answer in a message of type call", gets=1),
    "calls": Row(ignored="no message", noted="[called us over WhatsApp]", before=True, gets=1),
    "story": unanswered("not a conversation"),
    # Groups.
    "group_text": unanswered(NOT_ADDRESSED),
    "group_mention": Row(sees="): @573009876543 tienen cupo?"),
    # What leaves our own number.
    "echo_from_api": unanswered("sent through the API by another client"),
    "agent_text": unanswered("agent", noted="Hola, soy Marta"),
    "agent_voice": unanswered("agent", noted="["),
    "agent_image": unanswered("agent", noted="El cuarto"),
    # No messages at all.
    "statuses": NO_MESSAGE,
    "presences": NO_MESSAGE,
    "channel": NO_MESSAGE,
    "channel_qr": NO_MESSAGE,
    "users_post": NO_MESSAGE,
    "users_delete": NO_MESSAGE,
    "chats": NO_MESSAGE,
    "chats_updates": NO_MESSAGE,
    "contacts_updates": NO_MESSAGE,
    "labels": NO_MESSAGE,
    "labels_removed": NO_MESSAGE,
}


ABOUT_THE_CHANNEL = frozenset({"channel", "channel_qr", "users_post", "users_delete"})
"""These hold up every send, so they come last."""


def test_every_sample_has_a_row() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(ROWS)


def test_every_type_has_a_sample() -> None:
    bodies = (path.read_bytes() for path in SAMPLES.glob("*.json"))
    kinds = {message.kind for body in bodies for message in parse_webhook(body).messages}
    assert kinds >= TYPES


def number_of(name: str) -> str:
    """The phone number that a row's customer has."""
    return f"57300000{sorted(ROWS).index(name):04d}"


def chat_of(name: str) -> str:
    """The chat that a row's payload is about."""
    raw = (SAMPLES / f"{name}.json").read_text("utf-8")
    if FAMILY in raw:
        return f"{FAMILY[:-4]}{number_of(name)[-4:]}@g.us"
    return f"{LID}@lid" if name == "lid_text" else chat_id_of(number_of(name))


def payload_of(name: str) -> JsonObject:
    """A sample, moved into its row's own chat."""
    raw = (SAMPLES / f"{name}.json").read_text("utf-8")
    raw = raw.replace(LAURA, number_of(name)).replace(FAMILY, chat_of(name).partition("@")[0])
    if name != "text":
        raw = raw.replace(f'"{TARGET}"', f'"{before_id(name)}"')
    raw = raw.replace("1763890000", f"{time.time():.0f}")
    payload: JsonObject = {**json.loads(raw), "channel_id": CHANNEL}
    for message in payload.get("messages", ()):
        message["chat_name"] = f"row {name}"
        for key in ("image", "voice", "document"):
            message.get(key, {}).pop("link", None)  # no network in a test: asked of the simulator
    return payload


def before_id(name: str) -> str:
    return f"before_{name}.w30M7fgwWD4XwHu-gBgTwl0rVw"


def last_item(stage: Stage, name: str) -> str:
    """The end of what the model was given in a row's chat, by the chat's name in the context."""
    mine = [
        call
        for call in stage.model.calls
        if any(f": row {name} |" in words(item) for item in call.items)
    ]
    return words(mine[-1].items[-1]) if mine else ""


def last_note(stage: Stage, name: str) -> str:
    """The newest item in the thread of a row's chat."""
    rows = select(
        stage.settings.data_dir,
        "thread_items",
        "item",
        where={"chat": chat_of(name)},
        order="id DESC",
        limit=1,
    )
    return words(json.loads(rows[0][0])) if rows else ""


def outcome_of(stage: Stage, name: str) -> str:
    """State and reason of the message of a row's payload."""
    rows = select(
        stage.settings.data_dir,
        "messages",
        "state, reason",
        where={"id LIKE": f"{name}.w30M7fgwWD4XwHu-%"},
    )
    if not rows:
        return "no message"
    state, reason = rows[0]
    return "" if state == "answered" else str(reason or state)


async def settled(stage: Stage) -> None:
    """Wait until every message has its outcome and no chat has anything to do."""
    open_ones = {"state": ("received", "in_turn")}
    data_dir = stage.settings.data_dir
    while count(data_dir, "messages", where=open_ones):  # noqa: ASYNC110 - a store tells nobody
        await trio.sleep(0.02)
    await stage.quiet()


def fault_of(stage: Stage, name: str, got: int) -> str:
    """What is not as the row wants it; empty if all is."""
    row, fate = ROWS[name], outcome_of(stage, name)
    seen = last_item(stage, name) if not row.ignored else ""
    note = last_note(stage, name) if row.noted else ""
    expected = (1 if not row.ignored else 0) if row.gets is None else row.gets
    checks: dict[str, tuple[Any, Any, bool]] = {
        "fate": (fate, row.ignored, fate == row.ignored),
        "sees": (seen, row.sees, seen.endswith(row.sees) or _begins(row.sees, seen)),
        "noted": (note, row.noted, note.endswith(row.noted) or _begins(row.noted, note)),
        "gets": (got, expected, got == expected),
    }
    wrong = [
        f"{what}: {is_!r}, not {be!r}" for what, (is_, be, right) in checks.items() if not right
    ]
    return "; ".join(wrong)


def _begins(expected: str, text: str) -> bool:
    """Of a file the row names the beginning of its line: how it went is told elsewhere."""
    return expected.endswith(("[", "[sticker")) and text.startswith(expected)


async def test_the_models_input_and_the_customers_answer_of_every_type(tmp_path: Path) -> None:
    """All rows at once, each in its own chat, with one daemon."""
    replies, media = {"answer_calls": True}, {"wait_seconds": 0.3}
    async with (
        open_scene(tmp_path, rules=QUICK_RULES, replies=replies, media=media) as stage,
        httpx.AsyncClient(verify=NO_TLS, timeout=30) as client,
        trio.open_nursery() as nursery,
    ):
        hook = f"{stage.url}/hook"
        # Our number is learnt from what leaves it, and a mention of it is known by that.
        await client.post(hook, json=payload_of("echo_from_api"))
        first = [name for name, row in ROWS.items() if row.before]
        for name in first:
            chat_name = f"row {name}"
            said = text_webhook(BEFORE, before_id(name), number_of(name), chat_name=chat_name)
            nursery.start_soon(partial(client.post, hook, json=said))
        for name in first:
            await stage.gateway.wait_sent(chat_of(name))
        await settled(stage)
        before = {name: len(stage.gateway.sent(chat_of(name))) for name in ROWS}
        assert {before[name] for name in first} == {1}

        answers: dict[str, int] = {}

        async def post(name: str) -> None:
            answers[name] = (await client.post(hook, json=payload_of(name))).status_code

        async with trio.open_nursery() as posting:
            for name in ROWS.keys() - ABOUT_THE_CHANNEL:
                posting.start_soon(post, name)
        await settled(stage)
        assert not stage.errors()
        for name in ABOUT_THE_CHANNEL:
            await post(name)
        forgive(stage)  # that the channel is not well is said loudly

        assert set(answers.values()) == {200}
        got = {name: len(stage.gateway.sent(chat_of(name))) - before[name] for name in ROWS}
        faults = {name: fault_of(stage, name, got[name]) for name in ROWS}
        assert "\n".join(f"{name}: {fault}" for name, fault in faults.items() if fault) == ""
        assert stage.received(number_of("calls"))[-1] == texts("es").call
        events = count(stage.settings.data_dir, "events")
        assert events > len(ROWS) + len(first)
