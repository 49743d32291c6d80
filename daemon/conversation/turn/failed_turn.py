"""Turns to which the model gives no answer: what the customer hears, and who sees to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from daemon.conversation.deps import Dependencies
from daemon.conversation.turn.escalation import escalate
from daemon.conversation.turn.limits import stop_for_budget
from daemon.conversation.turn.outcome import ended, unanswered_items
from daemon.domain.limits import Refusal
from daemon.domain.messages import Text
from daemon.domain.records import NewPart, Outcome, Turn
from daemon.domain.transitions.handover import REFUSED
from daemon.observability.events import TURN_GIVEN_UP
from daemon.observability.logs import Log


@dataclass(frozen=True, slots=True)
class RunFailure:
    """A run that gave no answer."""

    reason: str
    final: bool = False
    """True if trying again cannot help."""
    retry_after: float = 0
    """Seconds to wait before another try, at least."""
    over_budget: Refusal = ""
    """Whose budget of the day is spent, if that is the reason."""
    for_everybody: bool = False
    """True if the model server refuses every request, and not only this one."""


async def give_turn_up(
    turn: Turn,
    failure: RunFailure,
    deps: Dependencies,
    log: Log,
    *,
    say: Callable[[], Awaitable[None]],
) -> None:
    """No answer is possible: say so politely, and keep the reason. Called by the chat's task.

    If the server refuses every request, the messages wait for a person, who is asked for once; the
    bot goes on with what comes next, as soon as it can.
    """
    items = await unanswered_items(turn, deps)
    if failure.over_budget:
        await stop_for_budget(turn, failure.over_budget, items, deps, log)
        ended(turn, "handed_off", deps)
        return
    log.event(TURN_GIVEN_UP, name=turn.contact_name, error=failure.reason)
    told = await apologise(turn, deps, say=say)
    outcome: Outcome = "handed_off" if failure.for_everybody else "dead"
    if failure.for_everybody:
        await _ask_for_person(turn, deps, again=told)
    await deps.store.turns.close(
        turn,
        outcome,
        reason=REFUSED if failure.for_everybody else failure.reason,
        items=items,
        now=deps.now(),
    )
    ended(turn, outcome, deps)


async def apologise(turn: Turn, deps: Dependencies, *, say: Callable[[], Awaitable[None]]) -> bool:
    """Say once in an outage that the answer is late, and say it now and not with the answer.

    False if the customer has been told already.
    """
    told = await deps.store.turns.apologise(turn, NewPart(deps.texts.apology), now=deps.now())
    if told:
        deps.metrics.fallbacks.inc()
        await say()
    return told


async def _ask_for_person(turn: Turn, deps: Dependencies, *, again: bool) -> None:
    """Ask for one; ``again``: although nobody has come yet who was asked for before."""
    last = [stored.message for stored in turn.messages[-1:] if not stored.message.disappears]
    texts = [message.content.body for message in last if isinstance(message.content, Text)]
    await escalate(
        turn,
        deps,
        reason=REFUSED,
        summary="".join(texts),
        urgency="high",
        pause_seconds=0,
        again=again,
    )
