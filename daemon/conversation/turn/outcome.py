"""Turns that end without an answer of the model, and the customer's notice.

Taken over by an agent, deleted, too old, out of budget, failed for good, or asking only not to be
written to. All of it is called by the task of the turn's chat.
"""

import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from daemon.conversation.services import ChatServices
from daemon.conversation.signals import ChatSignals
from daemon.conversation.telemetry import Telemetry
from daemon.conversation.turn.run import done_so_far, give_up
from daemon.conversation.turn.tool_calls import escalate
from daemon.domain.eligibility import OUT_ALREADY, Wish, wish_of
from daemon.domain.ids import is_group
from daemon.domain.limits import Exchange, Refusal, day_of, loop_in
from daemon.domain.messages import JsonObject, Text
from daemon.domain.prompt.message_text import burst_item, kept
from daemon.domain.records import ChatUpdate, NewPart, Turn
from daemon.domain.rendering.templates import chosen, named_part, template_part
from daemon.domain.states import Outcome
from daemon.domain.transitions.handover import BUDGET, DELETED, REFUSED, WINDOW_SHUT
from daemon.domain.transitions.sends import is_window_shut
from daemon.errors import GatewayError
from daemon.ledger.reminders import NewReminder
from daemon.ledger.turns import Concluded
from daemon.observability.events import BUDGET_SPENT, TAKEOVER, TURN_GIVEN_UP
from daemon.observability.tracing import outcome as trace_outcome

LINK = re.compile(r"https?://\S+")
"""Has a question mark of its own, perhaps."""

LONGEST_DELAY_SECONDS = 30 * 24 * 3600.0
"""WhatsApp keeps what it cannot deliver for 30 days; an earlier time is a wrong clock."""

CLOCK_PATIENCE_SECONDS = 10.0
"""How long an apology waits for the gateway's clock, which may show that there is no delay."""

NAMELESS = "🙂"
"""Stands for the name of a contact who has none: a template takes no empty parameter."""

CLOCK_SLACK_SECONDS = 60.0
"""Two clocks that are in step may differ by so much."""


@dataclass(frozen=True, slots=True)
class RunFailure:
    """A run that gave no answer."""

    reason: str
    final: bool = False
    """True if trying again cannot help."""
    retry_after: float = 0
    """Seconds to wait before another try, at least."""
    over_budget: Refusal = ""
    """The budget of the day that is spent, if that is the reason."""
    for_everybody: bool = False
    """True if the model server refuses every request, and not only this one."""


def ended(turn: Turn, outcome: Outcome, telemetry: Telemetry) -> None:
    """Count a turn that has its outcome; the end of its trace puts it into the log."""
    telemetry.metrics.turns.labels(outcome).inc()
    trace_outcome(outcome, messages=len(turn.messages))


async def _close(
    turn: Turn,
    outcome: Outcome,
    reason: str,
    services: ChatServices,
    *,
    items: Sequence[JsonObject] = (),
) -> None:
    now = services.telemetry.now()
    await services.store.turns.close(turn, outcome, reason=reason, items=items, now=now)
    ended(turn, outcome, services.telemetry)


async def unanswered_items(turn: Turn, services: ChatServices) -> list[JsonObject]:
    """Thread items of a turn without an answer: the burst, and the tool calls."""
    seen = await services.attachments.known([stored.message for stored in turn.messages])
    items = [burst_item(kept(turn.messages), seen)] if turn.messages else []
    return [*items, *await done_so_far(turn, services)] if turn.effects else items


# -- no answer is wanted ----------------------------------------------------------------------


async def ended_without_answer(turn: Turn, services: ChatServices, signals: ChatSignals) -> bool:
    """Close a turn if no answer is wanted any more."""
    telemetry = services.telemetry
    if signals.is_paused or turn.taken_over:
        # Its words come with the agent's, or are answered later; what tools have done is noted now.
        items = await unanswered_items(turn, services) if turn.effects else []
        await give_up(turn, services)
        await _close(turn, "handed_off", signals.pause_reason, services, items=items)
        if not signals.in_loop:
            telemetry.log.event(TAKEOVER, name=turn.contact_name)
    elif not turn.messages:
        await give_up(turn, services)
        await _close(turn, "ignored", DELETED, services)
    elif _is_window_shut(turn, services):
        await give_up(turn, services)
        await _leave_to_person(turn, services)
    elif await _is_too_old(turn, services, free_since=signals.paused_until):
        await give_up(turn, services)
        if turn.is_asked:
            notice = NewPart(services.config.texts.expired)
            await services.store.turns.apologise(turn, notice, now=telemetry.now(), corrects=True)
        items = await unanswered_items(turn, services)
        await _close(turn, "expired", "too old to answer", services, items=items)
    else:
        return False
    return True


def _is_window_shut(turn: Turn, services: ChatServices) -> bool:
    """Whether the gateway takes no free text any more from us in a turn's chat."""
    gateway, now = services.number.gateway, services.telemetry.now()
    limit = gateway.capabilities.window_seconds
    age = _age(turn, now, gateway.seconds_ahead or 0.0)
    return bool(limit) and is_window_shut(now - age, now, window_seconds=limit)


async def _leave_to_person(turn: Turn, services: ChatServices) -> None:
    """Let the messages of a turn that cannot be answered now wait for a person."""
    await ask_in_shut_window(turn, services)
    items = await unanswered_items(turn, services)
    await _close(turn, "handed_off", WINDOW_SHUT, services, items=items)


async def ask_in_shut_window(turn: Turn, services: ChatServices) -> None:
    """Ask for a person since only templates can be sent; the one for this case is, if there is."""
    part = await _window_part(turn, services)
    if part is not None:
        await services.store.turns.apologise(turn, part, now=services.telemetry.now())
    await _ask_for_person(turn, services, reason=WINDOW_SHUT, again=False)


async def _window_part(turn: Turn, services: ChatServices) -> NewPart | None:
    """The template that is configured for this case; None if there is none to be sent."""
    rules = services.config.rules
    name, _, language = rules.window_template.partition(":")
    if not name:
        return None
    written = turn.contact_name or NAMELESS
    values = {key: text.replace("{name}", written) for key, text in rules.window_parameters.items()}
    known = await services.store.templates.of_number(turn.key.number)
    if not known:
        return named_part(name, language, values)
    try:
        template = chosen(known, name, language=language, ours=rules.language)
        return template_part(template, values)
    except ValueError as error:
        services.telemetry.log.warning(
            "the template of cloud.window_template cannot be sent", symbol="🚨", error=str(error)
        )
        return None


async def _is_too_old(turn: Turn, services: ChatServices, *, free_since: float) -> bool:
    """Whether it is too late to answer. The gateway's clock is asked for first, if need be.

    What waited for a person could not be answered before ``free_since``, the end of the pause
    (Unix seconds): it is too old only so long after that.
    """
    limit, now = services.config.rules.max_age_seconds, services.telemetry.now()
    gateway = services.number.gateway
    if now - free_since <= limit:
        return False
    ahead = gateway.seconds_ahead
    if _age(turn, now, ahead or 0.0) <= limit:
        return False
    if ahead is None:
        with contextlib.suppress(GatewayError), trio.move_on_after(CLOCK_PATIENCE_SECONDS):
            await gateway.health()
        ahead = gateway.seconds_ahead
    return _age(turn, now, ahead or 0.0) > limit


def _age(turn: Turn, now: float, ahead: float) -> float:
    """Seconds since the newest message of a burst was written.

    ``now``: our clock, Unix seconds; ``ahead``: by how much the gateway's is ahead of it. An outage
    of the daemon or of the number delays messages, so their arrival says too little. When they
    were sent is WhatsApp's time, so it is compared with the gateway's clock; a time that WhatsApp
    cannot mean says nothing.
    """
    newest = turn.messages[-1]
    sent_at = newest.message.sent_at
    if now + ahead - LONGEST_DELAY_SECONDS < sent_at <= now + ahead + CLOCK_SLACK_SECONDS:
        return now + ahead - sent_at
    return now - newest.received_at


async def stop_loop(turn: Turn, signals: ChatSignals, services: ChatServices) -> None:
    """Pause the chat if the turn is one more round of a talk between machines.

    Called before the turn is answered; the turn then ends like any other in a paused chat. The
    pause ends by itself.
    """
    rules, telemetry = services.config.rules.brakes, services.telemetry
    now, exchanges = telemetry.now(), services.store.exchanges
    if not turn.messages:
        return
    since = now - max(rules.loop_seconds, rules.repeat_seconds)
    earlier = await exchanges.recent(turn.key, since=since)
    contents = [stored.message.content for stored in turn.messages]
    newest = Exchange(
        inbound_at=turn.messages[0].received_at,
        texts=tuple(content.body for content in contents if isinstance(content, Text)),
    )
    why = loop_in([*earlier, newest], rules, now=now)
    if not why:
        return
    until = now + rules.pause_seconds
    await exchanges.stop_loop(turn.key, until=until, now=now)
    signals.loop_known(until)
    telemetry.metrics.brakes.labels("loop").inc()
    telemetry.log.warning(
        "a talk with a machine, the chat is paused",
        symbol="🚨",
        chat=turn.key,
        why=why,
        minutes=round(rules.pause_seconds / 60, 1),
    )


# -- no answer is possible --------------------------------------------------------------------


async def give_up_turn(
    turn: Turn,
    failure: RunFailure,
    services: ChatServices,
    *,
    deliver: Callable[[], Awaitable[None]],
) -> None:
    """Apologise to the customer, and store the reason.

    If the server refuses every request, the messages wait for a person, who is asked for once; the
    bot goes on with what comes next, as soon as it can.
    """
    items = await unanswered_items(turn, services)
    if failure.over_budget:
        await _stop_for_budget(turn, failure.over_budget, items, services)
        return
    services.telemetry.log.event(TURN_GIVEN_UP, name=turn.contact_name, error=failure.reason)
    notified = await apologise(turn, services, deliver=deliver)
    if failure.for_everybody:
        await _ask_for_person(turn, services, reason=REFUSED, again=notified)
        await _close(turn, "handed_off", REFUSED, services, items=items)
    else:
        await _close(turn, "dead", failure.reason, services, items=items)


async def apologise(
    turn: Turn, services: ChatServices, *, deliver: Callable[[], Awaitable[None]]
) -> bool:
    """Notify the customer, once in an outage and at once, of the delay; False if that was done.

    A customer who has asked nothing is not notified.
    """
    telemetry, apology = services.telemetry, NewPart(services.config.texts.apology)
    if not turn.is_asked:
        return False
    notified = await services.store.turns.apologise(turn, apology, now=telemetry.now())
    if notified:
        telemetry.metrics.fallbacks.inc()
        await deliver()
    return notified


async def _ask_for_person(turn: Turn, services: ChatServices, *, reason: str, again: bool) -> None:
    """Escalate; ``again``: although a person was asked for before and has not come."""
    last = [stored.message for stored in turn.messages[-1:] if not stored.message.disappears]
    texts = [message.content.body for message in last if isinstance(message.content, Text)]
    await escalate(
        turn,
        services,
        reason=reason,
        summary="".join(texts),
        urgency="high",
        pause_seconds=0,
        again=again,
    )


async def _stop_for_budget(
    turn: Turn, whose: Refusal, items: Sequence[JsonObject], services: ChatServices
) -> None:
    """Hand a turn off that the day's budget does not pay for, with polite words once a day.

    The chat's next turn asks again, so that it is answered as soon as the budget allows.
    """
    telemetry, usage = services.telemetry, services.store.usage
    now = telemetry.now()
    day = day_of(now, services.config.rules.zone)
    notice = NewPart(services.config.texts.budget)
    notified = turn.is_asked and await usage.stop(turn, notice, day=day, now=now)
    telemetry.metrics.brakes.labels("budget").inc()
    if notified:
        telemetry.metrics.fallbacks.inc()
    if whose == "total" and await usage.alert(turn.key.number, day, now=now):
        telemetry.log.event(BUDGET_SPENT, day=day)
    elif whose == "contact" and notified:
        telemetry.log.warning("a contact's budget is spent", symbol="🚨", chat=turn.key, day=day)
    await _close(turn, "handed_off", BUDGET, services, items=items)


# -- consent to unasked messages --------------------------------------------------------------


async def wish_in(turn: Turn, services: ChatServices) -> Wish:
    """The wish of a burst about unasked messages."""
    rules = services.config.rules.consent
    messages = [stored.message for stored in turn.messages]
    wish = wish_of(messages, rules, opted_out=True)
    if not wish.choice:
        return wish
    return wish_of(messages, rules, opted_out=await _has_opted_out(turn, services))


async def opening_texts(turn: Turn, wish: Wish, services: ChatServices) -> list[str]:
    """Texts before an answer: the notice, once, and the confirmation of a wish."""
    notice = services.config.rules.consent.notice
    if is_group(turn.key.chat) or not (notice or wish.choice):
        return []
    record = await services.store.threads.chat(turn.key)
    texts = [notice] if notice and not record.consent_at else []
    if wish.choice and (wish.choice == "out") != bool(record.opted_out_at):
        texts.append(_confirmation(wish, services))
    return texts


async def confirm_wish(turn: Turn, wish: Wish, services: ChatServices) -> Concluded | None:
    """Answer a burst that says nothing else; no model is asked.

    None if it was sent before: one confirmation is enough.
    """
    items, telemetry = await unanswered_items(turn, services), services.telemetry
    if (wish.choice == "out") == await _has_opted_out(turn, services):
        await _close(turn, "ignored", OUT_ALREADY, services, items=items)
        return None
    words = _confirmation(wish, services)
    telemetry.log.info("contact opts out or in", symbol="🔕", choice=wish.choice)
    return await services.store.turns.conclude(
        turn,
        items=[*items, own_words(words)],
        parts=[NewPart(words)],
        chat_update=ChatUpdate(choice=wish.choice),
        now=telemetry.now(),
    )


def own_words(words: str) -> JsonObject:
    """Our own words as an item of the thread."""
    return {"role": "assistant", "content": words}


def _confirmation(wish: Wish, services: ChatServices) -> str:
    texts, word = services.config.texts, services.config.rules.first_opt_in_word
    return texts.opted_out_with(word) if wish.choice == "out" else texts.opted_in


async def _has_opted_out(turn: Turn, services: ChatServices) -> bool:
    return bool((await services.store.threads.chat(turn.key)).opted_out_at)


# -- follow-ups ------------------------------------------------------------------------------------


def follow_ups(turn: Turn, answer: str, services: ChatServices) -> tuple[NewReminder, ...] | None:
    """The follow-ups of an answer, if it asks something; None if there are none to be had."""
    rules, now = services.config.rules.reminders, services.telemetry.now()
    if not rules.followups or is_group(turn.key.chat):
        return None
    if "?" not in LINK.sub("", answer):
        return ()
    return tuple(
        NewReminder(text=rule.text, due_at=now + rule.after_seconds, open_hours=rule.only_open)
        for rule in rules.followups
    )
