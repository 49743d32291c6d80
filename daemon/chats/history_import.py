"""What customers and the business wrote to each other before Recado: put into a new thread."""

from collections.abc import Collection, Sequence
from itertools import groupby

import trio

from daemon.chats.dependencies import Dependencies
from daemon.errors import GatewayError
from daemon.ledger import Turn
from daemon.model import JsonObject, Message
from daemon.prompt.data import data_item
from daemon.reading.messages import as_lines, own_lines
from daemon.verdicts import nothing_to_answer

PATIENCE_SECONDS = 3.0
"""How long a customer's first answer may wait for the history; without it the answer goes on."""

NOTE = "[The messages up to the next note were written in this chat before you took part in it]"
END_NOTE = "[End of the earlier messages]"


async def import_history(turn: Turn, needs: Dependencies) -> None:
    """Put the last messages of the chat from before this turn into its thread, if that is blank.

    Called by the task of the turn's chat before the model is asked. It takes 3 s at most, and a
    failure is only noted. A crash in between leaves the thread blank, to be begun again.
    """
    count = needs.rules.import_messages
    if turn.key.chat.endswith("@g.us"):
        return  # what a group said before somebody addressed us is told with that message
    if not count or not turn.messages or not await needs.store.memories.is_blank(turn.key):
        return
    listed: tuple[Message, ...] = ()
    with trio.move_on_after(PATIENCE_SECONDS) as scope:
        try:
            listed = await needs.gateway.list_messages(
                turn.key.chat, from_me=None, since=0, count=count + len(turn.messages)
            )
        except GatewayError as error:
            # A number nobody wrote with before is unknown there, which is no fault.
            needs.log.debug("no earlier messages", chat=turn.key, error=str(error))
            return
    if scope.cancelled_caught:
        needs.log.warning("earlier messages did not come in time", chat=turn.key)
        return
    first = turn.messages[0].message
    known = {stored.message.id for stored in turn.messages}
    items = earlier_items(listed, known=known, before=first.sent_at, count=count)
    imported = await needs.store.memories.begin_with(turn.key, items, now=needs.now())
    if imported and items:
        needs.log.info("earlier messages imported", chat=turn.key, items=len(items) - 2)


def earlier_items(
    listed: Sequence[Message], *, known: Collection[str], before: float, count: int
) -> list[JsonObject]:
    """Messages as items of a thread, at most ``count`` of them, oldest first.

    ``listed``: newest first, as Whapi lists them. ``known`` are the ids of those that the thread
    gets in another way; so does everything that was not written ``before`` (Unix seconds, 0: not
    known). Our own numbers' words are the assistant's, whoever wrote them.
    """
    earlier = [
        message
        for message in listed
        if message.id not in known
        and not nothing_to_answer(message)
        and not message.disappears
        and (not before or message.sent_at < before)
    ]
    sides = groupby(reversed(earlier[:count]), key=lambda message: message.from_me)
    said: list[JsonObject] = [
        {
            "role": "assistant" if from_me else "user",
            "content": own_lines(side) if from_me else "\n".join(map(as_lines, side)),
        }
        for from_me, side in sides
    ]
    if not said:
        return []
    return [
        data_item("note", NOTE),
        *said,
        data_item("note", END_NOTE),
    ]
