"""Asking WhatsApp to tell us when a contact types: once a contact, within bounds."""

from collections import OrderedDict

from daemon.model import ChatKey

MAX_CONTACTS = 10_000
"""The contacts remembered as subscribed; asking one of them again is harmless (409)."""

REMEMBERED_SECONDS = 24 * 3600.0
"""A contact who has not written for so long is forgotten, and asked for anew when they do."""


class Subscriptions:
    """Which contacts have been subscribed to. Any task may ask. Times on trio's clock."""

    def __init__(self, *, limit: int = MAX_CONTACTS) -> None:
        self._known: OrderedDict[ChatKey, float] = OrderedDict()
        """When each was last asked for, the longest ago first."""
        self._limit = limit

    def __len__(self) -> int:
        return len(self._known)

    def is_due(self, key: ChatKey, now: float = 0) -> bool:
        """True, once, for a person's chat that has not been subscribed to lately."""
        if not key.chat.endswith(("@s.whatsapp.net", "@lid")):
            return False
        known = key in self._known
        self._known[key] = now
        self._known.move_to_end(key)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return not known

    def forget(self, key: ChatKey) -> None:
        """The subscription failed: try again with the contact's next message."""
        self._known.pop(key, None)

    def forget_all(self) -> None:
        """WhatsApp has a new session of ours, which knows of no subscription."""
        self._known.clear()

    def prune(self, now: float, seconds: float = REMEMBERED_SECONDS) -> int:
        """Forget the contacts who have not written for so long; gives how many."""
        before = len(self._known)
        while self._known and next(iter(self._known.values())) < now - seconds:
            self._known.popitem(last=False)
        return before - len(self._known)
