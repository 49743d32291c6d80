"""Conversations as the dashboard shows them, and what people do there, on the running daemon."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.registry import ChatRegistry
from daemon.domain.audit_chain import Actor
from daemon.domain.ids import local_part, phone_digits
from daemon.domain.masking import mask_numbers
from daemon.domain.messages import ChatKey, JsonObject
from daemon.errors import GatewayError
from daemon.ledger.admin.person import names_of
from daemon.ledger.files import AUDIO_FOLDER
from daemon.ledger.views.bubbles import Before
from daemon.ledger.views.chat_list import Live, Wanted
from daemon.media.files import FOLDER as MEDIA_FOLDER
from daemon.ops.maintenance.forgetting import Forgetter

DOING = {"gathering": "writing", "loop": "paused"}
"""What people call what a chat's task is doing, where the two differ."""

TYPES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
}
"""Files that are shown as what they are; all others are only bytes to be kept."""

NAME_MAX = 255
"""Of a file's name, in bytes (Linux, ``limits.h``): a longer one is nowhere."""

NAME_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-")


class ChatDesk:
    """Implements `daemon.http.desk.Desk`. Made by the composer, used by HTTP handlers."""

    def __init__(
        self, deps: Dependencies, chats: ChatRegistry, data_dir: Path, forgetter: Forgetter
    ) -> None:
        self._deps = deps
        self._views = deps.store.views
        self._by_hand = deps.store.operator_actions
        self._chats = chats
        self._data_dir = data_dir
        self._forgetter = forgetter

    # -- reading -------------------------------------------------------------------------------

    async def chats(self, *, query: str, state: str, before: str, limit: int) -> JsonObject:
        """One page of the list; see the protocol."""
        wanted = Wanted(query=query.strip(), state=state, before=_list_place(before), limit=limit)
        told = await self._views.chats(wanted, self.live(), now=self._deps.now())
        at, ref = told["next"] or (0.0, "")
        return {
            "chats": [shown_chat(chat) for chat in told["chats"]],
            "next": f"{at!r}-{ref}" if ref else "",
            "states": told["states"],
        }

    async def chat(self, ref: str) -> JsonObject | None:
        """One chat; see the protocol."""
        key = await self._views.key_of(ref)
        told = key and await self._views.chat(key, self.live(), now=self._deps.now())
        if not key or not told:
            return None
        details = await self._deps.chat_info.details(key)
        return {**shown_chat(told), "labels": list(details.labels) if details else None}

    async def bubbles(self, ref: str, *, before: str, limit: int) -> JsonObject | None:
        """What was said; see the protocol."""
        key = await self._views.key_of(ref)
        if key is None:
            return None
        page, place = await self._views.bubbles(key, before=_bubble_place(before), limit=limit)
        for bubble in page:
            bubble["author"] = mask_numbers(bubble["author"])
            bubble["name"] = mask_numbers(bubble["name"])
        return {"bubbles": page, "next": f"{place.came}-{place.went}" if place else ""}

    async def turns(self, ref: str, *, limit: int) -> list[JsonObject] | None:
        """The last turns; see the protocol."""
        key = await self._views.key_of(ref)
        return None if key is None else await self._views.turns(key, limit=limit)

    async def story(self, ref: str, turn: str) -> JsonObject | None:
        """Everything about one turn; see the protocol."""
        key = await self._views.key_of(ref)
        life = await self._views.story(turn)
        if life is None or key != ChatKey(life.channel, life.chat):
            return None
        told = asdict(life)
        for name in ("channel", "chat", "events"):
            del told[name]
        for row in (told["turn"], *told["messages"], *told["outbox"]):
            row.pop("chat", None)
        for entry in told["audit"]:
            entry["subject"] = mask_numbers(entry["subject"])
        return told

    async def ref_of_turn(self, turn: str) -> str:
        """The chat of a turn; see the protocol."""
        key = await self._views.chat_of_turn(turn)
        known = key and await self._views.chat(key, {}, now=self._deps.now())
        return str(known["ref"]) if known else ""

    async def file(self, name: str) -> tuple[Path, str] | None:
        """Where a file lies; see the protocol."""
        if not 0 < len(name) <= NAME_MAX or name.startswith(".") or set(name) - NAME_CHARACTERS:
            return None
        kind = TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
        for folder in (MEDIA_FOLDER, AUDIO_FOLDER):
            path = trio.Path(self._data_dir / folder / name)
            if await path.is_file():
                return Path(path), kind
        return None

    def live(self) -> dict[ChatKey, Live]:
        """What the tasks of the chats are doing."""
        return {
            state.key: Live(
                state=DOING.get(state.doing, state.doing),
                since=state.since,
                queued=state.queued,
                turn=state.request_id,
            )
            for state in self._chats.states()
        }

    # -- taking part ---------------------------------------------------------------------------

    async def take_over(self, ref: str, minutes: float | None, *, by: Actor) -> bool:
        """Keep the bot out of a chat; see the protocol."""
        key = await self._views.key_of(ref)
        if key is None:
            return False
        now = self._deps.now()
        until = now + (self._deps.rules.pause_seconds if minutes is None else minutes * 60)
        await self._by_hand.pause(key.chat, until, channel=key.channel, by=by, now=now)
        self._chats.pause(key, until)
        return True

    async def give_back(self, ref: str, *, by: Actor) -> bool:
        """Let the bot answer again; see the protocol."""
        key = await self._views.key_of(ref)
        if key is None:
            return False
        now = self._deps.now()
        await self._by_hand.give_back(key.chat, channel=key.channel, by=by, now=now)
        self._chats.give_back(key, now)
        return True

    async def done(self, ref: str, *, by: Actor) -> bool:
        """Count what waits for a person as handled; see the protocol."""
        key = await self._views.key_of(ref)
        if key is None:
            return False
        await self._by_hand.done(key.chat, channel=key.channel, by=by, now=self._deps.now())
        self._chats.wake(key)
        return True

    async def say(self, ref: str, text: str, *, name: str, action: str, by: Actor) -> bool:
        """Let an agent say something; see the protocol."""
        key = await self._views.key_of(ref)
        if key is None:
            return False
        now, pause = self._deps.now(), self._deps.rules.pause_seconds
        arrival = await self._by_hand.say(
            key,
            text,
            name=name,
            action=action,
            by=by,
            now=now,
            pause_until=now + pause if pause else 0,
        )
        if arrival is not None:
            self._chats.poke(arrival)
            self._chats.wake(key)
        return True

    async def label(
        self, ref: str, *, add: tuple[str, ...], remove: tuple[str, ...], by: Actor
    ) -> str | None:
        """Change the labels; see the protocol."""
        key = await self._views.key_of(ref)
        if key is None:
            return None
        deps = self._deps
        try:
            fault = await deps.labels.change(key, add=add, remove=remove)
        except GatewayError as error:
            return mask_numbers(str(error))
        deps.chat_info.forget(key)
        if not fault:
            detail = f"{len(add)} added, {len(remove)} removed"
            await deps.store.audit.write(by, "label", key.chat, after=detail, now=deps.now())
        return fault

    async def forget(self, ref: str, *, by: Actor) -> str | None:
        """Erase a person; see the protocol. Goes the way of `recado forget`."""
        key = await self._views.key_of(ref)
        if key is None:
            return None
        names = await self._deps.store.database.read(partial(names_of, chat=key.chat))
        done = await self._forgetter.forget(names, by=by)
        self._deps.chat_info.forget(key)
        return done.summary()


def shown_chat(told: JsonObject) -> JsonObject:
    """A chat of the list as it may be shown: its number masked, and no id of it."""
    shown = {name: value for name, value in told.items() if name not in {"channel", "chat"}}
    return {**shown, "name": mask_numbers(told["name"]), "number": masked(told["chat"])}


def masked(chat: str) -> str:
    """A chat's number for people, most of it hidden."""
    number = mask_numbers(local_part(chat))
    return f"+{number}" if phone_digits(chat) else number


# -- places in lists -------------------------------------------------------------------------------


def _list_place(text: str) -> tuple[float, str] | None:
    at, _, ref = text.rpartition("-")
    try:
        return (float(at), ref) if ref else None
    except ValueError:
        return None


def _bubble_place(text: str) -> Before:
    came, _, went = text.partition("-")
    known = came.isascii() and came.isdecimal() and went.isascii() and went.isdecimal()
    return Before(int(came[:18]), int(went[:18])) if known else Before()
