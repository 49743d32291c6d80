"""What a human agent handles: told to the model, so that it knows when it takes over again."""

from daemon.chats.attention import Attention
from daemon.chats.dependencies import Dependencies
from daemon.consent import wish_of
from daemon.ledger import StoredMessage
from daemon.model import ChatKey, JsonObject
from daemon.reading.media import Seen
from daemon.reading.messages import agent_items, burst_item, kept
from daemon.texts import Texts


async def note_what_an_agent_handles(
    key: ChatKey, attention: Attention, needs: Dependencies
) -> None:
    """Put an agent's words into the thread, and the customer's that the agent answers.

    What waits for the agent is told when that is over. A customer who wants no unasked messages
    has said so to the agent: it is kept, and the confirmation is the agent's. Called by the task
    of the chat.
    """
    store, threads = needs.store, needs.store.threads
    theirs = await store.inbox.waiting(key, from_me=True)
    waiting_too = not attention.is_paused
    customers = await store.handovers.to_note(key, waiting_too=waiting_too)
    now, said = needs.now(), [stored.message for stored in customers]
    seen = await needs.attachments.known(said)
    items = _conversation(theirs, customers, seen, needs.texts)
    if items:
        await threads.note_waiting(
            key,
            [stored.seq for stored in theirs],
            items,
            state="ignored",
            reason="agent",
            noted=[stored.seq for stored in customers],
            choice=wish_of(said, needs.rules.consent, opted_out=True).choice,
            now=now,
        )
    if theirs:
        needs.log.info("MANUAL_SYNC_SUCCESS", symbol="👥", messages=len(theirs))


def _conversation(
    theirs: tuple[StoredMessage, ...],
    customers: tuple[StoredMessage, ...],
    seen: Seen,
    texts: Texts,
) -> list[JsonObject]:
    """Both sides' words in the order they were written."""
    items: list[JsonObject] = []
    side: list[StoredMessage] = []
    everything = kept(sorted((*theirs, *customers), key=lambda stored: stored.seq))
    for number, stored in enumerate(everything):
        side.append(stored)
        last = number + 1 == len(everything)
        if last or everything[number + 1].message.from_me != stored.message.from_me:
            items += (
                agent_items(side, texts) if stored.message.from_me else [burst_item(side, seen)]
            )
            side = []
    return items
