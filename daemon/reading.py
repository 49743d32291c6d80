"""What the model is told of each message, and which messages are not for it.

Pure. A message becomes lines of text in the order in which they were sent; what cannot be shown
to the model is named in brackets, so that it can ask instead of guessing.
"""

from collections.abc import Sequence

from daemon.ledger import StoredMessage
from daemon.model import (
    AnyContent,
    Choice,
    Contacts,
    Deletion,
    Edit,
    JsonObject,
    Location,
    Media,
    Message,
    Other,
    Poll,
    Reaction,
    Text,
    Vote,
)
from daemon.texts import Texts

NOT_CHATS = ("@broadcast", "@newsletter", "stories")
"""Endings of chat ids in which nobody expects an answer."""


def verdict(message: Message) -> str:
    """Why a customer's message is not answered; empty if it is."""
    if message.key.chat.endswith(NOT_CHATS):
        return "not a conversation"
    if message.is_group:
        return "groups are not answered"
    content = message.content
    if isinstance(content, Edit | Deletion):
        return "a change of another message"
    if isinstance(content, Reaction | Vote):
        return "a reaction" if isinstance(content, Reaction) else "a vote"
    if isinstance(content, Other):
        return f"nothing to answer in a message of type {message.kind}"
    if isinstance(content, Text) and not content.body.strip():
        return "an empty text"
    return ""


def as_line(content: AnyContent) -> str:
    """One content as the model reads it."""
    if isinstance(content, Text):
        return content.body.strip()
    if isinstance(content, Media):
        name = f" {content.file_name}" if content.file_name else ""
        length = f", {content.seconds:.0f} s" if content.seconds else ""
        note = f"[{content.medium}{name}{length}, which you cannot open]"
        return f"{note} {content.caption}".strip()
    if isinstance(content, Location):
        place = ", ".join(p for p in (content.name, content.address, content.caption) if p)
        return f"[location {content.latitude:.5f}, {content.longitude:.5f}] {place}".strip()
    if isinstance(content, Contacts):
        return "[contacts] " + ", ".join(card.name for card in content.cards)
    if isinstance(content, Choice):
        return ": ".join(p for p in (content.title or content.choice_id, content.description) if p)
    if isinstance(content, Poll):
        return f"[poll] {content.title}: {', '.join(content.options)}"
    return content.body.strip() if isinstance(content, Other) else ""


def as_lines(message: Message) -> str:
    """One message as the model reads it, with what it quotes."""
    line = as_line(message.content)
    if message.forwarded:
        line = f"[forwarded] {line}"
    if message.quote and message.quote.body:
        quoted = " ".join(message.quote.body.split())
        line = f"> {quoted[:300]}\n{line}"
    return line


def burst_item(messages: Sequence[StoredMessage]) -> JsonObject:
    """A burst as one input item of the user, in the order of arrival."""
    text = "\n".join(as_lines(stored.message) for stored in messages)
    return {"role": "user", "content": text}


def agent_items(messages: Sequence[StoredMessage], texts: Texts) -> list[JsonObject]:
    """The words of a human agent, as the assistant's side of the conversation."""
    if not messages:
        return []
    name = messages[0].message.author_name or messages[0].message.author
    words = "\n".join(as_lines(stored.message) for stored in messages)
    return [{"role": "assistant", "content": f"{texts.note_of(name)}\n{words}"}]
