"""How messages of a rehearsal are shown to people. Pure."""

from daemon.domain.rendering.outgoing import Outgoing


def shown_message(message: Outgoing) -> str:
    """A message as text: its words, and in brackets what is no text."""
    if message.kind == "text":
        return message.body
    payload = message.payload
    named = message.body or payload.get("name") or payload.get("title") or payload.get("filename")
    return f"[{message.kind}] {named or ''}".rstrip()
