"""Parsing a stored event again, for `recado replay` and the dashboard."""

from functools import partial
from pathlib import Path

import msgspec

from daemon.conversation.intake import comes_with_bytes, keep_bytes
from daemon.domain.messages import Webhook
from daemon.errors import WebhookError
from daemon.gateway.port import ParseWebhook
from daemon.ledger.admin.replay import StoredEvent
from daemon.media.files import Opened


def parse_again(
    event: StoredEvent, *, parse: ParseWebhook, media: Path
) -> tuple[Webhook | None, list[str]]:
    """Parse a stored event; gives it (None if that is not possible) and what could not be read.

    ``parse`` is that of the number's gateway. Files inside an event that was unreadable before are
    written to ``media``. Blocks. Raises MediaDelayed if one cannot be written.
    """
    if event.body is None:
        return None, ["its raw body is deleted"]
    try:
        webhook = parse(event.body, number=event.number, path_event=event.event)
    except WebhookError as error:
        return None, [str(error)]
    if event.unreadable:
        opened = Opened(event.body, event.body)
        keep = partial(keep_bytes, opened, folder=media, limit=len(event.body))
        messages = tuple(keep(one) if comes_with_bytes(one) else one for one in webhook.messages)
        webhook = msgspec.structs.replace(webhook, messages=messages)
    return webhook, [f"still unreadable: {fault}" for fault in webhook.unreadable]
