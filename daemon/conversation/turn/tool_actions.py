"""The conversation as a tool sees it: what one call may do to it."""

import mimetypes
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.turn.escalation import escalate
from daemon.conversation.turn.run_progress import Progress
from daemon.domain.ids import is_group
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.prompt.data import data_item
from daemon.domain.records import Fact, NewPart, Turn
from daemon.domain.rendering.outgoing import WITH_MEDIA, reaction_part
from daemon.errors import GatewayError
from daemon.tools.tool import Urgency

# The files that tools send: taken from one folder, and copied before anything relies on them.


MAX_BYTES = 16 * 1024 * 1024
"""WhatsApp's limit for media; documents may be larger, but go along in one request."""


async def keep_file(part: NewPart, deps: Dependencies) -> NewPart:
    """Copy the file that a message names and name the copy in its place.

    What is sent later, perhaps by another process, is the file as it was now. Raises ValueError in
    words if there is no such file in `tools.files_folder`, or it cannot be sent.
    """
    source = await trio.to_thread.run_sync(_within, deps.rules.files_folder, part.payload["source"])
    mime_type = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
    if part.kind == "image" and not mime_type.startswith("image/"):
        raise ValueError(f"{source.name} is no picture by its name")
    try:
        name, _size = await deps.store.files.keep_copy(source, most=MAX_BYTES)
    except OSError as error:
        raise ValueError(f"{source.name} cannot be read: {error.strerror}") from error
    payload = {"filename": source.name, **part.payload, "file": name, "mime_type": mime_type}
    del payload["source"]
    return replace(part, payload=payload)


def _within(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise ValueError("tools.files_folder is not set: only https addresses can be sent")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError(f"there is no file {name} in tools.files_folder")
    return path


class CallConversation:
    """Implements `daemon.tools.tool.Conversation` for one call of a tool."""

    def __init__(self, turn: Turn, key: str, progress: Progress, deps: Dependencies) -> None:
        """``key`` is the idempotency key of the call."""
        self._turn = turn
        self._key = key
        self._progress = progress
        self._deps = deps
        self._said = 0
        self._over = False

    def close(self) -> None:
        """The call has ended: a thread left behind says nothing more in its name."""
        self._over = True

    async def say(self, text: str) -> bool:
        """See the protocol."""
        return await self._speak(NewPart(text))

    async def send(self, part: NewPart) -> bool:
        """See the protocol."""
        if part.kind in WITH_MEDIA and "://" not in part.payload["source"]:
            part = await keep_file(part, self._deps)
        return await self._speak(part)

    async def react(self, emoji: str) -> bool:
        """See the protocol."""
        messages = self._turn.messages
        return await self._speak(reaction_part(emoji, messages[-1].message.id if messages else ""))

    async def _speak(self, part: NewPart) -> bool:
        ordinal = self._said
        self._said += 1
        return not self._over and await self._progress.speak(self._key, ordinal, part)

    async def escalate(self, reason: str, summary: str, urgency: Urgency) -> bool:
        """See the protocol. The pause begins with the write that ends the turn."""
        rules = self._deps.rules.escalation
        self._progress.effects = True
        new = await escalate(
            self._turn,
            self._deps,
            reason=reason,
            summary=summary,
            urgency=urgency,
            pause_seconds=rules.pause_seconds,
        )
        if rules.label:
            await self._label(rules.label)
        return new

    async def _label(self, name: str) -> None:
        """Label the chat for the agents; a fault of it is only noted."""
        try:
            fault = await self._deps.labels.change(self._turn.key, add=(name,), remove=())
        except GatewayError as error:
            fault = str(error)
        if fault:
            self._deps.log.warning("chat not labelled", label=name, error=fault)

    async def set_labels(self, add: Sequence[str], remove: Sequence[str]) -> list[str]:
        """See the protocol."""
        try:
            fault = await self._deps.labels.change(
                self._turn.key, add=tuple(add), remove=tuple(remove)
            )
        except GatewayError as error:
            self._deps.log.warning("labels not changed", error=str(error))
            return ["the labels could not be changed now"]
        self._deps.chat_info.forget(self._turn.key)  # the next context is to show the new ones
        return [fault] if fault else []

    async def remember(self, fact: str) -> int:
        """See the protocol."""
        return await self._deps.store.facts.remember(self._turn, fact, now=self._deps.now())

    async def forget_fact(self, fact_id: int) -> bool:
        """See the protocol."""
        return await self._deps.store.facts.forget(self._turn.key, fact_id)


def facts_item(key: ChatKey, facts: Sequence[Fact]) -> list[JsonObject]:
    """What is remembered of the contact, as an item for the model; nothing if there is nothing.

    It is made for each request and is no part of the thread: facts come and go.
    """
    if not facts:
        return []
    lines = "\n".join(f"{fact.id}: {fact.text}" for fact in facts)
    # A group has facts of its own: what is known of its members stays in their own chats.
    whom = "group" if is_group(key.chat) else "customer"
    return [data_item("facts", f"[Remembered about this {whom}]\n{lines}")]
