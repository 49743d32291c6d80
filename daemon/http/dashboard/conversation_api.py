"""The conversations as JSON. What people do in them is the API's: `daemon.http.api`."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode

from quart import Blueprint, Response, request, send_file
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound, ServiceUnavailable

from daemon.domain.dashboard_values import ChatQuery
from daemon.domain.messages import JsonObject
from daemon.domain.states import WITH_AGENT
from daemon.errors import FilesUnavailable
from daemon.http.dashboard.shell import Shell
from daemon.http.request_context import is_minutes, json_object, visitor

STATES = (WITH_AGENT, "writing", "waiting", "thinking", "sending", "paused", "failed")
"""The states that are shown; chats in no other state are idle."""

DESK_FILTERS = ("mine", "unread")
"""Filters of the list that are no states."""

FILTERS = frozenset({*STATES, "idle", *DESK_FILTERS})
"""By which the list can be narrowed; ``idle`` are those that are resolved."""

PARTS = frozenset({"list", "talk", "turns"})
"""Parts of the page that may be requested alone."""

CHATS_SHOWN = 40
MESSAGES_SHOWN = 20
BUBBLES_SHOWN = 60
LONGEST_QUERY = 100
LONGEST_PLACE = 80
ACTION_ID = re.compile(r"[0-9A-Za-z-]{8,64}")
"""The browser's id of one click on "add"."""

SHOWN_INLINE = ("image/", "audio/", "video/")
"""Types that browsers show without running anything in them, except for XML: SVG."""


@dataclass(frozen=True, slots=True)
class PageAddress:
    """The query of a page's address."""

    query: str
    state: str
    number: str
    before: str
    turn: str
    part: str
    whose: str = ""
    """The number of an account."""
    since: str = ""
    until: str = ""
    """Days, as ``2026-03-01``: the first and the last."""
    person: str = ""
    """A part of a contact's name or number."""
    label: str = ""
    message: str = ""
    """The bubble that is shown, and lit."""
    found_before: str = ""
    """The place of a page of messages that were found."""

    @property
    def narrows(self) -> bool:
        """Whether a filter that is not always shown is set."""
        return bool(self.whose or self.since or self.until or self.person or self.label)

    def link(self, ref: str, **changes: str) -> str:
        """The address of a chat (or of the list) with the same search."""
        kept = {"q": self.query, "state": self.state, "number": self.number}
        kept |= {"whose": self.whose, "since": self.since, "until": self.until}
        kept |= {"person": self.person, "label": self.label, **changes}
        path = f"/dashboard/chats/{ref}" if ref else "/dashboard/chats"
        tail = urlencode({name: value for name, value in kept.items() if value})
        return f"{path}?{tail}" if tail else path

    def link_to(self, ref: str, message: str) -> str:
        """The address of a message in its chat, with the same search."""
        return f"{self.link(ref, message=message)}#{message}"


def page_address() -> PageAddress:
    """Read the query of the current request; invalid values count as empty."""
    state, part = request.args.get("state", ""), request.args.get("part", "")
    return PageAddress(
        query=request.args.get("q", "").strip()[:LONGEST_QUERY],
        state=state if state in FILTERS else "",
        number=request.args.get("number", "")[:LONGEST_PLACE],
        before=request.args.get("before", "")[:LONGEST_PLACE],
        turn=request.args.get("turn", "")[:LONGEST_PLACE],
        part=part if part in PARTS else "",
        whose=whose if (whose := request.args.get("whose", "")).isdecimal() else "",
        since=_day(request.args.get("since", "")),
        until=_day(request.args.get("until", "")),
        person=request.args.get("person", "").strip()[:LONGEST_QUERY],
        label=request.args.get("label", "")[:LONGEST_QUERY],
        message=request.args.get("message", "")[:LONGEST_PLACE],
        found_before=request.args.get("found_before", "")[:LONGEST_PLACE],
    )


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return ""


async def wanted_chats(
    shell: Shell, address: PageAddress, *, before: str, words: bool = True
) -> JsonObject:
    """One page of the list, as an address wants it. ``words`` False: messages are not searched."""
    wanted = replace(_wanted(shell, address), words=words, limit=CHATS_SHOWN)
    return await shell.operations.views.chats(wanted, before=before)


async def wanted_messages(shell: Shell, address: PageAddress) -> JsonObject:
    """One page of the messages with the words of an address; of none if it has none."""
    if not address.query:
        return {"found": [], "next": ""}
    wanted = replace(_wanted(shell, address), limit=MESSAGES_SHOWN)
    return await shell.operations.views.messages_with(wanted, before=address.found_before)


def _wanted(shell: Shell, address: PageAddress) -> ChatQuery:
    zone, account = shell.wording().zone, own_account()
    whose = int(address.whose[:9]) if address.whose else None

    def midnight(day: str, after: int = 0) -> float:
        return datetime.combine(
            date.fromisoformat(day) + timedelta(days=after), time(), zone
        ).timestamp()

    return ChatQuery(
        query=address.query,
        state="" if address.state in DESK_FILTERS else address.state,
        unread=address.state == "unread",
        mine=account if address.state == "mine" else whose,
        account=account,
        number=address.number,
        since=midnight(address.since) if address.since else 0.0,
        until=midnight(address.until, 1) if address.until else 0.0,
        person=address.person,
        label=address.label,
    )


def own_account() -> int | None:
    """The number of the account of the current request; None if it is of none."""
    account = visitor().account
    return account.id if account else None


def confirmation(chat: JsonObject) -> str:
    """The text to type before a person is forgotten: the last four digits."""
    return str(chat["number"])[-4:]


def add_data(chats: Blueprint, shell: Shell) -> None:
    """Add the routes that read."""
    views = shell.operations.views

    @chats.get("/dashboard/api/chats")
    async def chat_rows() -> ResponseReturnValue:
        address = page_address()
        return await wanted_chats(shell, address, before=address.before)

    @chats.get("/dashboard/api/search")
    async def search() -> ResponseReturnValue:
        return await wanted_messages(shell, page_address())

    @chats.get("/dashboard/api/chats/<ref>")
    async def one_chat(ref: str) -> ResponseReturnValue:
        return found(await views.chat(await shell.chat(ref)))

    @chats.get("/dashboard/api/chats/<ref>/bubbles")
    async def bubbles(ref: str) -> ResponseReturnValue:
        before = request.args.get("before", "")
        return await views.bubbles(await shell.chat(ref), before=before, limit=BUBBLES_SHOWN)

    @chats.get("/dashboard/api/chats/<ref>/turns/<turn>")
    async def one_turn(ref: str, turn: str) -> ResponseReturnValue:
        return found(await views.turn(await shell.chat(ref), turn))

    @chats.get("/dashboard/chats/<ref>/turns/<turn>/case.toml")
    async def case(ref: str, turn: str) -> ResponseReturnValue:
        text = await views.as_case(await shell.chat(ref), turn)
        if not text:
            raise NotFound
        headers = {"Content-Disposition": f'attachment; filename="{turn}.toml"'}
        return Response(text, content_type="application/toml; charset=utf-8", headers=headers)

    @chats.get("/dashboard/media/<name>")
    async def media(name: str) -> ResponseReturnValue:
        return await _file(shell, name)


async def _file(shell: Shell, name: str) -> ResponseReturnValue:
    """A file of a message: shown if it is a picture, sound or film, else only downloaded."""
    try:
        file = await shell.operations.views.file(name)
    except FilesUnavailable:
        raise ServiceUnavailable from None
    if file is None:
        raise NotFound
    path, mime = file
    is_shown = mime.lower().startswith(SHOWN_INLINE) and "xml" not in mime.lower()
    try:
        answer = await send_file(
            path,
            mimetype=mime,
            conditional=True,
            as_attachment=not is_shown,
            attachment_filename=None if is_shown else name,
        )
    except FileNotFoundError:
        raise NotFound from None
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.headers["Cache-Control"] = "no-store"
    return answer


def add_actions(chats: Blueprint, shell: Shell) -> None:
    """Add the actions that are not of the API, and the old way to take a chat over."""
    operations = shell.operations

    @chats.post("/dashboard/api/chats/<ref>/pause")
    async def pause(ref: str) -> ResponseReturnValue:
        minutes = (await json_object()).get("minutes")
        if minutes is not None and not is_minutes(minutes):
            return {"error": "minutes must be a number above 0"}, 400
        await operations.pause(await shell.chat(ref), minutes, by=shell.actor())
        return {"done": True}

    @chats.post("/dashboard/api/chats/<ref>/suggest")
    async def suggest(ref: str) -> ResponseReturnValue:
        text = await operations.suggest(await shell.chat(ref))
        return {"text": text} if text else ({"error": "the model has no suggestion now"}, 503)


def found(value: JsonObject | None) -> JsonObject:
    """Return the value; raises NotFound if there is none."""
    if value is None:
        raise NotFound
    return value


def text_of(fields: JsonObject, key: str) -> str:
    """A text of the request; one that cannot be stored as UTF-8 counts as none."""
    value = fields.get(key)
    return value.strip() if isinstance(value, str) and _is_encodable(value) else ""


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
