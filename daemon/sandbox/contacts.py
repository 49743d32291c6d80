"""Actions on the simulated phones: customers who write, agents of the business who answer.

Each action is recorded in the ledger and becomes a webhook call. Methods take a chat by digits or
by chat id, and may be called by any task.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from daemon.domain.messages import JsonObject
from daemon.domain.rendering.outgoing import poll_option_id
from daemon.sandbox import outgoing, payloads, samples
from daemon.sandbox.asgi import Upload
from daemon.sandbox.ledger import Ledger
from daemon.sandbox.media import MediaFiles
from daemon.sandbox.webhooks import Postbox, Target, Until, WebhookPost

Status = Literal["pending", "sent", "delivered", "read", "played", "failed"]
"""The states of a message."""
CallEnd = Literal["missed", "canceled", "answered"]


class SimulatedPhones:
    """The phones of the customers and of the business, and the webhooks about what they do."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        postbox: Postbox,
        targets: Callable[[], list[Target]],
        now: Callable[[], float],
        rng: random.Random,
    ) -> None:
        """`targets` says where webhooks go at the moment; an empty list is nowhere."""
        self.ledger = ledger
        self.postbox = postbox
        self.targets = targets
        self._now = now
        self._rng = rng

    def time(self) -> float:
        """Return the wall clock of the simulation, in Unix seconds."""
        return self._now()

    def compose(
        self,
        chat: str,
        content: str | JsonObject,
        *,
        name: str = "",
        author: str = "",
        id: str = "",  # noqa: A002 - WhatsApp's word for it
        quote: str = "",
    ) -> JsonObject:
        """Return a customer's new message, recorded and not yet announced.

        `content` is a text, or ``{"type": "image", "image": {…}}``. `author` (digits) is the
        participant of a group who writes it; `quote` is the id of the message it answers.
        """
        chat_id = payloads.chat_id_of(chat)
        place = self.ledger.chat(chat_id, name=name)
        writer = author or next(iter(place.members))
        content = payloads.text_content(content) if isinstance(content, str) else dict(content)
        if quote:
            context = payloads.quote_context(self.ledger.messages[quote])
            content["context"] = {**content.get("context", {}), **context}
        message = payloads.customer_message(
            content,
            message_id=id or payloads.new_id(self._rng),
            chat=chat_id,
            at=self._now(),
            author=writer,
            name=name or place.members.get(writer, writer),
            chat_name=place.name,
        )
        self.ledger.add_message(message)
        return message

    async def announce(
        self,
        messages: Sequence[JsonObject],
        *,
        presences: Sequence[JsonObject] = (),
        deliver: Until = "attempted",
    ) -> None:
        """Announce several messages, and presences, in one webhook call."""
        parts: dict[str, Sequence[JsonObject]] = {"messages": messages}
        if presences:
            parts["presences"] = presences
        ids = tuple(message["id"] for message in messages)
        await self.post(messages[0]["chat_id"], "messages.post", parts, ids, deliver=deliver)

    async def agent_sends(
        self,
        chat: str,
        content: JsonObject,
        *,
        source: str = "mobile",
        quote: str = "",
        deliver: Until = "attempted",
    ) -> str:
        """A human of the business sends anything from its phone; return the message's id."""
        if quote:
            content = {**content, "context": payloads.quote_context(self.ledger.messages[quote])}
        message = payloads.own_message(
            content,
            message_id=payloads.new_id(self._rng),
            chat=payloads.chat_id_of(chat),
            at=self._now(),
            source=source,
        )
        self.ledger.add_message(message)
        await self.announce([message], deliver=deliver)
        return str(message["id"])

    async def agent_acts(
        self, message_id: str, action: JsonObject, *, deliver: Until = "attempted"
    ) -> str:
        """A human of the business reacts to a message, edits or deletes one; return the id."""
        chat = self.ledger.messages[message_id]["chat_id"]
        content = {"type": "action", "action": {"target": message_id, **action}}
        return await self.agent_sends(chat, content, deliver=deliver)

    def set_status(
        self,
        message_id: str,
        status: Status,
        *,
        error: str = "",
        viewer: str = "",
        announced: bool = True,
    ) -> None:
        """Let a message get as far as `status`, and announce it unless `announced` is False."""
        message = self.ledger.messages[message_id]
        self.ledger.add_status(message_id, status)
        if announced:
            at = self._now()
            update = payloads.status_update(message, status, at, error=error, viewer=viewer)
            self.queue(message["chat_id"], "statuses.post", {"statuses": [update]})

    async def post(
        self,
        chat: str,
        event: str,
        parts: Mapping[str, Any],
        message_ids: tuple[str, ...] = (),
        *,
        deliver: Until = "attempted",
    ) -> None:
        """Post any webhook call about a chat: `parts` are the payload's keys beside ``event``."""
        for delivery in self.queue(payloads.chat_id_of(chat), event, parts, message_ids):
            await delivery.wait(deliver)

    def queue(
        self,
        chat: str,
        event: str,
        parts: Mapping[str, Any],
        message_ids: tuple[str, ...] = (),
        *,
        lane: str = "",
    ) -> list[WebhookPost]:
        """Queue a webhook call about a chat, one for each target that wants it; return them.

        With a `lane` of its own it passes calls of the chat that still wait.
        """
        payload = payloads.webhook_payload(event, parts)
        # Beyond UTF-8 proper: a test may send a lone surrogate, as some phones do.
        body = json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass")
        made = [
            WebhookPost(target, event, payload, body, message_ids)
            for target in self.targets()
            if not target.events or event in target.events
        ]
        for number, delivery in enumerate(made):
            self.postbox.put(f"{lane or self._line_of(chat)} {number}", delivery)
        return made

    def _line_of(self, chat: str) -> str:
        """Return the line in which the calls of a chat wait for each other."""
        return chat

    def _sees_presence(self, digits: str) -> bool:
        """Return whether Whapi announces what a contact does: only after a subscription."""
        return digits in self.ledger.subscriptions

    async def customer_is(
        self, chat: str, status: str, *, author: str = "", deliver: Until = "attempted"
    ) -> None:
        """A contact is ``typing``, ``recording``, ``online``, ``offline`` or ``pending``.

        In a group the webhook names `author` (digits) and not the group.
        """
        chat_id = payloads.chat_id_of(chat)
        digits = author or payloads.digits_of(chat_id)
        if not self._sees_presence(digits):
            return
        parts = {"presences": [{"contact_id": digits, "status": status}]}
        await self.post(chat_id, "presences.post", parts, deliver=deliver)

    def act(self, target_id: str, action: JsonObject, *, author: str = "") -> JsonObject:
        """Return a customer's new action on a message, recorded and not yet announced."""
        target = self.ledger.messages[target_id]
        content: JsonObject = {"type": "action", "action": {"target": target_id, **action}}
        name = ""
        if not author and not target["from_me"]:
            author, name = target["from"], target.get("from_name", "")
        return self.compose(target["chat_id"], content, name=name, author=author)


class SimulatedContact:
    """A customer in their own chat, or a participant of a group."""

    def __init__(
        self,
        phones: SimulatedPhones,
        media: MediaFiles,
        digits: str,
        *,
        name: str = "",
        chat: str = "",
    ) -> None:
        self.digits = digits
        self.chat = payloads.chat_id_of(chat or digits)
        self._phones = phones
        self._media = media
        place = phones.ledger.chat(self.chat, name="" if chat else name)
        self.name = name or place.members.get(digits, digits)

    async def send(
        self, content: JsonObject, *, quote: str = "", deliver: Until = "attempted"
    ) -> str:
        """Send any content, such as ``{"type": "order", "order": {…}}``; return its id."""
        message = self._phones.compose(
            self.chat, content, name=self.name, author=self.digits, quote=quote
        )
        await self._phones.announce([message], deliver=deliver)
        return str(message["id"])

    async def vote(
        self, message_id: str, *options: str, as_update: bool = False, deliver: Until = "attempted"
    ) -> None:
        """Choose options of a poll, by their words; announced as an action or as a changed poll."""
        old = self._phones.ledger.messages[message_id]
        chosen = [poll_option_id(option) for option in options]
        action = self._phones.act(message_id, {"type": "vote", "votes": chosen}, author=self.digits)
        before = {**old}
        voted = outgoing.voted(old["poll"], self.digits, chosen)
        self._phones.ledger.change_message(message_id, voted)
        if not as_update:
            await self._phones.announce([action], deliver=deliver)
            return
        update = {"id": message_id, "trigger": action, "before_update": before}
        parts = {"messages_updates": [{**update, "after_update": old, "changes": ["poll"]}]}
        await self._phones.post(self.chat, "messages.patch", parts, deliver=deliver)

    async def tap(self, message_id: str, choice: str, *, deliver: Until = "attempted") -> str:
        """Tap a button or a row (our id of it) of a menu that was sent here.

        Raises KeyError if the message offers no such choice.
        """
        menu = self._phones.ledger.messages[message_id]
        kind, reply = outgoing.choices(menu["interactive"])[choice]
        quoted_type, quoted = outgoing.quoted_menu(menu["interactive"])
        context = {
            "quoted_id": message_id,
            "quoted_author": menu["from"],
            "quoted_type": quoted_type,
            "quoted_content": quoted,
        }
        content = {"type": "reply", "reply": {"type": kind, kind: reply}, "context": context}
        return await self.send(content, deliver=deliver)

    async def call(
        self, end: CallEnd = "missed", *, video: bool = False, deliver: Until = "attempted"
    ) -> str:
        """Make a call that ends as `end` says; return its id."""
        ledger = self._phones.ledger
        call_id = f"CALL{len(ledger.voice_calls) + 1:012d}"
        for status in ("ringing", end):
            ledger.voice_calls[call_id] = status
            call = payloads.voice_call(
                call_id, self.chat, self.digits, status, self._phones.time(), video=video
            )
            await self._phones.post(self.chat, "calls.post", {"calls": [call]}, deliver=deliver)
        return call_id

    async def shows(self, status: str, *, deliver: Until = "attempted") -> None:
        """Be ``typing``, ``recording``, ``online``, ``offline`` or ``pending``."""
        author = "" if self.chat.startswith(self.digits) else self.digits
        await self._phones.customer_is(self.chat, status, author=author, deliver=deliver)

    def reads(self) -> list[str]:
        """Read the daemon's messages that are still unread; return their ids."""
        ledger = self._phones.ledger
        seen = [
            str(message["id"])
            for message in ledger.chats[self.chat].messages
            if message["from_me"]
            and message["type"] != "action"
            and ledger.statuses.get(message["id"]) in {"sent", "delivered"}
        ]
        for message_id in seen:
            self._phones.set_status(message_id, "read", viewer=self.digits)
        return seen

    def file(
        self,
        medium: str,
        data: bytes,
        mime_type: str,
        *,
        file_name: str = "",
        caption: str = "",
        link: bool | None = None,
    ) -> JsonObject:
        """Keep a file (without `data` a sample) and return the content that names it.

        `link` says whether it has a link; by default as the channel is set.
        """
        upload = Upload(data or samples.first_of(medium).data, mime_type, file_name)
        content = self._media.describe(self._media.keep(upload), medium, link=link)
        if caption:
            content["caption"] = caption
        return {"type": medium, medium: content}
