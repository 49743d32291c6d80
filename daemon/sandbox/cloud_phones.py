"""The phones of customers of a number of the Cloud API, as the phone page shows them.

The page knows messages in Whapi's shape. Here they are translated: what is typed into the page goes
out as Meta's webhooks, and what the daemon sends by Meta's API is shown.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from daemon.domain.messages import JsonObject
from daemon.domain.rendering.vcards import read_card, written_card
from daemon.sandbox import payloads
from daemon.sandbox.asgi import Receive, Request, Send, Upload, follow_lifespan, read_request
from daemon.sandbox.channel import Channel
from daemon.sandbox.cloud_api import WINDOW_SECONDS, CloudSend, SimulatedCloud
from daemon.sandbox.cloud_sends import text_of
from daemon.sandbox.contacts import SimulatedPhones, Status
from daemon.sandbox.faults import Controls
from daemon.sandbox.ledger import Ledger
from daemon.sandbox.media import MediaFiles
from daemon.sandbox.outgoing import MEDIA_KINDS
from daemon.sandbox.phone import Contact, Phone
from daemon.sandbox.webhooks import Until
from daemon.sandbox.whapi_api import Directory

NAMELESS = "CO.13491208655302741918@bsuid"
CLOUD_CONTACTS = (
    Contact("573001234567", "Laura Gómez"),
    Contact("573005550188", "Emma Carter"),
    Contact(NAMELESS, "Valentina"),
)
"""The invented people of the number; the last one shows a username in place of her number."""

_UNSUPPORTED = ("unsupported", {"type": "poll_creation"})


class CloudPhones(SimulatedPhones):
    """The phones of customers and of the business; what they do goes through the Cloud API."""

    def __init__(
        self,
        cloud: SimulatedCloud,
        *,
        now: Callable[[], float],
        rng: random.Random,
        contacts: Sequence[Contact] = CLOUD_CONTACTS,
    ) -> None:
        super().__init__(ledger=Ledger(), postbox=cloud.postbox, targets=list, now=now, rng=rng)
        self.cloud = cloud
        self._media = MediaFiles(
            ledger=self.ledger, rng=rng, now=now, has_link=lambda _medium: False
        )
        self.controls = Controls(journal=self.ledger.journal)
        self.phone = Phone(
            phones=self,
            media=self._media,
            controls=self.controls,
            directory=Directory(ledger=self.ledger, labels=[], announce=_told_to_nobody),
            channel=Channel(journal=self.ledger.journal, now=now, announce=_told_to_nobody),
            contacts=contacts,
            rng=rng,
        )
        for contact in contacts:
            cloud.contact(payloads.chat_id_of(contact.chat)).name = contact.name
        cloud.on_delivered = self._show
        cloud.on_acknowledged = self.ledger.add_acknowledged
        cloud.on_read = self._note_read
        self._add_switches()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make the webhook calls. Runs until cancelled; ends the pages' event streams then."""
        try:
            await self.cloud.run(task_status=task_status)
        finally:
            self.phone.close()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request: of the phone page, or of the API."""
        path = str(scope.get("path", ""))
        if scope["type"] == "lifespan":
            await follow_lifespan(receive, send)
        elif path == "/phone" or path.startswith("/phone/"):
            request: Request = await read_request(scope, receive)
            await self.phone.serve(request, receive, send)
        else:
            await self.cloud(scope, receive, send)

    # -- from the page ---------------------------------------------------------------------------

    async def announce(
        self,
        messages: Sequence[JsonObject],
        *,
        presences: Sequence[JsonObject] = (),  # noqa: ARG002 - Meta says nothing of them
        deliver: Until = "attempted",
    ) -> None:
        """Tell the daemon of messages that are in the ledger already."""
        wait = deliver != "queued"
        for message in messages:
            kind, content = self._to_meta(message)
            chat, message_id = message["chat_id"], message["id"]
            if message["from_me"]:
                await self.cloud.agent_sends(chat, kind, content, wait=wait, message_id=message_id)
                continue
            fields: JsonObject = {"id": message_id}
            if quoted := (message.get("context") or {}).get("quoted_id"):
                fields["context"] = {"id": quoted, "from": payloads.OWN_NUMBER}
            if kind == "unsupported":
                fields["errors"] = [{"code": 131051, "title": "Message type unknown"}]
            await self.cloud.customer_sends(chat, kind, content, wait=wait, **fields)

    def set_status(
        self,
        message_id: str,
        status: Status,
        *,
        error: str = "",  # noqa: ARG002
        viewer: str = "",  # noqa: ARG002
        announced: bool = True,  # noqa: ARG002
    ) -> None:
        """Let a message get as far as ``status``; Meta tells of what was read."""
        self.ledger.add_status(message_id, status)
        if status == "read":
            self.cloud.customer_reads(message_id)

    def _to_meta(self, message: JsonObject) -> tuple[str, Any]:
        """The type and content of a message of the page, as Meta has them."""
        kind, content = message["type"], message.get(message["type"]) or {}
        if kind in {"text", "link_preview"}:
            return "text", {"body": content["body"]}
        if kind in MEDIA_KINDS:
            return self._file(kind, content)
        if kind == "location":
            return kind, content
        if kind == "contact":
            return "contacts", [_card(content)]
        if kind == "action":
            return _change(content)
        if kind == "reply":
            _, reply = next((k, v) for k, v in content.items() if k != "type")
            choice = {**reply, "id": str(reply["id"]).partition(":")[2]}
            named = "list_reply" if content["type"] == "list_reply" else "button_reply"
            return "interactive", {"type": named, named: choice}
        return _UNSUPPORTED

    def _file(self, kind: str, content: JsonObject) -> tuple[str, JsonObject]:
        stored = self.ledger.media[content["id"]]
        media_id = self.cloud.keep(Upload(stored.data, stored.mime_type, stored.file_name))
        fields: JsonObject = {"id": media_id, "mime_type": stored.mime_type}
        if content.get("caption"):
            fields["caption"] = content["caption"]
        if kind in {"voice", "audio"}:
            return "audio", {**fields, "voice": kind == "voice"}
        if kind == "document":
            return kind, {**fields, "filename": stored.file_name}
        return {"gif": "video", "short": "video"}.get(kind, kind), fields

    # -- from the daemon -------------------------------------------------------------------------

    def _show(self, sent: CloudSend) -> None:
        """Show a message that the customer has got."""
        content = self._to_page(sent)
        if content is None:
            return
        message = payloads.own_message(
            content, message_id=sent.id, chat=sent.chat, at=self._now(), source="api"
        )
        quoted = (sent.content.get("context") or {}).get("message_id", "")
        if quoted in self.ledger.messages:
            message["context"] = payloads.quote_context(self.ledger.messages[quoted])
        self.ledger.add_send(message, sent.content, self._now())
        self.ledger.add_status(sent.id, "delivered")

    def _to_page(self, sent: CloudSend) -> JsonObject | None:
        kind, part = sent.kind, sent.content[sent.kind]
        if kind in {"text", "template"}:
            return payloads.text_content(self._words(sent) if kind == "template" else part["body"])
        if kind in {"image", "audio", "document", "video", "sticker"}:
            return self._shown_file("voice" if part.get("voice") else kind, part)
        if kind == "location":
            return {"type": kind, kind: part}
        if kind == "contacts":
            person = part[0]
            numbers = [one["phone"] for one in person.get("phones", [])]
            name = person["name"]["formatted_name"]
            card = written_card(name, next(iter(numbers), ""))
            return {"type": "contact", "contact": {"name": name, "vcard": card}}
        if kind == "reaction":
            target = {"target": part["message_id"], "type": "reaction", "emoji": part["emoji"]}
            return {"type": "action", "action": target}
        return {"type": "interactive", "interactive": _menu(part)}

    def _words(self, sent: CloudSend) -> str:
        """What a customer reads of a template."""
        part = sent.content["template"]
        known = [one for one in self.cloud.templates if one["name"] == part["name"]]
        texts = {
            one["type"]: one.get("text", "") for one in (known[0]["components"] if known else ())
        }
        words = texts.get("BODY") or f"[{text_of(sent.content)}]"
        given = [one for one in part.get("components", ()) if one["type"] == "body"]
        for number, parameter in enumerate(given[0]["parameters"] if given else (), 1):
            place = parameter.get("parameter_name", number)
            words = words.replace(f"{{{{{place}}}}}", parameter["text"])
        return words

    def _shown_file(self, kind: str, part: JsonObject) -> JsonObject:
        upload = self.cloud.file(str(part.get("id", "")))
        if upload is None:
            described = self._media.stand_in(str(part.get("link", "")))
        else:
            named = Upload(upload.data, upload.mime_type, str(part.get("filename", "")))
            described = self._media.describe(self._media.keep(named), kind)
        if part.get("caption"):
            described["caption"] = part["caption"]
        return {"type": kind, kind: described}

    def _note_read(self, message_id: str) -> None:
        message = self.ledger.messages.get(message_id)
        if message is not None:
            self.ledger.read.add(message_id)
            self.ledger.add_status(message_id, "read")
            self.ledger.show_presence(message["chat_id"], "typing")

    # -- what may go wrong -----------------------------------------------------------------------

    def _add_switches(self) -> None:
        cloud = self.cloud

        def fault(**how: Any) -> Callable[[bool], None]:
            return lambda on: cloud.faults.add(**how, times=-1) if on else cloud.faults.clear(**how)

        def expire(on: bool) -> None:  # noqa: FBT001 - a switch's position
            cloud.token_is_good = not on

        def shut(on: bool) -> None:  # noqa: FBT001 - a switch's position
            cloud.window_seconds = 0 if on else WINDOW_SECONDS

        self.controls.add("cloud_down", fault(operation="send", kind="code", code=131000))
        self.controls.add("answer_lost", fault(operation="send", kind="drop_after"))
        self.controls.add("not_delivered", fault(operation="delivery", kind="failed", code=131026))
        self.controls.add("cloud_token", expire)
        self.controls.add("window_shut", shut)


def _told_to_nobody(_lane: str, _event: str, _parts: Mapping[str, Any]) -> None:
    """Only Whapi tells of what chats and channels are."""


def _card(content: JsonObject) -> JsonObject:
    card = read_card(str(content.get("vcard", "")))
    return {
        "name": {"formatted_name": content.get("name") or card.name},
        "phones": [{"phone": number, "type": "CELL"} for number in card.numbers],
    }


def _change(action: JsonObject) -> tuple[str, JsonObject]:
    target = action["target"]
    if action["type"] == "edit":
        inner = {"type": "text", "text": action["edited_content"]}
        return "edit", {"original_message_id": target, "message": inner}
    if action["type"] == "delete":
        return "revoke", {"original_message_id": target}
    return "reaction", {"message_id": target, "emoji": action.get("emoji", "")}


def _menu(part: JsonObject) -> JsonObject:
    """Buttons or a list, as the page draws them."""
    action = part["action"]
    around: JsonObject = {name: part[name] for name in ("header", "footer") if name in part}
    if part["type"] == "button":
        buttons = [{"type": "quick_reply", **button["reply"]} for button in action["buttons"]]
        return {**around, "body": part["body"], "type": "button", "action": {"buttons": buttons}}
    menu = {"label": action["button"], "sections": action["sections"]}
    return {**around, "body": part["body"], "type": "list", "action": {"list": menu}}
