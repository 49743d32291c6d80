"""Routes of what is sent: messages at once, reminders later."""

from functools import partial
from mimetypes import guess_type

from daemon.domain.ids import chat_id
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.rendering.outgoing import media_part
from daemon.http.api.callers import Caller
from daemon.http.api.chat_routes import key_of
from daemon.http.api.problems import ApiProblem
from daemon.http.api.routes import ApiRoutes
from daemon.http.api.types import (
    AcceptedMessage,
    ApprovedTemplate,
    EmojiToSend,
    FileToSend,
    FileUpload,
    FirstMessage,
    Ref,
    ReminderAdded,
    ReminderList,
    ReminderToAdd,
    RowId,
    TemplateList,
    TemplateToSend,
    TextToSend,
    WaitingReminder,
    made_of,
)
from daemon.ops.operations import Operations

ToSend = TextToSend | TemplateToSend | FileToSend

UNNAMED = "Agent"
"""Who writes with the admin token, or with its session, and gives no name."""

OPTED_OUT = "the contact has opted out of unrequested messages"


def add_sending(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes that send."""

    @api.add(
        "POST", "/chats/{ref}/messages", action="send", tag="sending", status=202, faults=(409,)
    )
    async def send_message(ref: Ref, body: ToSend, caller: Caller, action: str) -> AcceptedMessage:
        """Send a message in a chat, as an agent: the bot keeps out for the configured time.

        It is stored when this is answered, and sent within moments; `GET` of the message says what
        has become of it.
        """
        key = await key_of(operations, ref)
        return await _send(operations, key, body, caller, action)

    @api.add("POST", "/messages", action="send", tag="sending", status=202, faults=(404, 409))
    async def send_first_message(
        body: FirstMessage, caller: Caller, action: str
    ) -> AcceptedMessage:
        """Send a message to a phone number, also to one that has never written."""
        number = body.number or operations.numbers.first.name
        if operations.numbers.get(number) is None:
            raise ApiProblem(404, "there is no such number of ours")
        if not body.number and len(operations.numbers) > 1:
            raise ApiProblem(409, "say by which number: there are several")
        key = ChatKey(number, chat_id(body.to))
        await _not_opted_out(operations, key)
        return await _send(operations, key, body.message, caller, action)

    @api.add("POST", "/chats/{ref}/files", action="send", tag="sending", status=202, faults=(409,))
    async def send_file(
        ref: Ref, query: FileUpload, body: bytes, caller: Caller, action: str
    ) -> AcceptedMessage:
        """Send the body of the request as a file: a picture, a voice note, or a document.

        The ending of its name says which; a browser's recording (Opus in WebM) has `.weba`.
        """
        key = await key_of(operations, ref)
        known = await _may_write(operations, key, caller)
        if not body:
            raise ApiProblem(422, "the body is empty")
        row = await operations.send_file(
            key,
            body,
            name=query.name,
            mime_type=guess_type(query.name)[0] or "application/octet-stream",
            caption=query.caption.strip(),
            agent=_agent(caller, query),
            action=action,
            by=caller.actor,
        )
        return await _accepted(operations, key, row, known)

    @api.add(
        "POST", "/chats/{ref}/messages/{id}/reaction", action="send", tag="sending", faults=(409,)
    )
    async def react(ref: Ref, id: str, body: EmojiToSend, caller: Caller, action: str) -> None:  # noqa: A002 - its name in the path
        """React to a message of a chat; it takes nothing over."""
        key = await key_of(operations, ref)
        target = await _whatsapp_id(operations, key, id)
        fault = await operations.react(key, target, body.emoji, action=action, by=caller.actor)
        if fault:
            raise ApiProblem(409, fault)

    @api.add("GET", "/chats/{ref}/templates", action="read", tag="sending")
    async def list_templates(ref: Ref) -> TemplateList:
        """List the templates that may be sent in a chat."""
        found = await operations.views.templates(await key_of(operations, ref))
        return TemplateList(templates=[ApprovedTemplate(**one) for one in found])


async def _send(
    operations: Operations, key: ChatKey, message: ToSend, caller: Caller, action: str
) -> AcceptedMessage:
    known = await _may_write(operations, key, caller)
    send = partial(
        operations.send, key, agent=_agent(caller, message), action=action, by=caller.actor
    )
    try:
        match message:
            case TextToSend(text=text):
                quoted = await _whatsapp_id(operations, key, message.quote)
                row = await send(text.strip(), quoted=quoted)
            case FileToSend():
                quoted = await _whatsapp_id(operations, key, message.quote)
                part = media_part(
                    message.kind, message.url, message.caption, filename=message.filename
                )
                row = await send(part.body, payload=part.payload, kind=part.kind, quoted=quoted)
            case _:
                row, fault = await operations.send_template(
                    key,
                    message.template,
                    message.parameters,
                    language=message.language,
                    agent=_agent(caller, message),
                    action=action,
                    by=caller.actor,
                )
                if fault:
                    raise ApiProblem(409, fault)
    except ValueError as error:
        raise ApiProblem(409, str(error)) from None
    return await _accepted(operations, key, row, known)


async def _may_write(operations: Operations, key: ChatKey, caller: Caller) -> JsonObject | None:
    """The chat, None if it is new. Raises ApiProblem if the contact wants no messages.

    A person at the dashboard sees that, and may still answer them.
    """
    if caller.at_dashboard:
        return await operations.views.chat(key)
    return await _not_opted_out(operations, key)


async def _not_opted_out(operations: Operations, key: ChatKey) -> JsonObject | None:
    known = await operations.views.chat(key)
    if known and known["opted_out_at"]:
        raise ApiProblem(409, OPTED_OUT)
    return known


async def _accepted(
    operations: Operations, key: ChatKey, row: int, known: JsonObject | None
) -> AcceptedMessage:
    chat = known or await operations.views.chat(key)
    return AcceptedMessage(id=f"out-{row}", chat=str(chat["ref"]) if chat else "")


def _agent(caller: Caller, message: ToSend | FileUpload) -> str:
    """The name that is shown for who writes; a message without any would count as the bot's."""
    return caller.account or " ".join(message.agent.split()) or caller.name or UNNAMED


async def _whatsapp_id(operations: Operations, key: ChatKey, name: str) -> str:
    """WhatsApp's id of a message of a chat, by its name here; empty for no name."""
    if not name:
        return ""
    bubble = await operations.views.bubble(key, name)
    if bubble is None or not bubble["message_id"]:
        raise ApiProblem(409, "there is no such message in this chat, or it is not sent yet")
    return str(bubble["message_id"])


def add_reminder_routes(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes of reminders."""

    @api.add("GET", "/chats/{ref}/reminders", action="read", tag="reminders")
    async def list_reminders(ref: Ref) -> ReminderList:
        """List the reminders and follow-ups of a chat that are still to be sent."""
        found = await operations.views.reminders(await key_of(operations, ref))
        return ReminderList(reminders=[made_of(WaitingReminder, one) for one in found])

    @api.add(
        "POST",
        "/chats/{ref}/reminders",
        action="remind",
        tag="reminders",
        status=201,
        faults=(409,),
    )
    async def add_reminder(
        ref: Ref, body: ReminderToAdd, caller: Caller, action: str
    ) -> ReminderAdded:
        """Have a text sent in a chat at a time."""
        key = await key_of(operations, ref)
        number, fault = await operations.remind(
            key,
            body.when,
            body.text.strip(),
            cancel_on=body.cancel_on,
            is_note=body.is_note,
            action=action,
            by=caller.actor,
        )
        if fault:
            raise ApiProblem(409, fault)
        return ReminderAdded(id=number)

    @api.add("DELETE", "/chats/{ref}/reminders/{id}", action="cancel reminder", tag="reminders")
    async def cancel_reminder(ref: Ref, id: RowId, caller: Caller) -> None:  # noqa: A002 - likewise
        """Cancel a reminder or follow-up."""
        key = await key_of(operations, ref)
        if not await operations.cancel_reminder(key, id, by=caller.actor):
            raise ApiProblem(404, "no reminder of this number waits in this chat")
