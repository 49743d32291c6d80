"""Letting customers see that what they wrote has been read: the blue ticks."""

from collections.abc import Sequence

import trio

from daemon.chats.dependencies import Dependencies
from daemon.errors import GatewayError
from daemon.model import ChatKey
from daemon.observe.events import UNEXPECTED_ERROR

PATIENCE_SECONDS = 10.0
"""For all messages of a burst; what is not marked by then stays unread."""


async def mark_read(key: ChatKey, message_ids: Sequence[str], needs: Dependencies) -> None:
    """Mark messages as read, the newest first, since phones show that one.

    A courtesy beside the answer: it fails no turn and delays none. Ends within its patience.
    """
    with trio.move_on_after(PATIENCE_SECONDS):
        try:
            for message_id in reversed(message_ids):
                await needs.gateway.mark_read(message_id)
        except GatewayError as error:
            needs.log.debug("not marked as read", chat=key, error=str(error))
        except Exception:  # noqa: BLE001 - a courtesy: it may not end what all chats run in
            what = "not marked as read"
            needs.log.event(UNEXPECTED_ERROR, where="chat", what=what, chat=key, exc_info=True)
