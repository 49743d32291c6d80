"""The ends of turns that need no answer any more: taken over, deleted, or too old."""

import contextlib

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.signals import ChatSignals
from daemon.conversation.turn.run import done_so_far, give_up
from daemon.domain.messages import JsonObject
from daemon.domain.prompt.message_text import burst_item, kept
from daemon.domain.records import NewPart, Outcome, Turn
from daemon.domain.transitions.handover import DELETED
from daemon.errors import GatewayError
from daemon.observability.events import TAKEOVER
from daemon.observability.logs import Log
from daemon.observability.tracing import outcome as trace_outcome

LONGEST_DELAY_SECONDS = 30 * 24 * 3600.0
"""WhatsApp keeps what it cannot deliver for 30 days; an earlier time is a wrong clock."""


CLOCK_PATIENCE_SECONDS = 10.0
"""How long an apology waits for the gateway's clock, which may show that there is no delay."""

CLOCK_SLACK_SECONDS = 60.0
"""Two clocks that are in step may differ by so much."""


async def ended_without_answer(
    turn: Turn, deps: Dependencies, signals: ChatSignals, log: Log
) -> bool:
    """Close a turn if no answer is wanted any more. Called by the task of its chat."""
    now = deps.now()
    if signals.is_paused or turn.taken_over:
        # Its words are told with the agent's, or answered later; what tools have done is told now.
        items = await unanswered_items(turn, deps) if turn.effects else []
        await give_up(turn, deps)
        await deps.store.turns.close(
            turn, "handed_off", reason=signals.pause_reason, items=items, now=now
        )
        if not signals.in_loop:
            log.event(TAKEOVER, name=turn.contact_name)
        ended(turn, "handed_off", deps)
    elif not turn.messages:
        await give_up(turn, deps)
        await deps.store.turns.close(turn, "ignored", reason=DELETED, now=now)
        ended(turn, "ignored", deps)
    elif await _is_too_old(turn, now, deps, free_since=signals.paused_until):
        await give_up(turn, deps)
        notice = NewPart(deps.texts.expired)
        await deps.store.turns.apologise(turn, notice, now=now, corrects=True)
        items = await unanswered_items(turn, deps)
        await deps.store.turns.close(
            turn, "expired", reason="too old to answer", items=items, now=now
        )
        ended(turn, "expired", deps)
    else:
        return False
    return True


async def unanswered_items(turn: Turn, deps: Dependencies) -> list[JsonObject]:
    """What goes into the thread of a turn without an answer: the burst, and what was done."""
    seen = await deps.attachments.known([stored.message for stored in turn.messages])
    items = [burst_item(kept(turn.messages), seen)] if turn.messages else []
    return [*items, *await done_so_far(turn, deps)] if turn.effects else items


def ended(turn: Turn, outcome: Outcome, deps: Dependencies) -> None:
    """Count a turn that has its outcome; the end of its trace puts it into the log."""
    deps.metrics.turns.labels(outcome).inc()
    trace_outcome(outcome, messages=len(turn.messages))


async def _is_too_old(turn: Turn, now: float, deps: Dependencies, *, free_since: float) -> bool:
    """Whether it is too late to answer. The gateway's clock is asked for first, if need be.

    What waited for a person could not be answered before ``free_since``, the end of the pause
    (Unix seconds): it is too old only so long after that.
    """
    limit = deps.rules.max_age_seconds
    if now - free_since <= limit:
        return False
    ahead = deps.gateway.seconds_ahead
    if _age(turn, now, ahead or 0.0) <= limit:
        return False
    if ahead is None:
        with contextlib.suppress(GatewayError), trio.move_on_after(CLOCK_PATIENCE_SECONDS):
            await deps.gateway.health()
        ahead = deps.gateway.seconds_ahead
    return _age(turn, now, ahead or 0.0) > limit


def _age(turn: Turn, now: float, ahead: float) -> float:
    """How long ago the newest message of a burst was written, in seconds.

    ``now``: our clock, Unix seconds; ``ahead``: by how much the gateway's is ahead of it. An outage
    of the daemon or of the channel delays messages, so their arrival says too little. When they
    were sent is WhatsApp's time, so it is compared with the gateway's clock; but a time that
    WhatsApp cannot mean says nothing.
    """
    newest = turn.messages[-1]
    sent_at = newest.message.sent_at
    if now + ahead - LONGEST_DELAY_SECONDS < sent_at <= now + ahead + CLOCK_SLACK_SECONDS:
        return now + ahead - sent_at
    return now - newest.received_at
