"""The built-in tools."""

from typing import Annotated, Literal

from msgspec import Meta

from daemon.domain.records import MAX_FACT_CHARACTERS, MAX_REMINDER_CHARACTERS
from daemon.tools.tool import Tool, ToolContext, Urgency, tool

FactNumber = Annotated[int, Meta(ge=1, le=2**53)]
"""The range in which JSON numbers are exact (RFC 8259, section 6); SQLite's range is larger."""

Level = Literal["recent_50", "recent_100", "recent_200", "recent_400", "recent_600"]

HANDED_OVER = (
    "This chat is handed to a person of the business, beginning with the end of this answer. Tell"
    " the customer briefly that somebody will write to them here. Promise no time and no result."
)


@tool
async def get_conversation_context(context: ToolContext, context_level: Level) -> str:
    """Look up what was said earlier in this conversation, further back than you can see.

    Use it when the customer refers to something that you do not know. Start with recent_50.
    """
    lines = await context.recent_messages(context.key, int(context_level.removeprefix("recent_")))
    return "\n".join(lines) or "There are no earlier messages."


@tool(effects=True, idempotent=True)
async def escalate_to_human(
    context: ToolContext, reason: str, summary: str, urgency: Urgency
) -> str:
    """Hand this conversation to a person of the business, who gets the reason.

    Use it when the customer asks for a person, is upset, or needs what you cannot do. `reason` is
    one line; `summary` is what the person must know to go on without asking the customer again.
    """
    new = await context.conversation.escalate(reason, summary, urgency)
    return HANDED_OVER if new else f"This was done already. {HANDED_OVER}"


@tool
async def set_labels(
    context: ToolContext, add: list[str] | None = None, remove: list[str] | None = None
) -> str:
    """Put WhatsApp labels on this chat, and take others off, by their names."""
    faults = await context.conversation.set_labels(add or [], remove or [])
    return "; ".join(faults) or "Done."


@tool
async def remember(context: ToolContext, fact: str) -> str:
    """Remember one short fact about this customer for all later conversations.

    Only what stays true and is useful: preferences, names, needs. No secrets, no payment data.
    """
    line = " ".join(fact.split())
    if not 0 < len(line) <= MAX_FACT_CHARACTERS:
        return f"Not remembered: a fact has 1 to {MAX_FACT_CHARACTERS} characters."
    number = await context.conversation.remember(line)
    if not number:
        return "Not remembered: there are too many facts. Forget one that matters less first."
    return f"Remembered as fact {number}."


@tool
async def forget_fact(context: ToolContext, fact_id: FactNumber) -> str:
    """Forget a remembered fact about this customer, by its number: it was wrong or has changed."""
    known = await context.conversation.forget_fact(fact_id)
    return "Forgotten." if known else f"There is no fact {fact_id} about this customer."


@tool(effects=True, idempotent=True)
async def remind(
    context: ToolContext,
    when: str,
    text: str,
    cancel_on: Literal["nothing", "reply"],
    is_note: bool = False,  # noqa: FBT001, FBT002 - the model names its arguments
) -> str:
    """Write to this customer again at a later time, because they want it: a reminder.

    `when` is a date and time in ISO 8601, such as 2026-12-01T09:00, in the business's time zone
    unless it says another. `text` is the whole message as the customer is to read it then, in their
    language. `cancel_on`: with `reply` it is not sent if they write before; else `nothing`.
    `is_note`: true if the message depends on what you have to look up at that time; `text` is then
    a note for yourself, and you write the message when it is due.
    """
    words = text.strip()
    if not 0 < len(words) <= MAX_REMINDER_CHARACTERS:
        return f"Not done: the text has 1 to {MAX_REMINDER_CHARACTERS} characters."
    ends = ["reply"] if cancel_on == "reply" else []
    return await context.conversation.remind(when, words, ends, is_note=is_note)


@tool
async def cancel_reminder(context: ToolContext, reminder_id: FactNumber) -> str:
    """Cancel a reminder by its number, because the customer does not want it any more."""
    known = await context.conversation.cancel_reminder(reminder_id)
    return "Cancelled." if known else f"No reminder {reminder_id} waits for this customer."


@tool(timeout=15)
async def search_knowledge(context: ToolContext, question: str) -> str:
    """Search the documents of the business: prices, rules, services, opening hours and the like.

    Use it before you answer a question about the business that these instructions do not answer.
    `question` is one complete question, in the language of the business: translate the customer's.
    Other words find other passages: if a search finds nothing, try once more with synonyms.
    """
    return await context.conversation.search_knowledge(question)


ALL: tuple[Tool, ...] = (
    get_conversation_context,
    escalate_to_human,
    set_labels,
    remember,
    forget_fact,
    remind,
    cancel_reminder,
    search_knowledge,
)
"""All of them, in the order in which the model gets them."""
