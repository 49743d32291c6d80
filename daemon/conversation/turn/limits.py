"""The brakes at work: a budget that is spent, a talk with a machine, too many runs at once."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.signals import ChatSignals
from daemon.domain.limits import Exchange, Refusal, day_of, loop_in
from daemon.domain.messages import JsonObject, Text
from daemon.domain.records import NewPart, Turn
from daemon.domain.transitions.handover import BUDGET
from daemon.observability.events import BUDGET_SPENT
from daemon.observability.logs import Log


async def stop_for_budget(
    turn: Turn, whose: Refusal, items: Sequence[JsonObject], deps: Dependencies, log: Log
) -> None:
    """End a turn that the day's budget does not pay for: handed off, with polite words once a day.

    Called by the task of the turn's chat, which then sends what waits. ``items`` go into the
    thread. The chat's next turn asks anew, so that it is answered as soon as the budget allows.
    """
    now = deps.now()
    day = day_of(now, deps.rules.zone)
    told = await deps.store.usage.stop(turn, NewPart(deps.texts.budget), day=day, now=now)
    deps.metrics.brakes.labels("budget").inc()
    if told:
        deps.metrics.fallbacks.inc()
    if whose == "total" and await deps.store.usage.alert(day):
        log.event(BUDGET_SPENT, day=day)
    elif whose == "contact" and told:
        log.warning("a contact's budget is spent", symbol="🚨", chat=turn.key, day=day)
    await deps.store.turns.close(turn, "handed_off", reason=BUDGET, items=items, now=now)


async def stop_loop(turn: Turn, signals: ChatSignals, deps: Dependencies, log: Log) -> None:
    """Pause the chat if the turn is one more round of a talk between machines.

    Called by the task of the turn's chat before the turn is answered; the turn then ends like any
    other in a paused chat. The pause ends by itself.
    """
    rules, now = deps.rules.brakes, deps.now()
    if not turn.messages:
        return
    since = now - max(rules.loop_seconds, rules.repeat_seconds)
    earlier = await deps.store.exchanges.recent(turn.key, since=since)
    contents = [stored.message.content for stored in turn.messages]
    newest = Exchange(
        heard_at=turn.messages[0].received_at,
        texts=tuple(content.body for content in contents if isinstance(content, Text)),
    )
    why = loop_in([*earlier, newest], rules, now=now)
    if not why:
        return
    until = now + rules.pause_seconds
    await deps.store.exchanges.stop_loop(turn.key, until=until, now=now)
    signals.stop_loop(until)
    deps.metrics.brakes.labels("loop").inc()
    log.warning(
        "a talk with a machine, the chat is paused",
        symbol="🚨",
        chat=turn.key,
        why=why,
        minutes=round(rules.pause_seconds / 60, 1),
    )


@asynccontextmanager
async def run_slot(
    slots: trio.CapacityLimiter, signals: ChatSignals, *, waiting: Callable[[bool], None]
) -> AsyncIterator[bool]:
    """Hold one of the places for runs during the block; first come, first served.

    Gives False, without a place, if the daemon stops or an agent takes over meanwhile. A customer
    who goes on writing keeps the place in the line. ``waiting`` is told of a wait and of its end.
    """
    owner = object()
    held = False

    async def stand_in_line() -> None:
        nonlocal held
        await slots.acquire_on_behalf_of(owner)
        held = True

    try:
        try:
            slots.acquire_on_behalf_of_nowait(owner)
            held = True
        except trio.WouldBlock:
            waiting(True)
            await signals.unless_called_off(stand_in_line)
            waiting(False)
        yield held
    finally:
        if held:
            slots.release_on_behalf_of(owner)
