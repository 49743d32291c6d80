"""Finding out whether a send of unknown outcome happened: by its echo, else by listing the chat."""

import trio

from daemon.chats.attention import Attention
from daemon.chats.dependencies import Dependencies
from daemon.errors import RefusedForm
from daemon.ledger import OutboxRow
from daemon.writing.outgoing import likeness, likeness_of

CLOCK_TOLERANCE_SECONDS = 2 * 3600.0
"""WhatsApp's times and ours may differ by this much: a clock that was set by an hour, and some.
Earlier messages of the same words are told apart by their ids, which the store knows."""

LISTED_MESSAGES = 50

WRITTEN_BY_HAND = frozenset({"mobile", "web"})
"""Sources of what a person typed: the same words from there are not our send."""


async def await_echo(row: OutboxRow, needs: Dependencies, attention: Attention) -> OutboxRow:
    """Give the echo of a send time to come; it settles the row in the store and wakes us.

    The time counts from the send, also over a restart: a process that was killed and started
    again at once would else look for a message that the gateway is still passing on, and say
    it twice.
    """
    patience = needs.rules.echo_seconds
    due = row.attempted_at + patience - needs.now()
    deadline = trio.current_time() + min(due, patience)
    while row.state == "unknown" and (left := deadline - trio.current_time()) > 0:
        attention.check()
        await attention.woken(left)
        row = await needs.store.outbox.row(row.id)
    return row


async def id_in_chat(row: OutboxRow, needs: Dependencies) -> str:
    """Look for a send in its chat; gives its WhatsApp id, empty if it did not happen.

    Raises GatewayError while the chat cannot be looked into.
    """
    outbox = needs.store.outbox
    since = row.attempted_at - CLOCK_TOLERANCE_SECONDS
    try:
        listed = await needs.gateway.list_messages(
            row.key.chat, from_me=True, since=since, count=LISTED_MESSAGES
        )
    except RefusedForm:
        return ""  # 404: nothing was ever said in this chat
    like = likeness(row.kind, row.body, row.payload)
    ours = [m for m in listed if likeness_of(m) == like and m.source not in WRITTEN_BY_HAND]
    known = await outbox.known_ids([m.id for m in ours])
    unclaimed = [m for m in ours if m.id not in known]
    # The same said before, and listed under another id than we know, are not this send.
    listed_ids = {m.id for m in listed}
    said = await outbox.said_since(row.key, like, since)
    others = sum(message_id not in listed_ids for message_id in said)
    return "" if len(unclaimed) <= others else unclaimed[0].id
