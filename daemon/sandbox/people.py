"""What people do on the simulated phones: customers who write, agents of the business who answer.

Each action is recorded in the ledger and becomes a webhook call. All of them take a chat by digits
or by chat id, and may be called by any task.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.ledger import Ledger
from daemon.sandbox.webhooks import Delivery, Postbox, Target, Until, WholeBody, plain_client

Status = Literal["pending", "sent", "delivered", "read", "played", "failed"]
"""What becomes of a message."""


class People:
    """The people round the daemon, and the webhooks that tell of them."""

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
        self.in_order = True
        """Whether the webhooks of one chat keep their order. Whapi promises none."""
        self.presences_need_subscription = True
        """Whether typing is told of subscribed contacts only, as Whapi does."""
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
        """Return a customer's new message, recorded and not yet told of.

        `content` is a text, or ``{"type": "image", "image": {…}}``. `author` (digits) is who of a
        group writes it; `quote` is the id of the message it answers.
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

    async def tell(
        self,
        messages: Sequence[JsonObject],
        *,
        presences: Sequence[JsonObject] = (),
        deliver: Until = "attempted",
    ) -> None:
        """Tell of several messages in one webhook call, and of presences in the same one."""
        parts: dict[str, Sequence[JsonObject]] = {"messages": messages}
        if presences:
            parts["presences"] = presences
        ids = tuple(message["id"] for message in messages)
        await self.post(messages[0]["chat_id"], "messages.post", parts, ids, deliver=deliver)

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
        await self.tell([message], deliver=deliver)
        return str(message["id"])

    async def customer_sends(
        self, chat: str, content: JsonObject, *, author: str = "", deliver: Until = "attempted"
    ) -> str:
        """A customer sends any message, given as its type and content; return its id.

        What `content` says of other fields (``id``, ``source`` …) wins over what would be there.
        """
        message = self.compose(chat, content, author=author, id=str(content.get("id", "")))
        await self.tell([message], deliver=deliver)
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

        Whapi tells it as an action in ``messages``, or (`as_update`) in ``messages_updates``.
        """
        old = self.ledger.messages[message_id]
        content = {"edited_type": "text", "edited_content": {"body": text}}
        action = self.act(message_id, {"type": "edit", **content})
        if not as_update:
            await self.tell([action], deliver=deliver)
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

        Whapi tells it as an action in ``messages``, or (`as_removal`) in ``messages_removed``.
        """
        old = self.ledger.messages[message_id]
        action = self.act(message_id, {"type": "delete"})
        if as_removal:
            parts = {"messages_removed": [message_id]}
            await self.post(old["chat_id"], "messages.delete", parts, (), deliver=deliver)
        else:
            await self.tell([action], deliver=deliver)

    async def customer_reacts(
        self, message_id: str, emoji: str, *, deliver: Until = "attempted"
    ) -> None:
        """A customer puts an emoji on a message; an empty one takes it back."""
        action = self.act(message_id, {"type": "reaction", "emoji": emoji})
        await self.tell([action], deliver=deliver)

    async def agent_says(
        self, chat: str, text: str, *, source: str = "mobile", deliver: Until = "attempted"
    ) -> str:
        """A human of the business writes from its phone (or ``web``); return the message's id."""
        content = payloads.text_content(text)
        return await self.agent_sends(chat, content, source=source, deliver=deliver)

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
        await self.tell([message], deliver=deliver)
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
        told: bool = True,
    ) -> None:
        """Let a message get as far as `status`, and tell of it unless `told` is False."""
        message = self.ledger.messages[message_id]
        self.ledger.add_status(message_id, status)
        if told:
            at = self._now()
            update = payloads.status_update(message, status, at, error=error, viewer=viewer)
            self.queue(message["chat_id"], "statuses.post", {"statuses": [update]})

    async def redeliver(self, message_id: str, *, deliver: Until = "attempted") -> None:
        """Tell of a message once more, as Whapi does when a 200 got lost."""
        await self.tell([self.ledger.messages[message_id]], deliver=deliver)

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
    ) -> list[Delivery]:
        """Queue a webhook call about a chat, one for each target that wants it; return them.

        `lane` puts it in a line of its own, past calls of the chat that still wait.
        """
        payload = payloads.webhook_payload(event, parts)
        # Beyond UTF-8 proper: a test may send a lone surrogate, as some phones do.
        body = json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass")
        made = [
            Delivery(target, event, payload, body, message_ids)
            for target in self.targets()
            if not target.events or event in target.events
        ]
        for number, delivery in enumerate(made):
            line = chat if self.in_order else f"{chat} {len(self.postbox.deliveries)}"
            self.postbox.put(f"{lane or line} {number}", delivery)
        return made

    async def customer_is(
        self, chat: str, status: str, *, author: str = "", deliver: Until = "attempted"
    ) -> None:
        """A contact is ``typing``, ``recording``, ``online``, ``offline`` or ``pending``.

        In a group it is told of `author` (digits), without the group.
        """
        chat_id = payloads.chat_id_of(chat)
        digits = author or payloads.digits_of(chat_id)
        self.ledger.chat(chat_id).contact_presence = status
        if self.presences_need_subscription and digits not in self.ledger.subscriptions:
            return
        parts = {"presences": [{"contact_id": digits, "status": status}]}
        await self.post(chat_id, "presences.post", parts, deliver=deliver)

    def act(self, target_id: str, action: JsonObject, *, author: str = "") -> JsonObject:
        """Return a customer's new action on a message, recorded and not yet told of."""
        target = self.ledger.messages[target_id]
        content: JsonObject = {"type": "action", "action": {"target": target_id, **action}}
        name = ""
        if not author and not target["from_me"]:
            author, name = target["from"], target.get("from_name", "")
        return self.compose(target["chat_id"], content, name=name, author=author)
