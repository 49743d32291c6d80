"""Actions of the phone page, as a customer or as a human agent of the business."""

from collections.abc import Awaitable, Callable

from daemon.domain.messages import JsonObject
from daemon.domain.rendering.opus import as_ogg
from daemon.sandbox import outgoing, payloads, samples
from daemon.sandbox.asgi import Answer, Request, Upload, error_answer, json_answer
from daemon.sandbox.contacts import SimulatedContact, SimulatedPhones
from daemon.sandbox.faults import Controls
from daemon.sandbox.media import MediaFiles, ending_of

MAX_TEXT = 4096
"""Longest text the page may send, in characters; what WhatsApp's own phones allow is more."""
MAX_UPLOAD_BYTES = 16_000_000
"""Largest file the page may send; WhatsApp's own limit for pictures and films."""
_UPLOADS = frozenset({"image", "video", "audio", "voice", "document", "sticker"})
_SHOWN_AS = frozenset({"typing", "recording", "online"})


class PhoneActions:
    """The POST requests under ``/phone/``. Each is a JSON object, uploads aside."""

    def __init__(self, *, phones: SimulatedPhones, media: MediaFiles, controls: Controls) -> None:
        self._phones = phones
        self._ledger = phones.ledger
        self._media = media
        self._controls = controls
        self._by_name: dict[str, Callable[[JsonObject], Awaitable[Answer]]] = {
            "say": self._say,
            "typing": self._type,
            "send": self._send,
            "act": self._act,
            "read": self._read,
            "call": self._call,
            "control": self._control,
        }

    async def perform(self, action: str, request: Request) -> Answer:
        """Do what ``POST /phone/<action>`` asks."""
        if action == "upload":
            return await self._upload(request)
        if action not in self._by_name:
            return error_answer(404, "no such page")
        data = request.json_object() or {}
        if action not in {"control", "act"} and data.get("chat") not in self._ledger.chats:
            return error_answer(400, "unknown chat")
        return await self._by_name[action](data)

    async def _say(self, data: JsonObject) -> Answer:
        """``{"chat", "text", "as", "author", "quote"}``."""
        text = data.get("text")
        if not isinstance(text, str):
            return error_answer(400, "no text")
        if not text.strip() or len(text) > MAX_TEXT:
            return error_answer(400, f"between 1 and {MAX_TEXT} characters")
        return await self._deliver(data, payloads.text_content(text))

    async def _type(self, data: JsonObject) -> Answer:
        """``{"chat", "typing", "author"}``; ``typing`` is what they do, or whether they type."""
        shown = data.get("typing")
        status = shown if shown in _SHOWN_AS else "typing" if shown is True else "online"
        await self._contact(data).shows(str(status), deliver="queued")
        return json_answer({}, 202)

    async def _send(self, data: JsonObject) -> Answer:
        """``{"chat", "kind", …}``: a sample file (``sample``), a place, a card, a poll."""
        contact, kind = self._contact(data), data.get("kind")
        sample = samples.SAMPLES.get(str(data.get("sample")))
        if sample:
            content = self._sample(contact, sample, str(data.get("caption") or ""))
        elif kind == "location":
            content = {"type": "location", "location": samples.place()}
        elif kind == "contact":
            content = {"type": "contact", "contact": samples.card("Pedro Niño", "573007654321")}
        elif kind == "poll":
            title, options = data.get("title"), data.get("options")
            if not isinstance(title, str) or not isinstance(options, list) or len(options) < 2:
                return error_answer(400, "a poll needs a title and two options")
            poll = outgoing.poll(title, [str(option) for option in options])
            content = {"type": "poll", "poll": poll}
        else:
            return error_answer(400, "unknown kind")
        return await self._deliver(data, content)

    async def _upload(self, request: Request) -> Answer:
        """Send the request's body as a file; the rest is in the query."""
        data: JsonObject = dict(request.query)
        kind, mime_type = data.get("kind"), request.headers.get("content-type", "")
        if data.get("chat") not in self._ledger.chats or kind not in _UPLOADS:
            return error_answer(400, "unknown chat or kind")
        if not request.body or len(request.body) > MAX_UPLOAD_BYTES:
            return error_answer(413, "an empty or too large file")
        content = request.body
        if kind == "voice" and (remade := as_ogg(content)):
            content, mime_type = remade, samples.VOICE_TYPE
        name = (
            str(data.get("name") or f"{kind}.{ending_of(mime_type)}") if kind == "document" else ""
        )
        upload = Upload(content, mime_type or "application/octet-stream", name)
        described = self._media.describe(self._media.keep(upload), str(kind))
        if data.get("caption"):
            described["caption"] = str(data["caption"])[:MAX_TEXT]
        return await self._deliver(data, {"type": kind, kind: described})

    async def _act(self, data: JsonObject) -> Answer:
        """``{"id", "action", …}``: react, edit, delete, vote or tap."""
        message = self._ledger.messages.get(str(data.get("id")))
        if message is None:
            return error_answer(404, "no such message")
        message_id, contact = message["id"], self._contact({**data, "chat": message["chat_id"]})
        value = data.get("value")
        match data.get("action"):
            case "react" if isinstance(value, str):
                await self._on(data, message_id, {"type": "reaction", "emoji": value})
            case "edit" if isinstance(value, str) and value.strip():
                body = {"edited_type": "text", "edited_content": {"body": value[:MAX_TEXT]}}
                await self._on(data, message_id, {"type": "edit", **body})
            case "delete":
                await self._on(data, message_id, {"type": "delete"})
            case "vote" if isinstance(value, list) and message["type"] == "poll":
                await contact.vote(message_id, *map(str, value), deliver="queued")
            case "tap" if message["type"] == "interactive":
                try:
                    await contact.tap(message_id, str(value), deliver="queued")
                except KeyError:
                    return error_answer(400, "no such choice")
            case _:
                return error_answer(400, "unknown action")
        return json_answer({}, 202)

    async def _read(self, data: JsonObject) -> Answer:
        """``{"chat"}``: a customer looks at a chat."""
        return json_answer({"read": self._contact(data).reads()}, 202)

    async def _call(self, data: JsonObject) -> Answer:
        """``{"chat"}``: a customer calls, and nobody answers."""
        return json_answer({"id": await self._contact(data).call(deliver="queued")}, 202)

    async def _control(self, data: JsonObject) -> Answer:
        """``{"name", "on"}``: turn a switch."""
        done = self._controls.set(str(data.get("name")), on=data.get("on") is True)
        return json_answer({}, 202) if done else error_answer(409, "not available here")

    async def _deliver(self, data: JsonObject, content: JsonObject) -> Answer:
        quote = str(data.get("quote") or "")
        quote = quote if quote in self._ledger.messages else ""
        if data.get("as") == "agent":
            message_id = await self._phones.agent_sends(
                data["chat"], content, quote=quote, deliver="queued"
            )
        else:
            message_id = await self._contact(data).send(content, quote=quote, deliver="queued")
        return json_answer({"id": message_id}, 202)

    async def _on(self, data: JsonObject, message_id: str, action: JsonObject) -> None:
        """Act on a message, as the customer or as the agent."""
        if data.get("as") == "agent":
            await self._phones.agent_acts(message_id, action, deliver="queued")
        else:
            chat = self._ledger.messages[message_id]["chat_id"]
            author = self._contact({**data, "chat": chat}).digits
            made = self._phones.act(message_id, action, author=author)
            await self._phones.announce([made], deliver="queued")

    def _contact(self, data: JsonObject) -> SimulatedContact:
        chat = self._ledger.chats[data["chat"]]
        author = str(data.get("author"))
        digits = author if author in chat.members else next(iter(chat.members))
        return SimulatedContact(self._phones, self._media, digits, chat=chat.id)

    def _sample(
        self, contact: SimulatedContact, sample: samples.SampleFile, caption: str
    ) -> JsonObject:
        name = sample.name if sample.medium == "document" else ""
        content = contact.file(
            sample.medium, sample.data, sample.mime_type, file_name=name, caption=caption
        )
        if sample.medium == "video":
            preview = self._media.preview_of(sample.preview)
            content["video"] |= {"seconds": 2, "width": 160, "height": 120, "preview": preview}
        if sample.medium == "document":
            content["document"]["page_count"] = 1
        return content
