"""What the model would write next in a chat, for a colleague to edit; nothing is sent or stored."""

from daemon.conversation.services import ChatServices
from daemon.conversation.turn.history import ask_aside
from daemon.conversation.turn.prompt_builder import facts_item, notes_item
from daemon.domain.messages import ChatKey, JsonObject, ModelRequest
from daemon.domain.prompt.history_budget import LOWEST_RATIO, as_input, shown
from daemon.domain.prompt.message_text import as_lines, data_item

WANTED = (
    "[A colleague who answers this customer asks for a suggestion. Write the next message to the"
    " customer, and nothing else. The colleague reads it before anything is sent.]"
)


async def suggestion(key: ChatKey, services: ChatServices) -> str:
    """Ask the model for the next message in a chat; empty if it gives none in time.

    It has the conversation, what waits for a person, and the notes that are marked for it, but no
    tools: a suggestion has no effects. Any task may call it. Raises StoreUnavailable.
    """
    store, rules = services.store, services.config.rules
    budget = rules.history_tokens
    memory = await store.memories.recall(key, tokens=int(budget / LOWEST_RATIO))
    waiting = await store.handovers.to_note(key, waiting_too=True)
    words = "\n".join(as_lines(stored.message) for stored in waiting)
    burst: tuple[JsonObject, ...] = ({"role": "user", "content": words},) if words else ()
    request = ModelRequest(
        instructions=rules.instructions,
        items=(
            *facts_item(key, memory.facts),
            *notes_item(memory.notes),
            *as_input(memory, shown(memory, budget=budget)),
            *burst,
            data_item("colleague", WANTED),
        ),
        contact_hash=services.model.contact_hash(key),
    )
    response = await ask_aside(key, request, services, failure="no suggestion")
    return "" if response is None or response.incomplete else response.text.strip()
