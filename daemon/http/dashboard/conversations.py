"""The pages of conversations: the list, one chat as on a phone, and its turns step by step.

The script fetches one part of a page again when the live log has a line about its chat.
"""

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from math import inf
from operator import itemgetter
from urllib.parse import urlencode

from markupsafe import Markup, escape
from quart import Blueprint, Response, redirect
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.records import MAX_REMINDER_CHARACTERS
from daemon.domain.states import WITH_AGENT
from daemon.http.dashboard.conversation_api import (
    BUBBLES_SHOWN,
    PARTS,
    STATES,
    PageAddress,
    add_actions,
    add_data,
    confirmation,
    found,
    page_address,
    wanted_chats,
    wanted_messages,
)
from daemon.http.dashboard.desk import filled
from daemon.http.dashboard.shell import Shell, Wording
from daemon.http.dashboard.turn_steps import TONES, steps_of
from daemon.http.request_context import visitor

STATE_TONES = {
    "writing": "busy",
    "waiting": "wait",
    "thinking": "busy",
    "sending": "busy",
    "paused": "wait",
    WITH_AGENT: "bad",
    "failed": "bad",
}
TURNS_SHOWN = 30

_FORMATS = (
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])"), r"<b>\1</b>"),
    (re.compile(r"(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])"), r"<i>\1</i>"),
    (re.compile(r"(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])"), r"<s>\1</s>"),
)
"""WhatsApp's marks for bold, italic and struck words (faq.whatsapp.com, "Format your messages")."""


NOTHING: JsonObject = {
    **dict.fromkeys(("body", "caption", "title", "name", "address", "file_name", "medium"), ""),
    **dict.fromkeys(("choice_id", "label"), ""),
    **dict.fromkeys(("options", "titles", "chosen", "cards"), ()),
    **dict.fromkeys(("latitude", "longitude", "seconds"), 0),
}
NO_FILE: JsonObject = {
    **dict.fromkeys(("state", "fault", "name", "mime", "words", "words_fault"), ""),
    "size": 0,
}


def create_conversations(shell: Shell) -> Blueprint:
    """Return the routes of the conversations."""
    chats = Blueprint("dashboard_chats", __name__)
    chats.before_request(shell.guard.require_sign_in)

    @chats.get("/dashboard/chats")
    async def show_list() -> ResponseReturnValue:
        return await _page(shell, "")

    @chats.get("/dashboard/chats/<ref>")
    async def show_chat(ref: str) -> ResponseReturnValue:
        return await _page(shell, ref)

    @chats.get("/dashboard/turns/<turn>")
    async def show_turn(turn: str) -> ResponseReturnValue:
        ref = await shell.operations.views.ref_of_turn(turn)
        if not ref:
            raise NotFound
        return redirect(f"/dashboard/chats/{ref}?{urlencode({'turn': turn})}", 303)

    add_data(chats, shell)
    add_actions(chats, shell)
    return chats


async def _page(shell: Shell, ref: str) -> Response:
    """A page, or one part of it; only what is shown is read."""
    address, w = page_address(), shell.wording()
    wanted = {address.part} if address.part else PARTS
    values: JsonObject = {
        "address": address,
        "ref": ref,
        "states": STATES,
        "numbers": shell.operations.views.numbers,
        "tones": STATE_TONES,
        "formatted": formatted,
        "line": lambda bubble: line_of(bubble, w),
        "initial": initial,
    }
    if "list" in wanted:
        before = "" if ref else address.before
        dated = bool(address.since or address.until)  # then the list also shows messages
        values["list"] = await wanted_chats(shell, address, before=before, words=dated)
        values["messages"] = await wanted_messages(shell, address)
        values["all_labels"] = await shell.operations.views.labels()
        values["team"] = await shell.operations.desk.colleagues()
    if ref and address.message and not address.before:
        place = await shell.operations.views.place_of(await shell.chat(ref), address.message)
        address = values["address"] = replace(address, before=place or "")
    if ref and wanted & {"talk", "turns"}:
        values |= await _chat_values(shell, await shell.chat(ref), address, w, wanted)
    return shell.page(
        f"chats_{address.part}.html" if address.part else "conversations.html",
        section="chats",
        **values,
    )


async def _chat_values(
    shell: Shell, key: ChatKey, address: PageAddress, w: Wording, wanted: set[str] | frozenset[str]
) -> JsonObject:
    views = shell.operations.views
    chat = found(await views.chat(key))
    values: JsonObject = {"chat": chat, "confirm": confirmation(chat)}
    if "talk" in wanted:
        talk = await views.bubbles(key, before=address.before, limit=BUBBLES_SHOWN)
        talk["bubbles"] = [_whole(bubble) for bubble in talk["bubbles"]]
        talk["bubbles"] = await _with_notes(shell, key, talk, is_newest=not address.before)
        values |= {"talk": talk, "days": days_of(talk["bubbles"], w)}
        values["chat_labels"] = await views.labels(key)
        values["labels_are_ours"] = key.number in views.labelled_here
        values |= {"colleagues": await shell.operations.desk.colleagues()}
        values["reminders"] = await views.reminders(key)
        values["reminder_zone"] = views.zone(key).key
        values["reminder_length"] = MAX_REMINDER_CHARACTERS
        values["templates"] = [] if address.part else await views.templates(key)
        values["answers"] = [] if address.part else await _answers(shell, chat)
    if "turns" in wanted:
        turns = await views.turns(key, limit=TURNS_SHOWN)
        chosen = address.turn or (turns[0]["turn"] if turns else "")
        turn = await views.turn(key, chosen) if chosen else None
        values |= {
            "turns": turns,
            "chosen": chosen,
            "steps": steps_of(turn, w) if turn else [],
            "outcome_tones": TONES,
        }
    return values


async def _with_notes(
    shell: Shell, key: ChatKey, talk: JsonObject, *, is_newest: bool
) -> list[JsonObject]:
    """The bubbles of a page and the notes of the same time, in the order of time."""
    bubbles: list[JsonObject] = talk["bubbles"]
    first = bubbles[0]["at"] if bubbles and talk["next"] else 0.0
    last = bubbles[-1]["at"] if bubbles and not is_newest else inf
    notes = [
        {**note, "id": f"note-{note['id']}", "number": note["id"], "side": "note"}
        for note in await shell.operations.desk.notes(key)
        if first <= note["at"] <= last
    ]
    return sorted([*bubbles, *notes], key=itemgetter("at")) if notes else bubbles


async def _answers(shell: Shell, chat: JsonObject) -> list[JsonObject]:
    """The prepared answers, with the names of this chat in them."""
    account = visitor().account
    name = str(chat["name"])
    names = {"name": name, "agent": account.name if account else "", "number": chat["number"]}
    return [
        {**answer, "text": filled(answer["text"], names)}
        for answer in await shell.operations.desk.answers()
    ]


def _whole(bubble: JsonObject) -> JsonObject:
    """A bubble with every field that the page uses; the ledger leaves out empty ones."""
    content = {**NOTHING, **bubble["content"]}
    # Only cards that we sent show their number.
    content["cards"] = [
        {"name": "", **{field: card[field] for field in ("name", "number") if field in card}}
        for card in content["cards"]
    ]
    return {**bubble, "content": content, "file": {**NO_FILE, **(bubble["file"] or {})}}


def days_of(bubbles: list[JsonObject], w: Wording) -> dict[str, str]:
    """The bubbles before which a day begins, with its name."""
    days: dict[str, str] = {}
    last: date | None = None
    today = datetime.fromtimestamp(w.now, w.zone).date()
    # By the calendar: a day on which the clocks change has 23 or 25 hours.
    called = {today - timedelta(days=1): w.t("Yesterday"), today: w.t("Today")}
    for bubble in bubbles:
        day = datetime.fromtimestamp(bubble["at"], w.zone).date()
        if day != last:
            days[bubble["id"]] = called.get(day, f"{day:%d/%m/%Y}")
        last = day
    return days


def formatted(text: str) -> Markup:
    """Render WhatsApp's bold, italic and struck words; all else is escaped."""
    shown = str(escape(text))
    for mark, tag in _FORMATS:
        shown = mark.sub(tag, shown)
    return Markup(shown)  # noqa: S704 - escaped above; what was put in are three tags without attributes


def initial(name: str) -> str:
    """The first letter or digit of a name, shown in place of a picture.

    Names may begin with an emoji, of which one code point may be no whole character.
    """
    return next((letter.upper() for letter in name if letter.isalnum()), "·")


def line_of(bubble: JsonObject | None, w: Wording) -> str:
    """A bubble in one line, for the list."""
    if bubble is None:
        return ""
    content = bubble["content"]
    words = content.get("body") or content.get("caption") or content.get("title") or ""
    if content["type"] == "media":
        medium = w.t(content.get("medium", "file"))
        words = f"{medium}: {words}" if words else medium
    elif content["type"] in {"location", "contacts"}:
        words = w.t(content["type"])
    return " ".join((words or bubble["kind"]).split())[:120]
