"""The channel's WhatsApp labels by name, remembered for a while."""

from typing import Protocol

import trio

from daemon.model import ChatKey
from daemon.whapi.answers import Label

CACHE_SECONDS = 300.0
MAX_LABELS = 1000
"""WhatsApp Business allows far fewer; what comes after is not known here."""


class LabelGateway(Protocol):
    """The calls of Whapi about labels. They raise only errors of `GatewayError`."""

    async def list_labels(self) -> tuple[Label, ...]:
        """All labels of the channel."""

    async def add_label(self, label_id: str, chat: str) -> None:
        """Put a label on a chat; having it already is success."""

    async def remove_label(self, label_id: str, chat: str) -> None:
        """Take a label off a chat; not having it is success."""


class ChatLabels:
    """Puts labels on chats by their names. Any task may call it."""

    def __init__(self, gateway: LabelGateway) -> None:
        self._gateway = gateway
        self._ids: dict[str, str] = {}
        self._names: tuple[str, ...] = ()
        self._read_at = float("-inf")
        self._reading = trio.Lock()

    async def change(self, key: ChatKey, *, add: tuple[str, ...], remove: tuple[str, ...]) -> str:
        """Change the labels of a chat; gives what is wrong with the names, empty if nothing is.

        Names are compared without regard to case. Nothing is done if one is unknown. Raises
        GatewayError.
        """
        wanted = {_folded(name): name for name in (*add, *remove)}
        await self._refresh()
        unknown = [name for folded, name in wanted.items() if folded not in self._ids]
        if unknown:
            there = ", ".join(self._names) or "none"
            return f"there is no label {', '.join(unknown)}; the labels are: {there}"
        for name in add:
            await self._gateway.add_label(self._ids[_folded(name)], key.chat)
        for name in remove:
            await self._gateway.remove_label(self._ids[_folded(name)], key.chat)
        return ""

    def forget(self) -> None:
        """The channel's labels have been changed: they are read anew when they are needed."""
        self._read_at = float("-inf")

    async def _refresh(self) -> None:
        """Read the labels if they are old; those who want them at the same time read them once."""
        async with self._reading:
            now = trio.current_time()
            if now - self._read_at < CACHE_SECONDS:
                return
            labels = (await self._gateway.list_labels())[:MAX_LABELS]
            self._ids = {_folded(label.name): label.id for label in labels}
            self._names = tuple(label.name for label in labels)
            self._read_at = now


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
