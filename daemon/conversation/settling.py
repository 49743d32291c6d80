"""Finding out whether a send of unknown outcome happened: by its echo, else by listing the chat."""

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.signals import ChatSignals
from daemon.domain.messages import Message
from daemon.domain.records import OutboxRow
from daemon.domain.rendering.outgoing import likeness, likeness_of
from daemon.errors import RefusedForm

CLOCK_TOLERANCE_SECONDS = 2 * 3600.0
"""WhatsApp's times and ours may differ by this much: a clock that was set by an hour, and some.
Earlier messages of the same words are told apart by their ids, which the store knows."""

LISTED_MESSAGES = 50

WRITTEN_BY_HAND = frozenset({"mobile", "web"})
"""Sources of what a person typed: the same words from there are not our send."""


async def await_echo(row: OutboxRow, deps: Dependencies, signals: ChatSignals) -> OutboxRow:
    """Give the echo of a send time to come; it settles the row in the store and wakes us.

    The time counts from the send, also over a restart: a process that was killed and started
    again at once would else look for a message that the gateway is still passing on, and say
    it twice.
    """
    patience = deps.rules.echo_seconds
    due = row.attempted_at + patience - deps.now()
    deadline = trio.current_time() + min(due, patience)
    while row.state == "unknown" and (left := deadline - trio.current_time()) > 0:
        signals.check()
        await signals.woken(left)
        row = await deps.store.outbox.row(row.id)
    return row


async def id_in_chat(row: OutboxRow, deps: Dependencies) -> str:
    """Look for a send in its chat; gives its WhatsApp id, empty if it did not happen.

    Raises GatewayError while the chat cannot be looked into.
    """
    outbox = deps.store.outbox
    since = row.attempted_at - CLOCK_TOLERANCE_SECONDS
    try:
        listed = await _listed(row, deps)
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


async def _listed(row: OutboxRow, deps: Dependencies) -> tuple[Message, ...]:
    """List what we have said in a chat since a send, whichever clock was wrong, then or now.

    Raises GatewayError.
    """
    while True:
        ahead = deps.gateway.seconds_ahead or 0.0
        listed = await deps.gateway.list_messages(
            row.key.chat,
            from_me=True,
            since=listed_since(row.attempted_at, deps.now(), ahead),
            count=LISTED_MESSAGES,
        )
        if abs(deps.gateway.seconds_ahead or 0.0) <= abs(ahead) + CLOCK_TOLERANCE_SECONDS / 2:
            return listed
        # The first answer of a process has just told how wrong our clock is.


def listed_since(attempted_at: float, now: float, ahead: float) -> float:
    """From when on a chat is listed to find a send, in the gateway's time; all Unix seconds.

    ``ahead``: by how much the gateway's clock is ahead of ours. A send that was made in the future
    was made before our clock was set back. It is rather listed from too early on: what was said
    before is told apart by its id.
    """
    set_back = max(0.0, attempted_at - now)
    return min(attempted_at, now) - CLOCK_TOLERANCE_SECONDS - abs(ahead) - set_back
