"""Routes of chats: the list, one chat, its messages, who has it, and the labels there are."""

from daemon.domain.dashboard_values import ChatQuery
from daemon.domain.labels import label_fault
from daemon.domain.messages import ChatKey
from daemon.http.api.callers import Caller
from daemon.http.api.problems import ApiProblem
from daemon.http.api.routes import ApiRoutes
from daemon.http.api.types import (
    ChatCost,
    ChatEntry,
    ChatFilter,
    ChatMessage,
    ChatPage,
    ClosedMessages,
    ConsentToSet,
    DeskLabel,
    ErasedContact,
    ForgetConfirmation,
    FoundPage,
    KnownLabel,
    LabelList,
    LabelsToChange,
    MessageFilter,
    MessagePage,
    Pause,
    Ref,
    RevealedPhone,
    RowId,
    SearchFilter,
    WholeChat,
    chat_of,
    found_message,
    message_of,
)
from daemon.ops.operations import Operations
from daemon.ops.operator_views import OperatorViews

LAST_DIGITS = 4


async def key_of(operations: Operations, ref: str) -> ChatKey:
    """The chat of this name. Raises ApiProblem."""
    key = await operations.views.key_of(ref)
    if key is None:
        raise ApiProblem(404, "there is no such chat")
    return key


def add_chats(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes that read."""
    views = operations.views

    @api.add("GET", "/chats", action="read", tag="chats")
    async def list_chats(query: ChatFilter) -> ChatPage:
        """List and search chats, the latest first."""
        wanted = ChatQuery(
            query=query.query.strip(),
            state=query.state or "",
            number=query.number,
            label=query.label,
            limit=query.limit,
        )
        page = await views.chats(wanted, before=query.cursor)
        number = operations.numbers.first.name
        return ChatPage(
            chats=[chat_of(ChatEntry, chat, number) for chat in page["chats"]],
            next=page["next"],
            states=page["states"],
        )

    @api.add("GET", "/labels", action="read", tag="contacts")
    async def list_labels() -> LabelList:
        """List the labels that chats can have."""
        known = await operations.views.labels()
        own = {label.name: int(label.id) for label in await operations.desk_labels.all()}
        return LabelList(
            labels=[
                KnownLabel(id=own.get(name), name=name, color=color)
                for name, color in known.items()
            ]
        )

    @api.add("GET", "/search", action="read", tag="chats")
    async def search_messages(query: SearchFilter) -> FoundPage:
        """Search the messages and notes of all chats, the latest first."""
        wanted = ChatQuery(
            query=query.query.strip(),
            state=query.state or "",
            number=query.number,
            person=query.person.strip(),
            label=query.label,
            since=query.since.timestamp() if query.since else 0.0,
            until=query.until.timestamp() if query.until else 0.0,
            limit=query.limit,
        )
        page = await views.messages_with(wanted, before=query.cursor)
        number = operations.numbers.first.name
        return FoundPage(
            found=[found_message(text, number) for text in page["found"]], next=page["next"]
        )

    @api.add("GET", "/chats/{ref}", action="read", tag="chats")
    async def show_chat(ref: Ref) -> WholeChat:
        """Show one chat, with its labels and what it has cost."""
        chat = await views.chat(await key_of(operations, ref))
        if chat is None:
            raise ApiProblem(404, "there is no such chat")
        cost = ChatCost(**chat["costs"], currency=chat["currency"])
        return chat_of(WholeChat, chat, operations.numbers.first.name, cost=cost)

    @api.add("GET", "/chats/{ref}/messages", action="read", tag="chats")
    async def list_messages(ref: Ref, query: MessageFilter) -> MessagePage:
        """Read the messages of a chat, the last ones first asked for.

        The messages of one page are oldest first; `next` asks for those before them.
        """
        key = await key_of(operations, ref)
        page = await views.bubbles(key, before=query.cursor, limit=query.limit)
        return MessagePage(
            messages=[message_of(bubble) for bubble in page["bubbles"]], next=page["next"]
        )

    @api.add("GET", "/chats/{ref}/messages/{id}", action="read", tag="chats")
    async def show_message(ref: Ref, id: str) -> ChatMessage:  # noqa: A002 - its name in the path
        """Show one message, for example whether one of ours was delivered."""
        bubble = await views.bubble(await key_of(operations, ref), id)
        if bubble is None:
            raise ApiProblem(404, "there is no such message in this chat")
        return message_of(bubble)


def add_handover(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes of who has a chat, and of the contact."""

    @api.add("POST", "/chats/{ref}/pause", action="pause", tag="handover")
    async def pause_chat(ref: Ref, body: Pause, caller: Caller) -> None:
        """Take a chat over: the bot keeps out, for the configured time or the given one."""
        key = await key_of(operations, ref)
        await operations.pause(key, body.minutes, by=caller.actor)

    @api.add("POST", "/chats/{ref}/resume", action="resume", tag="handover")
    async def resume_chat(ref: Ref, caller: Caller) -> None:
        """Give a chat back to the bot, which also answers what waits there."""
        await operations.resume(await key_of(operations, ref), by=caller.actor)

    @api.add("POST", "/chats/{ref}/close", action="done", tag="handover")
    async def close_chat(ref: Ref, caller: Caller) -> ClosedMessages:
        """Count what waits for a person in a chat as handled, without an answer."""
        _, messages = await operations.done(await key_of(operations, ref), by=caller.actor)
        return ClosedMessages(messages=messages)

    @api.add("POST", "/chats/{ref}/labels", action="label", tag="contacts", faults=(409,))
    async def label_chat(ref: Ref, body: LabelsToChange, caller: Caller) -> None:
        """Add labels to a chat, and remove others."""
        key = await key_of(operations, ref)
        add, remove = tuple(body.add), tuple(body.remove)
        if fault := await operations.label(key, add=add, remove=remove, by=caller.actor):
            raise ApiProblem(409, fault)

    @api.add("POST", "/chats/{ref}/reveal", action="reveal", tag="contacts")
    async def reveal_phone(ref: Ref, caller: Caller) -> RevealedPhone:
        """Show a chat's whole phone number; the audit records it."""
        await key_of(operations, ref)
        return RevealedPhone(phone=await operations.reveal(ref, by=caller.actor))

    @api.add("POST", "/chats/{ref}/consent", action="consent", tag="contacts")
    async def set_consent(ref: Ref, body: ConsentToSet, caller: Caller) -> None:
        """Note that a contact wants no unrequested messages, or wants them again."""
        key = await key_of(operations, ref)
        await operations.set_consent(key, opted_out=body.opted_out, by=caller.actor)

    @api.add("POST", "/chats/{ref}/forget", action="forget", tag="contacts", faults=(409,))
    async def forget_contact(ref: Ref, body: ForgetConfirmation, caller: Caller) -> ErasedContact:
        """Erase the person of a chat from the ledger, the files and the model's server."""
        key = await key_of(operations, ref)
        chat = await operations.views.chat(key)
        if chat is None or body.confirm != str(chat["number"])[-LAST_DIGITS:]:
            raise ApiProblem(409, "the last four digits do not match; nothing was erased")
        return ErasedContact(erased=await operations.forget(key, by=caller.actor))


def add_label_list(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes of the desk's own list of labels."""
    views = operations.views

    @api.add("POST", "/labels", action="label list", tag="contacts", faults=(409,))
    async def add_label(body: DeskLabel, caller: Caller) -> None:
        """Add a label to the desk's own list, for numbers whose gateway has no labels."""
        name = _given(body, views)
        if fault := await operations.desk_labels.add(
            name, body.color, by=caller.actor, now=operations.now()
        ):
            raise ApiProblem(409, fault)

    @api.add("PUT", "/labels/{id}", action="label list", tag="contacts", faults=(409,))
    async def change_label(id: RowId, body: DeskLabel, caller: Caller) -> None:  # noqa: A002
        """Rename a label of the desk's own list, also on chats, or give it another color."""
        name = _given(body, views)
        await _require(id, operations)
        by, channels, now = caller.actor, views.labelled_here, operations.now()
        fault = await operations.desk_labels.edit(
            id, name, body.color, channels=channels, by=by, now=now
        )
        if fault:
            raise ApiProblem(409, fault)

    @api.add("DELETE", "/labels/{id}", action="label list", tag="contacts")
    async def delete_label(id: RowId, caller: Caller) -> None:  # noqa: A002
        """Delete a label of the desk's own list, also from chats."""
        await _require(id, operations)
        by, now = caller.actor, operations.now()
        await operations.desk_labels.drop(id, channels=views.labelled_here, by=by, now=now)


def _given(body: DeskLabel, views: OperatorViews) -> str:
    """The name of a label in its stored form. Raises ApiProblem."""
    name = " ".join(body.name.split())
    if not views.labelled_here:
        raise ApiProblem(409, "the labels of our numbers are made in WhatsApp Business")
    if fault := label_fault(name, body.color):
        raise ApiProblem(422, fault)
    return name


async def _require(number: int, operations: Operations) -> None:
    if str(number) not in {label.id for label in await operations.desk_labels.all()}:
        raise ApiProblem(404, "there is no such label")
