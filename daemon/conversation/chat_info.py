"""A cache of the gateway's details of chats: their saved names and labels.

A courtesy to the model: without it an answer is a little less well informed, so it never fails
one and delays it hardly.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Protocol

import trio

from daemon.domain.messages import ChatInfo, ChatKey
from daemon.errors import GatewayError
from daemon.observability.logs import Log

FRESH_SECONDS = 300.0
"""How long an answer of the gateway holds (the replaced system's value)."""

RETRY_SECONDS = 30.0
"""After a failure the gateway is not asked for so long, so that not each answer is delayed."""

PATIENCE_SECONDS = 1.0
MAX_CHATS = 10_000


class AskChat(Protocol):
    """The call of `daemon.gateway.port.Gateway` whose answers are remembered here."""

    async def get_chat(self, chat: str) -> ChatInfo | None:
        """A chat's saved name and labels; None if the gateway does not know the chat."""


@dataclass(frozen=True, slots=True)
class ChatDetails:
    """The saved name of a chat (empty if there is none) and the names of its labels, in order."""

    name: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    details: ChatDetails | None
    """None: the gateway did not answer."""
    until: float
    """When it is asked again, on trio's clock."""


class ChatInfoCache:
    """The details of the chats that were busy lately. Any task may ask."""

    def __init__(self, gateway: AskChat, log: Log, *, limit: int = MAX_CHATS) -> None:
        self._gateway = gateway
        self._log = log
        self._limit = limit
        self._entries: OrderedDict[ChatKey, _Entry] = OrderedDict()
        self._changes = 0
        """How many changes were reported; an answer to an earlier question is out of date."""

    async def details(self, key: ChatKey) -> ChatDetails | None:
        """The gateway's details of a chat; None if they are not known within a second."""
        entry = self._entries.get(key)
        if entry is not None and trio.current_time() < entry.until:
            self._entries.move_to_end(key)
            return entry.details
        changes = self._changes
        with trio.move_on_after(PATIENCE_SECONDS) as scope:
            try:
                info = await self._gateway.get_chat(key.chat)
            except GatewayError as error:
                self._log.debug("chat not looked up", chat=key, error=str(error))
            else:
                details = _details_of(info)
                self._keep(key, details, FRESH_SECONDS if changes == self._changes else 0)
                return details
        if scope.cancelled_caught:
            self._log.debug("chat not looked up in time", chat=key)
        # A change of the labels may have been reported meanwhile.
        entry = self._entries.get(key)
        details_then = entry.details if entry else None
        self._keep(key, details_then, RETRY_SECONDS)
        return details_then

    def labels_changed(self, key: ChatKey, labels: tuple[str, ...]) -> None:
        """A chat's labels are these now, says the gateway."""
        self._change(key, labels=labels)

    def renamed(self, key: ChatKey, name: str) -> None:
        """A contact or chat is saved under this name now, says the gateway."""
        self._change(key, name=name)

    def _change(self, key: ChatKey, **fields: Any) -> None:
        self._changes += 1
        entry = self._entries.get(key)
        if entry is not None and entry.details is not None:
            self._entries[key] = replace(entry, details=replace(entry.details, **fields))

    def forget(self, key: ChatKey) -> None:
        """Ask the gateway again at the next turn of a chat: we have changed something there."""
        self._entries.pop(key, None)

    def prune(self, seconds: float) -> int:
        """Forget the chats whose details were last asked for so long ago; gives how many."""
        old = trio.current_time() - seconds
        stale = [key for key, entry in self._entries.items() if entry.until < old]
        for key in stale:
            del self._entries[key]
        return len(stale)

    def _keep(self, key: ChatKey, details: ChatDetails | None, seconds: float) -> None:
        self._entries[key] = _Entry(details, trio.current_time() + seconds)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)


def _details_of(info: ChatInfo | None) -> ChatDetails:
    if info is None:
        return ChatDetails()
    labels = tuple(label.name or label.id for label in info.labels)
    return ChatDetails(info.name, tuple(label for label in labels if label))
