"""Customers and groups on the simulated phones, with every type of message."""

import itertools
from collections.abc import Sequence
from typing import TypedDict, Unpack

import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox import outgoing, payloads, samples
from daemon.sandbox.contacts import SimulatedContact, SimulatedPhones
from daemon.sandbox.media import MediaFiles
from daemon.sandbox.webhooks import Until, WholeBody, plain_client


class ScriptedPhones(SimulatedPhones):
    """Actions of customers and agents, one call each."""

    in_order = True
    """Whether the webhooks of one chat keep their order. Whapi promises none."""
    presences_need_subscription = True
    """Whether typing is reported only for subscribed contacts, as Whapi does."""

    async def customer_says(
        self,
        chat: str,
        text: str,
        *,
        name: str = "",
        author: str = "",
        id: str = "",  # noqa: A002 - WhatsApp's word for it
        quote: str = "",
        deliver: Until = "attempted",
    ) -> str:
        """A customer writes; return the message's id."""
        message = self.compose(chat, text, name=name, author=author, id=id, quote=quote)
        await self.announce([message], deliver=deliver)
        return str(message["id"])

    async def customer_sends(
        self, chat: str, content: JsonObject, *, author: str = "", deliver: Until = "attempted"
    ) -> str:
        """A customer sends any message, given as its type and content; return its id.

        Other fields in `content` (``id``, ``source`` …) replace the usual ones.
        """
        message = self.compose(chat, content, author=author, id=str(content.get("id", "")))
        await self.announce([message], deliver=deliver)
        return str(message["id"])

    async def customer_types(self, chat: str, *, deliver: Until = "attempted") -> None:
        """A customer is seen typing."""
        await self.customer_is(chat, "typing", deliver=deliver)

    async def customer_records(self, chat: str, *, deliver: Until = "attempted") -> None:
        """A customer is seen recording a voice note."""
        await self.customer_is(chat, "recording", deliver=deliver)

    async def customer_stops(self, chat: str, *, deliver: Until = "attempted") -> None:
        """A customer stops typing or recording without having sent anything."""
        await self.customer_is(chat, "online", deliver=deliver)

    async def customer_edits(
        self, message_id: str, text: str, *, as_update: bool = False, deliver: Until = "attempted"
    ) -> None:
        """A customer changes a message.

        Whapi posts it as an action in ``messages``, or (`as_update`) in ``messages_updates``.
        """
        old = self.ledger.messages[message_id]
        content = {"edited_type": "text", "edited_content": {"body": text}}
        action = self.act(message_id, {"type": "edit", **content})
        if not as_update:
            await self.announce([action], deliver=deliver)
            return
        update = {
            "id": message_id,
            "trigger": action,
            "before_update": old,
            "after_update": {**old, **payloads.text_content(text)},
            "changes": ["text"],
        }
        parts = {"messages_updates": [update]}
        await self.post(old["chat_id"], "messages.patch", parts, (action["id"],), deliver=deliver)

    async def customer_deletes(
        self, message_id: str, *, as_removal: bool = False, deliver: Until = "attempted"
    ) -> None:
        """A customer deletes a message for everyone.

        Whapi posts it as an action in ``messages``, or (`as_removal`) in ``messages_removed``.
        """
        old = self.ledger.messages[message_id]
        action = self.act(message_id, {"type": "delete"})
        if as_removal:
            parts = {"messages_removed": [message_id]}
            await self.post(old["chat_id"], "messages.delete", parts, (), deliver=deliver)
        else:
            await self.announce([action], deliver=deliver)

    async def customer_reacts(
        self, message_id: str, emoji: str, *, deliver: Until = "attempted"
    ) -> None:
        """A customer puts an emoji on a message; an empty one takes it back."""
        action = self.act(message_id, {"type": "reaction", "emoji": emoji})
        await self.announce([action], deliver=deliver)

    async def agent_says(
        self, chat: str, text: str, *, source: str = "mobile", deliver: Until = "attempted"
    ) -> str:
        """A human of the business writes from its phone (or ``web``); return the message's id."""
        content = payloads.text_content(text)
        return await self.agent_sends(chat, content, source=source, deliver=deliver)

    async def redeliver(self, message_id: str, *, deliver: Until = "attempted") -> None:
        """Send a message's webhook again, as Whapi does when a 200 got lost."""
        await self.announce([self.ledger.messages[message_id]], deliver=deliver)

    async def deliver_raw(
        self,
        body: bytes,
        *,
        path: str = "",
        headers: dict[str, str] | None = None,
        method: str = "POST",
        timeout_seconds: float = 30,
    ) -> int:
        """Post any bytes to the first webhook's URL plus `path`, once; return the status.

        `headers` replace those of the webhook's settings. Raises httpx.HTTPError if there is no
        answer, trio.TooSlowError if there is none in time.
        """
        target = self.targets()[0]
        given = target.headers if headers is None else headers
        sent_headers = {"content-length": str(len(body)), **given}
        with trio.fail_after(timeout_seconds):
            async with plain_client() as client:
                request = client.build_request(method, target.url + path, headers=sent_headers)
                request.stream = WholeBody(body)
                response = await client.send(request)
        return response.status_code

    def _line_of(self, chat: str) -> str:
        return chat if self.in_order else f"{chat} {len(self.postbox.deliveries)}"

    def _sees_presence(self, digits: str) -> bool:
        return not self.presences_need_subscription or super()._sees_presence(digits)


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
    """Whether it disappears."""
    view_once: bool
    link: bool
    """Whether its file has a link; by default as the channel is set."""
    deliver: Until


class ScriptedContact(SimulatedContact):
    """A customer, or a participant of a group, with a method for each type of message.

    Each records a message, posts its webhook, and returns its id.
    """

    _phones: ScriptedPhones

    async def send(self, content: JsonObject, **manner: Unpack[Manner]) -> str:
        """Send any content, such as ``{"type": "order", "order": {…}}``."""
        message = self._compose(content, manner)
        await self._phones.announce([message], deliver=manner.get("deliver", "attempted"))
        return str(message["id"])

    async def send_together(self, *contents: JsonObject, deliver: Until = "attempted") -> list[str]:
        """Send several messages in one webhook call, as an album may be."""
        messages = [self._compose(content, {}) for content in contents]
        await self._phones.announce(messages, deliver=deliver)
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
        return await self.send(
            self.file("voice", data, mime_type, link=manner.get("link")), **manner
        )

    async def send_audio(
        self,
        data: bytes = b"",
        mime_type: str = "audio/ogg",
        file_name: str = "",
        **manner: Unpack[Manner],
    ) -> str:
        """Send a sound as a file, by default the sample of a voice."""
        data = data or samples.first_of("voice").data
        content = self.file("audio", data, mime_type, file_name=file_name, link=manner.get("link"))
        return await self.send(content, **manner)

    async def send_video(
        self,
        data: bytes = b"",
        mime_type: str = "video/mp4",
        caption: str = "",
        seconds: int = 2,
        **manner: Unpack[Manner],
    ) -> str:
        """Send a video, by default a sample with its first frame."""
        content = self.file("video", data, mime_type, caption=caption, link=manner.get("link"))
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
        """Send a document, by default a sample of one page."""
        content = self.file(
            "document",
            data,
            mime_type,
            file_name=file_name,
            caption=caption,
            link=manner.get("link"),
        )
        content["document"]["page_count"] = 1
        return await self.send(content, **manner)

    async def send_sticker(
        self, data: bytes = b"", mime_type: str = "image/webp", **manner: Unpack[Manner]
    ) -> str:
        """Send a sticker, by default a sample."""
        return await self.send(
            self.file("sticker", data, mime_type, link=manner.get("link")), **manner
        )

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
        """Send a live location; `sequence` counts the updates."""
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
        """Change one's own message; `as_update` as in `ScriptedPhones.customer_edits`."""
        await self._phones.customer_edits(message_id, text, as_update=as_update, deliver=deliver)

    async def delete(
        self, message_id: str, *, as_removal: bool = False, deliver: Until = "attempted"
    ) -> None:
        """Delete one's own message; `as_removal` as in `ScriptedPhones.customer_deletes`."""
        await self._phones.customer_deletes(message_id, as_removal=as_removal, deliver=deliver)

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

    def image(
        self,
        data: bytes = b"",
        mime_type: str = "image/jpeg",
        caption: str = "",
        **manner: Unpack[Manner],
    ) -> JsonObject:
        """Return the content of a picture, for `send_together`."""
        return self.file("image", data, mime_type, caption=caption, link=manner.get("link"))

    def _compose(self, content: JsonObject, manner: Manner) -> JsonObject:
        kind = content["type"]
        content = {**content, "context": {**content.get("context", {}), **_context(manner)}}
        if not content["context"]:
            del content["context"]
        if manner.get("view_once"):
            content[kind] = {**content[kind], "view_once": True}
        return self._phones.compose(
            self.chat,
            content,
            name=self.name,
            author=self.digits,
            id=manner.get("id", ""),
            quote=manner.get("quote", ""),
        )

    async def _act(self, message_id: str, action: JsonObject, deliver: Until) -> str:
        message = self._phones.act(message_id, action, author=self.digits)
        await self._phones.announce([message], deliver=deliver)
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


class Group:
    """A group and its participants."""

    def __init__(self, phones: ScriptedPhones, media: MediaFiles, chat: str) -> None:
        self.chat = chat
        self._phones = phones
        self._media = media

    def member(self, digits: str) -> ScriptedContact:
        """Return a participant, who then writes here."""
        name = self._phones.ledger.chats[self.chat].members.get(digits, digits)
        return ScriptedContact(self._phones, self._media, digits, name=name, chat=self.chat)

    async def say(self, person: ScriptedContact | str, text: str, **manner: Unpack[Manner]) -> str:
        """Let a participant write a text."""
        digits = person if isinstance(person, str) else person.digits
        return await self.member(digits).say(text, **manner)

    async def change(
        self, action: str, *digits: str, names: Sequence[str] = (), deliver: Until = "attempted"
    ) -> None:
        """Let participants come (``add``) or go (``remove``), or be promoted or demoted."""
        chat = self._phones.ledger.chats[self.chat]
        for person, name in itertools.zip_longest(digits, names[: len(digits)], fillvalue=""):
            if action == "add":
                chat.members[person] = name or person
            elif action == "remove":
                chat.members.pop(person, None)
        change = {"group_id": self.chat, "participants": list(digits), "action": action}
        parts = {"groups_participants": [change]}
        await self._phones.post(self.chat, "groups.put", parts, deliver=deliver)
