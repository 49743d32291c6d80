"""The labels of a number's chats: those of its gateway, or the desk's own where it has none."""

from collections.abc import Callable
from typing import Protocol

import trio

from daemon.conversation.chat_info import PATIENCE_SECONDS, RETRY_SECONDS, ChatDetails
from daemon.domain.labels import folded, unknown_labels
from daemon.domain.messages import ChatKey, Label
from daemon.errors import GatewayError
from daemon.gateway.port import Gateway
from daemon.ledger.labels import ChatLabelRecords

CACHE_SECONDS = 300.0
MAX_LABELS = 1000
"""WhatsApp Business allows far fewer; what comes after is not known here."""


class ChatLabels(Protocol):
    """Puts labels on chats by their names. Any task may call it."""

    async def change(self, key: ChatKey, *, add: tuple[str, ...], remove: tuple[str, ...]) -> str:
        """Change the labels of a chat; gives what is wrong with the names, empty if nothing is.

        Names are compared without regard to case. Nothing is done if one is unknown. Raises
        GatewayError, StoreUnavailable.
        """

    async def known(self) -> tuple[Label, ...] | None:
        """The labels that chats can have; None: those of the desk's list."""

    def of_chat(
        self, details: ChatDetails | None, stored: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        """The labels of a chat, by what its gateway and the ledger say; None if they are not known.

        ``details`` None: the gateway did not answer.
        """

    def forget(self) -> None:
        """The number's labels have changed: read them again when they are needed."""


class LedgerLabels:
    """Labels of the desk's list, for a number whose gateway has none."""

    def __init__(self, records: ChatLabelRecords, *, now: Callable[[], float]) -> None:
        """``now``: the wall clock, Unix seconds."""
        self._records = records
        self._now = now

    async def change(self, key: ChatKey, *, add: tuple[str, ...], remove: tuple[str, ...]) -> str:
        """See the protocol."""
        changes = await self._records.change(key, add=add, remove=remove, now=self._now())
        return changes.fault

    async def known(self) -> tuple[Label, ...] | None:
        """See the protocol."""
        return None

    def of_chat(self, details: ChatDetails | None, stored: tuple[str, ...]) -> tuple[str, ...]:
        """See the protocol."""
        del details
        return stored

    def forget(self) -> None:
        """See the protocol. They are read each time."""


class GatewayLabels:
    """The labels of a number's gateway, remembered for a while."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._ids: dict[str, str] = {}
        self._labels: tuple[Label, ...] = ()
        self._retry_at = float("-inf")
        self._read_at = float("-inf")
        self._reading = trio.Lock()

    async def change(self, key: ChatKey, *, add: tuple[str, ...], remove: tuple[str, ...]) -> str:
        """See the protocol."""
        wanted = {folded(name): name for name in (*add, *remove)}
        await self._refresh()
        unknown = [name for folded, name in wanted.items() if folded not in self._ids]
        if unknown:
            return unknown_labels(unknown, {label.id: label.name for label in self._labels})
        for name in add:
            await self._gateway.add_label(self._ids[folded(name)], key.chat)
        for name in remove:
            await self._gateway.remove_label(self._ids[folded(name)], key.chat)
        return ""

    async def known(self) -> tuple[Label, ...]:
        """The number's labels; those that were read last if the gateway does not answer soon."""
        if trio.current_time() >= self._retry_at:
            with trio.move_on_after(PATIENCE_SECONDS) as scope:
                try:
                    await self._refresh()
                except GatewayError:
                    self._retry_at = trio.current_time() + RETRY_SECONDS
            if scope.cancelled_caught:
                self._retry_at = trio.current_time() + RETRY_SECONDS
        return self._labels

    def of_chat(
        self, details: ChatDetails | None, stored: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        """See the protocol."""
        del stored
        return details.labels if details else None

    def forget(self) -> None:
        """See the protocol."""
        self._read_at = float("-inf")

    async def _refresh(self) -> None:
        """Read the labels if they are old; those who want them at the same time read them once."""
        async with self._reading:
            now = trio.current_time()
            if now - self._read_at < CACHE_SECONDS:
                return
            labels = (await self._gateway.list_labels())[:MAX_LABELS]
            self._ids = {folded(label.name): label.id for label in labels}
            self._labels = labels
            self._read_at = now
