"""The desk: assigning chats, notes, prepared answers, and who looks at which chat right now."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import msgspec
import trio
from quart import Blueprint, redirect, request, websocket
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from daemon.domain.dashboard_values import FeedLost
from daemon.domain.messages import JsonObject
from daemon.domain.redaction import mask_numbers
from daemon.errors import StoreUnavailable
from daemon.http.dashboard.conversation_api import ACTION_ID, text_of
from daemon.http.dashboard.log_page import SIGNED_OUT, TRY_AGAIN_LATER
from daemon.http.dashboard.shell import Shell
from daemon.http.request_context import json_object, visitor
from daemon.ops.live_log import Feed

CHAT = "/dashboard/api/chats/<ref>"
ANSWERS = "/dashboard/answers"
LONGEST_NOTE = 4000
LONGEST_NAME = 60
LONGEST_ANSWER = 4096
MOST = 2**62
"""The largest number of a row."""

LOOK_SECONDS = 5.0
"""Between two looks for chats that wait, if nothing is logged meanwhile."""
SETTLE_SECONDS = 0.5
"""After a line of the log, until what it is about is stored."""


@dataclass(eq=False, slots=True)
class OpenPage:
    """One browser with a page of ours open."""

    name: str
    account: int | None
    view: str = ""
    """The public name of the chat that it shows; empty: none."""
    is_typing: bool = False
    touched: int = 0
    """How often something in that chat was changed at the desk."""
    news: trio.Event = field(default_factory=trio.Event)
    """Set when there may be something to tell; its task replaces it."""


class DeskPresence:
    """Who looks at which chat, in this process. Used by the tasks of their WebSockets."""

    def __init__(self) -> None:
        self._seats: set[OpenPage] = set()
        self._unread: list[JsonObject] = []
        self._version = 0
        self._read_version = -1
        self._reading = trio.Lock()

    @contextmanager
    def seated(self, name: str, account: int | None) -> Iterator[OpenPage]:
        """Have a seat for the length of the block."""
        seat = OpenPage(name, account)
        self._seats.add(seat)
        try:
            yield seat
        finally:
            self._seats.discard(seat)
            self._tell(seat.view)

    def moved(self, seat: OpenPage, view: str, *, is_typing: bool) -> None:
        """Somebody looks at another chat, or begins or ends to type."""
        before, seat.view, seat.is_typing = seat.view, view, is_typing
        self._tell(before)
        self._tell(view)
        seat.news.set()

    def others(self, seat: OpenPage) -> list[JsonObject]:
        """Who else looks at the chat of a seat, by name, and whether they type."""
        found: dict[str, bool] = {}
        for other in self._seats:
            if seat.view and other.view == seat.view and other.name != seat.name:
                found[other.name] = found.get(other.name, False) or other.is_typing
        return [{"name": name, "typing": found[name]} for name in sorted(found)]

    def changed(self, ref: str = "") -> None:
        """Something has changed, in this chat if one is named: all look again."""
        self._version += 1
        for seat in self._seats:
            seat.touched += bool(ref) and seat.view == ref
            seat.news.set()

    def expire(self) -> None:
        """What was read is old: the next who asks reads again."""
        self._version += 1

    async def unread(self, shell: Shell) -> list[JsonObject]:
        """The chats that wait for somebody to look, read once for all. Raises StoreUnavailable."""
        async with self._reading:
            if self._read_version != self._version:
                version = self._version
                self._unread = await shell.operations.desk.unread()
                self._read_version = version
        return self._unread

    def _tell(self, view: str) -> None:
        for seat in self._seats:
            if view and seat.view == view:
                seat.news.set()


def create_desk(shell: Shell) -> Blueprint:
    """Return the routes of the desk."""
    desk = Blueprint("dashboard_desk", __name__)
    desk.before_request(shell.guard.require_sign_in)
    desk.before_websocket(shell.guard.require_socket_sign_in)
    presence = DeskPresence()
    _add_chat_actions(desk, shell, presence)
    _add_answers(desk, shell)

    @desk.websocket("/dashboard/api/desk")
    async def follow() -> None:
        await websocket.accept()
        known = visitor()
        name = known.account.name if known.account else known.name
        number = known.account.id if known.account else None
        with (
            closing(shell.operations.live_log.follow()) as feed,
            presence.seated(name, number) as seat,
            shell.guard.sockets.held(known.session) as held,
        ):
            try:
                await _follow(shell, presence, seat, feed)
            except* (FeedLost, StoreUnavailable):
                await websocket.close(TRY_AGAIN_LATER, "come back")
        if held.cancelled_caught:
            await websocket.close(SIGNED_OUT, "the session has ended")

    return desk


async def _follow(shell: Shell, presence: DeskPresence, seat: OpenPage, feed: Feed) -> None:
    """Tell a browser what is new until it leaves."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, presence, seat, name="desk: what a browser says")
        nursery.start_soon(_watch, presence, feed, name="desk: what is logged")
        last: JsonObject = {}
        while True:
            seat.news = trio.Event()
            fresh = _told(await presence.unread(shell), presence, seat)
            # Also what has not changed: a sign of life, by which either side notices a lost one.
            await websocket.send(msgspec.json.encode(fresh if fresh != last else {}).decode())
            last = fresh
            with trio.move_on_after(LOOK_SECONDS) as quiet:
                await seat.news.wait()
            if quiet.cancelled_caught:
                presence.expire()
                if seat_session := visitor().session:
                    await _end_if_over(shell, seat_session)


async def _end_if_over(shell: Shell, session: str) -> None:
    if not await shell.guard.seconds_left(session):  # signed out by another process
        shell.guard.sockets.end(session)
        await trio.lowlevel.checkpoint()


def _told(unread: list[JsonObject], presence: DeskPresence, seat: OpenPage) -> JsonObject:
    return {
        "unread": [
            {
                "ref": chat["ref"],
                "name": mask_numbers(chat["name"]),
                "at": chat["at"],
                "mine": seat.account is not None and chat["assigned_to"] == seat.account,
            }
            for chat in unread
        ],
        "here": presence.others(seat),
        "touched": seat.touched,
    }


async def _listen(presence: DeskPresence, seat: OpenPage) -> None:
    """Note what a browser shows; anything that cannot be read is left out."""
    while True:
        words = await websocket.receive()
        try:
            said = msgspec.json.decode(words, type=_PresenceMessage)
        except msgspec.MsgspecError:
            continue
        presence.moved(seat, said.view[:80], is_typing=said.typing)


async def _watch(presence: DeskPresence, feed: Feed) -> None:
    """Look again after each line of a chat."""
    while True:
        lines = await feed.receive()
        if any(line.ref for line in lines):
            await trio.sleep(SETTLE_SECONDS)
            presence.changed()


class _PresenceMessage(msgspec.Struct):
    """What a browser says of itself."""

    view: str = ""
    typing: bool = False


def _add_chat_actions(desk: Blueprint, shell: Shell, presence: DeskPresence) -> None:
    operations = shell.operations

    @desk.post(f"{CHAT}/seen")
    async def seen(ref: str) -> ResponseReturnValue:
        await operations.desk.seen(await shell.chat(ref))
        presence.changed(ref)
        return {"done": True}

    @desk.post(f"{CHAT}/assign")
    async def assign(ref: str) -> ResponseReturnValue:
        account = (await json_object()).get("account")
        if account is not None and (isinstance(account, bool) or not isinstance(account, int)):
            return {"error": "account must be a number, or null"}, 400
        key, by, now = await shell.chat(ref), shell.actor(), operations.now()
        if not await operations.desk.assign(key, account, by=by, now=now):
            return {"error": "there is no such account"}, 409
        presence.changed(ref)
        return {"done": True}

    @desk.post(f"{CHAT}/notes")
    async def note(ref: str) -> ResponseReturnValue:
        fields = await json_object()
        text, for_model = text_of(fields, "text"), fields.get("model") is True
        if not 0 < len(text) <= LONGEST_NOTE:
            return {"error": f"a note has 1 to {LONGEST_NOTE} characters"}, 400
        if not ACTION_ID.fullmatch(action := text_of(fields, "action")):
            return {"error": "action must be an id of the click"}, 400
        author = known.name if (known := visitor().account) else "Agent"
        await operations.desk.add_note(
            await shell.chat(ref),
            text,
            author=author,
            for_model=for_model,
            action=action,
            by=shell.actor(),
            now=operations.now(),
        )
        presence.changed(ref)
        return {"done": True}

    @desk.post(f"{CHAT}/notes/<int:number>/drop")
    async def drop_note(ref: str, number: int) -> ResponseReturnValue:
        key, by, now = await shell.chat(ref), shell.actor(), operations.now()
        if number >= MOST or not await operations.desk.drop_note(key, number, by=by, now=now):
            raise NotFound
        presence.changed(ref)
        return {"done": True}


def _add_answers(desk: Blueprint, shell: Shell) -> None:
    operations = shell.operations

    async def page(fault: str = "") -> ResponseReturnValue:
        return shell.page(
            "answers.html",
            section="chats",
            status=400 if fault else 200,
            fault=fault,
            answers=await operations.desk.answers(),
        )

    @desk.get(ANSWERS)
    async def show() -> ResponseReturnValue:
        return await page()

    @desk.post(ANSWERS)
    async def keep() -> ResponseReturnValue:
        form = await request.form
        name, text = " ".join(form.get("name", "").split()), form.get("text", "").strip()
        if not 0 < len(name) <= LONGEST_NAME or not 0 < len(text) <= LONGEST_ANSWER:
            return await page("An answer needs a name and a text.")
        await operations.desk.keep_answer(name, text, by=shell.actor(), now=operations.now())
        return redirect(ANSWERS, 303)

    @desk.post(f"{ANSWERS}/<int:number>/drop")
    async def drop(number: int) -> ResponseReturnValue:
        if number < MOST:
            await operations.desk.drop_answer(number, by=shell.actor(), now=operations.now())
        return redirect(ANSWERS, 303)


def filled(text: str, names: JsonObject) -> str:
    """A prepared answer with the values of its variables: ``{name}``, ``{agent}``, ``{number}``."""
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text
