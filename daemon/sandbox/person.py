"""One person on the simulated phones, and what they can send: the convenient side of `People`.

Every verb records a message, tells of it by webhook, and returns its id.
"""

from collections.abc import Sequence
from typing import Literal, TypedDict, Unpack

from daemon.domain.messages import JsonObject
from daemon.sandbox import outgoing, payloads, samples
from daemon.sandbox.forms import Upload
from daemon.sandbox.media import MediaFiles
from daemon.sandbox.people import People
from daemon.sandbox.webhooks import Until

CallEnd = Literal["missed", "canceled", "answered"]


class Manner(TypedDict, total=False):
    """How something is sent."""

    id: str
    """Instead of a new one."""
    quote: str
    """Id of the message it answers."""
    mentions: Sequence[str]
    """Digits of the people it mentions."""
    forwarded: int
    """How often it was forwarded before."""
    ephemeral: bool
    """Whether it shall disappear."""
    view_once: bool
    link: bool
    """Whether its file has a link; by default as the channel is set."""
    deliver: Until


class Person:
    """A customer in their own chat, or somebody in a group."""

    def __init__(
        self, people: People, media: MediaFiles, digits: str, *, name: str = "", chat: str = ""
    ) -> None:
        self.digits = digits
        self.chat = payloads.chat_id_of(chat or digits)
        self._people = people
        self._media = media
        place = people.ledger.chat(self.chat, name="" if chat else name)
        self.name = name or place.members.get(digits, digits)

    async def send(self, content: JsonObject, **manner: Unpack[Manner]) -> str:
        """Send any content, such as ``{"type": "order", "order": {…}}``."""
        message = self._compose(content, manner)
        await self._people.tell([message], deliver=manner.get("deliver", "attempted"))
        return str(message["id"])

    async def send_together(self, *contents: JsonObject, deliver: Until = "attempted") -> list[str]:
        """Send several things that are told in one webhook call, as an album may be."""
        messages = [self._compose(content, {}) for content in contents]
        await self._people.tell(messages, deliver=deliver)
        return [str(message["id"]) for message in messages]

    async def say(self, text: str, **manner: Unpack[Manner]) -> str:
        """Write a text."""
        return await self.send(payloads.text_content(text), **manner)

    async def send_image(
        self,
        data: bytes = b"",
        mime_type: str = "image/jpeg",
        caption: str = "",
        **manner: Unpack[Manner],
    ) -> str:
        """Send a picture, by default a sample."""
        return await self.send(self.image(data, mime_type, caption, **manner), **manner)

    async def send_voice(
        self, data: bytes = b"", mime_type: str = samples.VOICE_TYPE, **manner: Unpack[Manner]
    ) -> str:
        """Send a voice note, by default a sample."""
        return await self.send(self.file("voice", data, mime_type, **manner), **manner)

    async def send_audio(
        self,
        data: bytes = b"",
        mime_type: str = "audio/ogg",
        file_name: str = "",
        **manner: Unpack[Manner],
    ) -> str:
        """Send a sound as a file, by default the sample of a voice."""
        data = data or samples.first_of("voice").data
        content = self.file("audio", data, mime_type, file_name=file_name, **manner)
        return await self.send(content, **manner)

    async def send_video(
        self,
        data: bytes = b"",
        mime_type: str = "video/mp4",
        caption: str = "",
        seconds: int = 2,
        **manner: Unpack[Manner],
    ) -> str:
        """Send a film, by default a sample with its first picture."""
        content = self.file("video", data, mime_type, caption=caption, **manner)
        preview = self._media.preview_of("boat.jpg")
        content["video"] |= {"seconds": seconds, "width": 160, "height": 120, "preview": preview}
        return await self.send(content, **manner)

    async def send_document(
        self,
        data: bytes = b"",
        mime_type: str = "application/pdf",
        file_name: str = "reserva.pdf",
        caption: str = "",
        **manner: Unpack[Manner],
    ) -> str:
        """Send a paper, by default a sample of one page."""
        content = self.file(
            "document", data, mime_type, file_name=file_name, caption=caption, **manner
        )
        content["document"]["page_count"] = 1
        return await self.send(content, **manner)

    async def send_sticker(
        self, data: bytes = b"", mime_type: str = "image/webp", **manner: Unpack[Manner]
    ) -> str:
        """Send a sticker, by default a sample."""
        return await self.send(self.file("sticker", data, mime_type, **manner), **manner)

    async def send_location(
        self,
        latitude: float | None = None,
        longitude: float | None = None,
        name: str = "",
        address: str = "",
        **manner: Unpack[Manner],
    ) -> str:
        """Send a place, by default an invented one."""
        place = samples.place()
        if latitude is not None and longitude is not None:
            words = {"name": name, "address": address}
            place = {"latitude": latitude, "longitude": longitude}
            place |= {key: value for key, value in words.items() if value}
        return await self.send({"type": "location", "location": place}, **manner)

    async def send_live_location(
        self,
        latitude: float,
        longitude: float,
        caption: str = "",
        *,
        sequence: int = 1,
        **manner: Unpack[Manner],
    ) -> str:
        """Send where one is at the moment; `sequence` counts the updates."""
        place = {"latitude": latitude, "longitude": longitude, "accuracy": 12, "caption": caption}
        content = {**place, "sequence_number": sequence, "time_offset": 0}
        return await self.send({"type": "live_location", "live_location": content}, **manner)

    async def send_contact(self, name: str, phone: str, **manner: Unpack[Manner]) -> str:
        """Send a contact card; `phone` is digits."""
        return await self.send({"type": "contact", "contact": samples.card(name, phone)}, **manner)

    async def send_contacts(self, *cards: tuple[str, str], **manner: Unpack[Manner]) -> str:
        """Send several contact cards in one message: names and digits."""
        listed = [samples.card(name, phone) for name, phone in cards]
        return await self.send({"type": "contact_list", "contact_list": {"list": listed}}, **manner)

    async def send_poll(self, title: str, *options: str, **manner: Unpack[Manner]) -> str:
        """Open a poll."""
        content = outgoing.poll(title, list(options))
        return await self.send({"type": "poll", "poll": content}, **manner)

    async def react(self, message_id: str, emoji: str, *, deliver: Until = "attempted") -> str:
        """Put an emoji on a message; an empty one takes it back."""
        return await self._act(message_id, {"type": "reaction", "emoji": emoji}, deliver)

    async def edit(
        self, message_id: str, text: str, *, as_update: bool = False, deliver: Until = "attempted"
    ) -> None:
        """Change one's own message; `as_update` as in `People.customer_edits`."""
        await self._people.customer_edits(message_id, text, as_update=as_update, deliver=deliver)

    async def delete(
        self, message_id: str, *, as_removal: bool = False, deliver: Until = "attempted"
    ) -> None:
        """Delete one's own message; `as_removal` as in `People.customer_deletes`."""
        await self._people.customer_deletes(message_id, as_removal=as_removal, deliver=deliver)

    async def vote(
        self, message_id: str, *options: str, as_update: bool = False, deliver: Until = "attempted"
    ) -> None:
        """Choose options of a poll, by their words; told as an action or as a changed poll."""
        old = self._people.ledger.messages[message_id]
        chosen = [outgoing.option_id(option) for option in options]
        action = self._people.act(message_id, {"type": "vote", "votes": chosen}, author=self.digits)
        before = {**old}
        voted = outgoing.voted(old["poll"], self.digits, chosen)
        self._people.ledger.change_message(message_id, voted)
        if not as_update:
            await self._people.tell([action], deliver=deliver)
            return
        update = {"id": message_id, "trigger": action, "before_update": before}
        parts = {"messages_updates": [{**update, "after_update": old, "changes": ["poll"]}]}
        await self._people.post(self.chat, "messages.patch", parts, deliver=deliver)

    async def tap(self, message_id: str, choice: str, **manner: Unpack[Manner]) -> str:
        """Tap a button or a row (our id of it) of a menu that was sent here.

        Raises KeyError if the message offers no such choice.
        """
        menu = self._people.ledger.messages[message_id]
        kind, reply = outgoing.choices(menu["interactive"])[choice]
        quoted_type, quoted = outgoing.quoted_menu(menu["interactive"])
        context = {
            "quoted_id": message_id,
            "quoted_author": menu["from"],
            "quoted_type": quoted_type,
            "quoted_content": quoted,
        }
        content = {"type": "reply", "reply": {"type": kind, kind: reply}, "context": context}
        return await self.send(content, **manner)

    async def call(
        self, end: CallEnd = "missed", *, video: bool = False, deliver: Until = "attempted"
    ) -> str:
        """Ring, and end as `end` says; return the call's id."""
        ledger = self._people.ledger
        call_id = f"CALL{len(ledger.voice_calls) + 1:012d}"
        for status in ("ringing", end):
            ledger.voice_calls[call_id] = status
            call = payloads.voice_call(
                call_id, self.chat, self.digits, status, self._people.time(), video=video
            )
            await self._people.post(self.chat, "calls.post", {"calls": [call]}, deliver=deliver)
        return call_id

    async def types(self, *, deliver: Until = "attempted") -> None:
        """Be seen typing, if the daemon asked for it."""
        await self.shows("typing", deliver=deliver)

    async def records(self, *, deliver: Until = "attempted") -> None:
        """Be seen recording a voice note."""
        await self.shows("recording", deliver=deliver)

    async def stops(self, *, deliver: Until = "attempted") -> None:
        """Stop typing or recording."""
        await self.shows("online", deliver=deliver)

    async def leaves(self, *, deliver: Until = "attempted") -> None:
        """Close WhatsApp."""
        await self.shows("offline", deliver=deliver)

    async def shows(self, status: str, *, deliver: Until = "attempted") -> None:
        """Be ``typing``, ``recording``, ``online``, ``offline`` or ``pending``."""
        author = "" if self.chat.startswith(self.digits) else self.digits
        await self._people.customer_is(self.chat, status, author=author, deliver=deliver)

    def reads(self) -> list[str]:
        """Open the chat: what the daemon sent and is not read yet is read; return the ids."""
        ledger = self._people.ledger
        seen = [
            str(message["id"])
            for message in ledger.chats[self.chat].messages
            if message["from_me"]
            and message["type"] != "action"
            and ledger.statuses.get(message["id"]) in {"sent", "delivered"}
        ]
        for message_id in seen:
            self._people.set_status(message_id, "read", viewer=self.digits)
        return seen

    def image(
        self,
        data: bytes = b"",
        mime_type: str = "image/jpeg",
        caption: str = "",
        **manner: Unpack[Manner],
    ) -> JsonObject:
        """Return the content of a picture, for `send_together`."""
        return self.file("image", data, mime_type, caption=caption, **manner)

    def file(
        self,
        medium: str,
        data: bytes,
        mime_type: str,
        *,
        file_name: str = "",
        caption: str = "",
        **manner: Unpack[Manner],
    ) -> JsonObject:
        """Return the content of any file, kept for being fetched; without `data` a sample's."""
        upload = Upload(data or samples.first_of(medium).data, mime_type, file_name)
        content = self._media.describe(self._media.keep(upload), medium, link=manner.get("link"))
        if caption:
            content["caption"] = caption
        return {"type": medium, medium: content}

    def _compose(self, content: JsonObject, manner: Manner) -> JsonObject:
        kind = content["type"]
        content = {**content, "context": {**content.get("context", {}), **_context(manner)}}
        if not content["context"]:
            del content["context"]
        if manner.get("view_once"):
            content[kind] = {**content[kind], "view_once": True}
        return self._people.compose(
            self.chat,
            content,
            name=self.name,
            author=self.digits,
            id=manner.get("id", ""),
            quote=manner.get("quote", ""),
        )

    async def _act(self, message_id: str, action: JsonObject, deliver: Until) -> str:
        message = self._people.act(message_id, action, author=self.digits)
        await self._people.tell([message], deliver=deliver)
        return str(message["id"])


def _context(manner: Manner) -> JsonObject:
    context: JsonObject = {}
    if manner.get("mentions"):
        context["mentions"] = list(manner["mentions"])
    if manner.get("forwarded"):
        context |= {"forwarded": True, "forwarding_score": manner["forwarded"]}
    if manner.get("ephemeral"):
        context["ephemeral"] = 86_400
    return context
