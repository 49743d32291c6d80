"""Finding out whether a send of unknown outcome happened: by its echo, else by listing the chat."""

from collections.abc import Callable

import trio

from daemon.conversation.signals import ChatSignals
from daemon.domain.messages import Message
from daemon.domain.records import OutboxRow
from daemon.domain.rendering.outgoing import likeness, likeness_of
from daemon.errors import RefusedForm
from daemon.gateway.port import Gateway
from daemon.ledger.outbox import Outbox

CLOCK_TOLERANCE_SECONDS = 2 * 3600.0
"""WhatsApp's times and ours may differ by this much: a clock that was set by an hour, and some.
Earlier messages of the same words differ in their ids, which the store has."""

LISTED_MESSAGES = 50

WRITTEN_BY_HAND = frozenset({"mobile", "web"})
"""Sources of what a person typed: the same words from there are not our send."""


class Settling:
    """Settles the sends of unknown outcome of one chat; only its task uses it."""

    def __init__(self, outbox: Outbox, gateway: Gateway, now: Callable[[], float]) -> None:
        """``now``: wall clock, Unix seconds."""
        self._outbox = outbox
        self._gateway = gateway
        self._now = now

    async def await_echo(
        self,
        row: OutboxRow,
        signals: ChatSignals,
        patience_seconds: float,
        *,
        at_least: float = 0.0,
    ) -> OutboxRow:
        """Wait for the echo of a send; it settles the row in the store and wakes us.

        The time counts from the send, also over a restart: a process that was killed and started
        again at once would else look for a message that the gateway is still passing on, and say
        it twice. Another node may have made the send: then ``at_least`` says until when it may
        still be under way, in seconds from now.
        """
        due = row.attempted_at + patience_seconds - self._now()
        deadline = trio.current_time() + max(min(due, patience_seconds), at_least)
        while row.state == "unknown" and (left := deadline - trio.current_time()) > 0:
            signals.check()
            await signals.woken(left)
            row = await self._outbox.row(row.id)
        return row

    async def id_in_chat(self, row: OutboxRow) -> str:
        """Look for a send in its chat; gives its WhatsApp id, empty if it did not happen.

        Raises GatewayError while the chat cannot be looked into.
        """
        since = row.attempted_at - CLOCK_TOLERANCE_SECONDS
        try:
            listed = await self._listed(row)
        except RefusedForm:
            return ""  # 404: the chat never had a message
        like = likeness(row.kind, row.body, row.payload)
        ours = [m for m in listed if likeness_of(m) == like and m.source not in WRITTEN_BY_HAND]
        known = await self._outbox.known_ids([m.id for m in ours])
        unclaimed = [m for m in ours if m.id not in known]
        # Earlier sends of the same text, listed under other ids than ours, are not this one.
        listed_ids = {m.id for m in listed}
        sent = await self._outbox.sent_since(row.key, like, since)
        others = sum(message_id not in listed_ids for message_id in sent)
        return "" if len(unclaimed) <= others else unclaimed[0].id

    async def _listed(self, row: OutboxRow) -> tuple[Message, ...]:
        """List our messages in a chat since a send, whichever clock was wrong, then or now.

        Raises GatewayError.
        """
        while True:
            ahead = self._gateway.seconds_ahead or 0.0
            listed = await self._gateway.list_messages(
                row.key.chat,
                from_me=True,
                since=listed_since(row.attempted_at, self._now(), ahead),
                count=LISTED_MESSAGES,
            )
            drift = abs(self._gateway.seconds_ahead or 0.0) - abs(ahead)
            if drift <= CLOCK_TOLERANCE_SECONDS / 2:
                return listed
            # The first answer of a process has just shown how wrong our clock is.


def listed_since(attempted_at: float, now: float, ahead: float) -> float:
    """From when on a chat is listed to find a send, in the gateway's time; all Unix seconds.

    ``ahead``: by how much the gateway's clock is ahead of ours. A send that was made in the future
    was made before our clock was set back. Too early a time does no harm: earlier messages differ
    in their ids.
    """
    set_back = max(0.0, attempted_at - now)
    return min(attempted_at, now) - CLOCK_TOLERANCE_SECONDS - abs(ahead) - set_back
