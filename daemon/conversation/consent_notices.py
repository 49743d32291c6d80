"""What contacts want of messages that nobody has asked for: heard in a burst, confirmed, kept."""

from daemon.conversation.deps import Dependencies
from daemon.conversation.turn.outcome import ended, unanswered_items
from daemon.domain.consent import OUT_ALREADY, Wish, wish_of
from daemon.domain.ids import is_group
from daemon.domain.messages import JsonObject
from daemon.domain.records import NewPart, Told, Turn
from daemon.ledger.turns import Concluded
from daemon.observability.logs import Log


async def wish_in(turn: Turn, deps: Dependencies) -> Wish:
    """What the burst of a turn says about being written to."""
    rules, messages = deps.rules.consent, [stored.message for stored in turn.messages]
    wish = wish_of(messages, rules, opted_out=True)
    if not wish.choice:
        return wish
    return wish_of(messages, rules, opted_out=await _has_opted_out(turn, deps))


async def said_before(turn: Turn, wish: Wish, deps: Dependencies) -> list[str]:
    """What is said before an answer: the notice, once, and that a wish is heeded."""
    notice = deps.rules.consent.notice
    if is_group(turn.key.chat) or not (notice or wish.choice):
        return []
    record = await deps.store.threads.chat(turn.key)
    said = [notice] if notice and not record.consent_at else []
    if wish.choice and (wish.choice == "out") != bool(record.opted_out_at):
        said.append(_confirmation(wish, deps))
    return said


async def heed(turn: Turn, wish: Wish, deps: Dependencies, log: Log) -> Concluded | None:
    """Answer a burst that says nothing else; no model is asked.

    None if that was said before: one confirmation is enough.
    """
    items, now = await unanswered_items(turn, deps), deps.now()
    if (wish.choice == "out") == await _has_opted_out(turn, deps):
        await deps.store.turns.close(turn, "ignored", reason=OUT_ALREADY, items=items, now=now)
        ended(turn, "ignored", deps)
        return None
    words = _confirmation(wish, deps)
    log.info("contact opts out or in", symbol="🔕", choice=wish.choice)
    return await deps.store.turns.conclude(
        turn,
        items=[*items, as_said(words)],
        parts=[NewPart(words)],
        told=Told(choice=wish.choice),
        now=now,
    )


def as_said(words: str) -> JsonObject:
    """Our own words as an item of the thread."""
    return {"role": "assistant", "content": words}


def _confirmation(wish: Wish, deps: Dependencies) -> str:
    texts = deps.texts
    word = deps.rules.first_opt_in_word
    return texts.opted_out_with(word) if wish.choice == "out" else texts.opted_in


async def _has_opted_out(turn: Turn, deps: Dependencies) -> bool:
    return bool((await deps.store.threads.chat(turn.key)).opted_out_at)
