"""Handing the chat of a turn to a person: the ledger, the agents' chat, the log."""

from daemon.conversation.deps import Dependencies
from daemon.domain.notifications import notice
from daemon.domain.records import Turn
from daemon.observability.events import HANDED_TO_PERSON
from daemon.tools.tool import Urgency


async def escalate(
    turn: Turn,
    deps: Dependencies,
    *,
    reason: str,
    summary: str,
    urgency: Urgency,
    pause_seconds: float,
    again: bool = True,
) -> bool:
    """Ask for a person in a turn's chat; False if this turn has done so already.

    ``again``: also if one is asked for there already, and has not come.
    The pause begins with the write that ends the turn; 0: the bot goes on with what comes next.
    Called by the task of the chat, or by a tool of its run.
    """
    rules = deps.rules.escalation
    words = notice(
        deps.texts.escalation,
        chat=turn.key.chat,
        name=turn.contact_name,
        reason=reason,
        summary=summary,
        urgency=urgency,
    )
    new = await deps.store.escalations.open(
        turn,
        reason=reason,
        summary=summary,
        urgency=urgency,
        pause_seconds=pause_seconds,
        notice=(rules.chat, words) if rules.chat else None,
        now=deps.now(),
        again=again,
    )
    if new:
        deps.log.event(HANDED_TO_PERSON, chat=turn.key, name=turn.contact_name)
    return new
