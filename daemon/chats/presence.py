"""Asking WhatsApp to tell us when a contact types: once a contact, within bounds."""

from collections import OrderedDict

from daemon.model import ChatKey

MAX_CONTACTS = 10_000
"""The contacts remembered as subscribed; asking one of them again is harmless (409)."""


class Subscriptions:
    """Which contacts have been subscribed to. Any task may ask."""

    def __init__(self, *, limit: int = MAX_CONTACTS) -> None:
        self._known: OrderedDict[ChatKey, None] = OrderedDict()
        self._limit = limit

    def is_due(self, key: ChatKey) -> bool:
        """True, once, for a person's chat that has not been subscribed to lately."""
        if not key.chat.endswith(("@s.whatsapp.net", "@lid")):
            return False
        if key in self._known:
            self._known.move_to_end(key)
            return False
        self._known[key] = None
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return True

    def forget(self, key: ChatKey) -> None:
        """The subscription failed: try again with the contact's next message."""
        self._known.pop(key, None)
