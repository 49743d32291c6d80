"""A simulated Cloud API: it takes what Meta takes, refuses what Meta refuses, and signs its calls.

As Meta's, it answers many sends with a 200 and says later, by a status, that they failed; and it
takes a user id in place of a phone number, and delivers that nowhere.
"""

import hashlib
import hmac
import json
import random
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import trio

from daemon.domain.ids import phone_digits, scoped_id
from daemon.sandbox.asgi import (
    Answer,
    ClientGone,
    Receive,
    Request,
    Send,
    Upload,
    cut_connection,
    follow_lifespan,
    json_answer,
    read_form,
    read_request,
    send_answer,
)
from daemon.sandbox.cloud_sends import Refused, check_send, check_template, text_of
from daemon.sandbox.ledger import Journal
from daemon.sandbox.webhooks import Postbox, Target, WebhookPost

OWN_NUMBER = "573007654321"
ACCOUNT_ID = "102290129340398"
WINDOW_SECONDS = 24 * 3600
PAIR_SECONDS = 6
PAIR_BURST = 45

_BSUID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")


class CloudSend(NamedTuple):
    """A message that a customer got."""

    id: str
    chat: str
    kind: str
    text: str
    content: dict[str, Any]


class CloudCall(NamedTuple):
    """A request, by its operation (``send``, ``read``, ``upload``, ``media``, ``health``)."""

    operation: str
    content: Any
    status: int


@dataclass
class CloudContact:
    """A contact of the number."""

    phone: str = ""
    scoped: str = ""
    name: str = "Laura"
    written_at: float = 0
    sends: deque[float] = field(default_factory=deque)


@dataclass
class CloudFault:
    """A fault of an operation's calls."""

    operation: str
    kind: Literal["code", "drop_after", "failed"]
    status: int = 400
    code: int = 131000
    retry_after: str = ""
    times: int = 1


class CloudFaults:
    """The faults still to happen."""

    def __init__(self) -> None:
        self._faults: list[CloudFault] = []

    def add(self, **how: Any) -> None:
        """Script a fault for the next call of an operation, or for ``times``; -1: for all."""
        self._faults.append(CloudFault(**how))

    def clear(self, *, operation: str, kind: str, **_how: Any) -> None:
        """Let the calls of an operation go well again."""
        self._faults = [f for f in self._faults if (f.operation, f.kind) != (operation, kind)]

    def take(self, operation: str) -> CloudFault | None:
        """The fault that a call meets."""
        for fault in self._faults:
            if fault.operation == operation and fault.times:
                fault.times -= fault.times > 0
                return fault
        return None


class SimulatedCloud:
    """The ASGI app of the API, and the phones at its other end."""

    def __init__(
        self,
        *,
        token: str,
        app_secret: str,
        phone_number_id: str,
        now: Callable[[], float] = time.time,
        rng: random.Random,
        backoff_seconds: float = 0.01,
    ) -> None:
        self.token, self.app_secret, self.phone_number_id = token, app_secret, phone_number_id
        self.now = now
        self.faults = CloudFaults()
        self.token_is_good = True
        self.status = "CONNECTED"
        self.pair_burst: float = PAIR_BURST
        """The most messages to one customer at once; in the long run one each `PAIR_SECONDS`."""
        self.window_seconds: float = WINDOW_SECONDS
        """For how long after a customer's message anything is delivered."""
        self.webhook_shown = ""
        """Where Meta reports that the webhooks go."""
        self.status_before_answer = False
        """Whether the statuses of a send come before its answer."""
        self.sends_statuses = True
        self.free_messages: int | None = None
        """How many more answers are free; None: statuses have no prices."""
        self.templates: list[dict[str, Any]] = []
        """Those of the account, as Meta lists them. Without any, none is checked."""
        self.templates_per_page = 2
        self.copies = 1
        """How often each webhook call is made."""
        self.webhook_url = ""
        self.on_delivered: Callable[[CloudSend], object] = _nothing
        """Called with each message that a customer gets."""
        self.on_acknowledged: Callable[[tuple[str, ...]], object] = _nothing
        """Called with the ids of customers' messages whose webhook got its 200."""
        self.on_read: Callable[[str], object] = _nothing
        """Called with the id of each message of a customer's that we have read."""
        self.journal = Journal()
        self.made: list[CloudCall] = []
        self.delivered: list[CloudSend] = []
        """The messages that customers got."""
        self._contacts: dict[str, CloudContact] = {}
        self.inbound: dict[str, str] = {}
        """The chat of each customer's message."""
        self._files: dict[str, Upload] = {}
        self._rng = rng
        self._base_url = ""
        self.postbox = Postbox(
            now=now,
            backoff_seconds=backoff_seconds,
            max_backoff_seconds=1,
            timeout_seconds=30,
            report=self._note_attempt,
        )

    def set_base_url(self, url: str) -> None:
        """Set the address of the app itself, for the links of files."""
        self._base_url = url

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make the webhook calls. Runs until cancelled."""
        await self.postbox.run(task_status=task_status)

    # -- contacts ------------------------------------------------------------------------------

    def contact(self, chat: str) -> CloudContact:
        """The contact of a chat id, of either kind."""
        if chat not in self._contacts:
            digits, scoped = phone_digits(chat), scoped_id(chat)
            self._contacts[chat] = CloudContact(phone=digits, scoped=scoped or f"CO.9{digits}")
        return self._contacts[chat]

    async def customer_sends(
        self, chat: str, kind: str, content: Any, *, wait: bool = True, **fields: Any
    ) -> str:
        """Let a customer send a message of any type; ``fields`` are further ones of it."""
        contact, message_id = self.contact(chat), str(fields.pop("id", "")) or self._new_id()
        contact.written_at = self.now()
        self.inbound[message_id] = chat
        ids = {"from": contact.phone} if contact.phone else {}
        message = {
            "id": message_id,
            **ids,
            "from_user_id": contact.scoped,
            "timestamp": str(int(self.now())),
            "type": kind,
            kind: content,
            **fields,
        }
        phone = {"wa_id": contact.phone} if contact.phone else {}
        described = {"profile": {"name": contact.name}, "user_id": contact.scoped, **phone}
        value = {"contacts": [described], "messages": [message]}
        await self.call_webhook("messages", value, chat, wait=wait)
        return message_id

    async def agent_sends(
        self, chat: str, kind: str, content: Any, *, wait: bool = True, message_id: str = ""
    ) -> str:
        """Let an agent send a message of any type from the Business app."""
        contact, message_id = self.contact(chat), message_id or self._new_id()
        ids = {"to": contact.phone} if contact.phone else {}
        echo = {
            "from": OWN_NUMBER,
            **ids,
            "to_user_id": contact.scoped,
            "id": message_id,
            "timestamp": str(int(self.now())),
            "type": kind,
            kind: content,
        }
        await self.call_webhook("smb_message_echoes", {"message_echoes": [echo]}, chat, wait=wait)
        return message_id

    def customer_reads(self, message_id: str) -> None:
        """Let a customer read a message of ours."""
        status = {"id": message_id, "status": "read", "timestamp": str(int(self.now()))}
        list(self._queue("messages", {"statuses": [status]}, f"status {message_id}"))

    # -- webhooks ------------------------------------------------------------------------------

    def _note_attempt(self, delivery: WebhookPost) -> None:
        if delivery.acknowledged.is_set():
            self.on_acknowledged(delivery.message_ids)
        self.journal.write("webhook", {})

    async def call_webhook(
        self, field: str, value: dict[str, Any], lane: str = "", *, wait: bool = True
    ) -> None:
        """Make a webhook call about anything; ends when it got its 200, if it is to wait."""
        for delivery in self._queue(field, value, lane or field):
            if wait:
                await delivery.wait("acknowledged")

    def _queue(self, field: str, value: dict[str, Any], lane: str) -> Iterator[WebhookPost]:
        metadata = {
            "display_phone_number": OWN_NUMBER,
            "phone_number_id": self.phone_number_id,
        }
        whole = {"messaging_product": "whatsapp", "metadata": metadata, **value}
        entry = {"id": ACCOUNT_ID, "changes": [{"field": field, "value": whole}]}
        payload = {"object": "whatsapp_business_account", "entry": [entry]}
        body = json.dumps(payload).encode()
        signature = hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()
        target = Target(self.webhook_url, headers={"x-hub-signature-256": f"sha256={signature}"})
        ids = tuple(str(message["id"]) for message in value.get("messages", ()) if "id" in message)
        for _ in range(self.copies):
            delivery = WebhookPost(target, "", payload, body, ids)
            self.postbox.put(lane, delivery)
            yield delivery

    async def _send_statuses(self, sent: CloudSend, failure: int, *, wait: bool) -> None:
        words = ["failed"] if failure else ["sent", "delivered"]
        pricing = self._pricing(sent)
        tag = sent.content.get("biz_opaque_callback_data")
        for word in words if self.sends_statuses else ():
            status: dict[str, Any] = {
                "id": sent.id,
                "status": word,
                "timestamp": str(int(self.now())),
                **({"biz_opaque_callback_data": tag} if tag else {}),
                **({"pricing": pricing} if pricing and word == "sent" else {}),
            }
            if failure:
                status["errors"] = [{"code": failure, "title": "failed"}]
            lane = f"status {sent.id}"
            await self.call_webhook("messages", {"statuses": [status]}, lane, wait=wait)

    def _pricing(self, sent: CloudSend) -> dict[str, Any]:
        """As what a message is charged: once a message, and a part of them for nothing."""
        if self.free_messages is None:
            return {}
        name = sent.content.get("template", {}).get("name")
        known = [t["category"].lower() for t in self.templates if t["name"] == name]
        category = known[0] if known else "utility" if name else "service"
        self.free_messages -= category == "service"
        is_free = category == "service" and self.free_messages >= 0
        kind = "free_customer_service" if is_free else "regular"
        return {
            "billable": not is_free,
            "pricing_model": "PMP",
            "type": kind,
            "category": category,
        }

    # -- the API -------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] == "lifespan":
            await follow_lifespan(receive, send)
            return
        try:
            request = await read_request(scope, receive)
        except ClientGone:
            return
        operation, act = self._route(request)
        fault = self.faults.take(operation)
        try:
            self._authorise(request, fault)
            answer = await act(request)
        except Refused as refused:
            answer = _error(refused)
        if fault and fault.retry_after:
            answer = Answer(answer.status, answer.body, headers={"retry-after": fault.retry_after})
        self.made.append(CloudCall(operation, request.json_object(), answer.status))
        self.journal.write("call", {"operation": operation})
        if fault and fault.kind == "drop_after":
            await cut_connection(send)
            return
        await send_answer(send, answer)

    def _route(self, request: Request) -> tuple[str, Callable[[Request], Any]]:
        own = f"/{self.phone_number_id}"
        if request.method == "POST" and request.path == f"{own}/messages":
            is_receipt = (request.json_object() or {}).get("status") == "read"
            return ("read", self._read) if is_receipt else ("send", self._send)
        if request.method == "POST" and request.path == f"{own}/media":
            return "upload", self._upload
        if request.method == "GET" and request.path == f"/{ACCOUNT_ID}/message_templates":
            return "templates", self._list_templates
        if request.method == "GET" and request.path == own:
            return "health", self._health
        if request.method == "GET" and request.path.startswith("/files/"):
            return "file", self._file
        return "media", self._media

    def _authorise(self, request: Request, fault: CloudFault | None) -> None:
        is_known = request.headers.get("authorization") == f"Bearer {self.token}"
        if not is_known or not self.token_is_good:
            raise Refused(190, "Error validating access token", 401)
        if fault and fault.kind == "code":
            raise Refused(fault.code, "scripted", fault.status)

    async def _health(self, request: Request) -> Answer:
        if request.query.get("fields") == "webhook_configuration":
            shown = {"application": self.webhook_shown} if self.webhook_shown else {}
            return json_answer({"webhook_configuration": shown, "id": self.phone_number_id})
        return json_answer(
            {
                "id": self.phone_number_id,
                "display_phone_number": f"+{OWN_NUMBER}",
                "verified_name": "Hotel",
                "status": self.status,
                "quality_rating": "GREEN",
            }
        )

    async def _list_templates(self, request: Request) -> Answer:
        begin = int(request.query.get("after", 0))
        end = begin + self.templates_per_page
        more = {"next": "https://…"} if end < len(self.templates) else {}
        paging = {"cursors": {"before": str(begin), "after": str(end)}, **more}
        return json_answer({"data": self.templates[begin:end], "paging": paging})

    async def _read(self, request: Request) -> Answer:
        content = request.json_object() or {}
        if content.get("message_id") not in self.inbound:
            raise Refused(100, "Invalid parameter: message_id")
        self.on_read(str(content["message_id"]))
        typing = content.get("typing_indicator")
        if typing not in (None, {"type": "text"}):
            raise Refused(100, "Invalid parameter: typing_indicator")
        return json_answer({"success": True})

    async def _upload(self, request: Request) -> Answer:
        form = read_form(request.body, request.headers.get("content-type", ""))
        file = form.get("file")
        if form.get("messaging_product") != "whatsapp" or not isinstance(file, Upload):
            raise Refused(100, "(#100) The parameter messaging_product is required.")
        if form.get("type") != file.mime_type:
            raise Refused(131053, "the type is not that of the file")
        return json_answer({"id": self.keep(file)})

    async def _media(self, request: Request) -> Answer:
        media_id = request.path.strip("/")
        if media_id not in self._files:
            raise Refused(100, "Unsupported get request. Object does not exist", 404)
        file = self._files[media_id]
        address = f"{self._base_url}/files/{media_id}"
        size = len(file.data)
        return json_answer({"url": address, "mime_type": file.mime_type, "file_size": size})

    async def _file(self, request: Request) -> Answer:
        file = self._files.get(request.path.removeprefix("/files/"))
        if file is None:
            raise Refused(100, "gone", 404)
        return Answer(200, file.data, file.mime_type)

    async def _send(self, request: Request) -> Answer:
        content = request.json_object() or {}
        check_send(content, self._files)
        if content["type"] == "template" and self.templates:
            check_template(content["template"], self.templates)
        chat = self._recipient(content)
        message_id = self._new_id()
        kind = str(content["type"])
        sent = CloudSend(message_id, chat, kind, text_of(content), content)
        failure = self._failure_of(chat, kind)
        if chat and not failure:
            self.delivered.append(sent)
            self.on_delivered(sent)
        if chat:
            await self._send_statuses(sent, failure, wait=self.status_before_answer)
        named = content.get("to") or content.get("recipient")
        answer = {"messaging_product": "whatsapp", "contacts": [{"input": named}]}
        return json_answer({**answer, "messages": [{"id": message_id}]})

    def _recipient(self, content: dict[str, Any]) -> str:
        """The chat that a message goes to; empty: nowhere. Raises Refused."""
        if (bsuid := content.get("recipient")) and not content.get("to"):
            if not _BSUID.fullmatch(bsuid):
                raise Refused(131009, "recipient is no user id")
            chat = next((c for c, p in self._contacts.items() if p.scoped == bsuid), "")
            if not chat:
                raise Refused(137000, "unknown user id")
        else:
            digits = str(content.get("to", ""))
            if not digits.isdigit():
                return ""  # accepted, and never delivered
            chat = f"{digits}@s.whatsapp.net"
        contact = self.contact(chat)
        now = self.now()
        while contact.sends and contact.sends[0] < now - PAIR_BURST * PAIR_SECONDS:
            contact.sends.popleft()
        if len(contact.sends) >= self.pair_burst:
            raise Refused(131056, "pair rate limit")
        contact.sends.append(now)
        return chat

    def _failure_of(self, chat: str, kind: str) -> int:
        if fault := self.faults.take("delivery"):
            return fault.code
        is_shut = (
            chat
            and kind != "template"
            and self.contact(chat).written_at < self.now() - self.window_seconds
        )
        return 131047 if is_shut else 0

    def file(self, media_id: str) -> Upload | None:
        """A file, by its id."""
        return self._files.get(media_id)

    def keep(self, file: Upload) -> str:
        """Keep a file; gives its id."""
        media_id = str(self._rng.getrandbits(50))
        self._files[media_id] = file
        return media_id

    def _new_id(self) -> str:
        return f"wamid.{self._rng.getrandbits(96):024X}"


def _nothing(_what: object) -> None:
    """Nobody looks."""


def _error(refused: Refused) -> Answer:
    error = {
        "message": f"(#{refused.code}) for 573001234567",
        "type": "OAuthException",
        "code": refused.code,
        "error_data": {"messaging_product": "whatsapp", "details": str(refused)},
        "fbtrace_id": "A1",
    }
    return json_answer({"error": error}, refused.status)
