"""Reading a webhook call whose body may be large, and keeping the files that came inside of it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import trio

from daemon.errors import (
    MediaDelayed,
    MediaRefused,
    StoreUnavailable,
    WebhookError,
    WebhookTooLarge,
)
from daemon.media.inline import LARGE_BODY_BYTES, Opened, keep_inline, open_body
from daemon.model import Media, Message, Webhook
from daemon.whapi.contents import INLINE_BEGINNINGS
from daemon.whapi.wire import parse_webhook

MOST_READ_BYTES = 16 * 1024 * 1024
"""Of a call, without the files in it. Ten thousand messages have less, and a text of WhatsApp has
65,536 characters. A byte is in memory a dozen times until it is stored and shown to the model."""


async def read_webhook(
    body: bytes, path_event: str, *, nonce: Callable[[], str]
) -> tuple[Webhook, Opened]:
    """Read a call; a large one in a worker thread, without the long strings of bytes in it.

    ``nonce`` gives one: see `daemon.media.inline.open_body`. Raises WebhookTooLarge, or
    WebhookError.
    """
    if len(body) < LARGE_BODY_BYTES:
        return parse_webhook(body, path_event=path_event), Opened(body, body)

    mark = nonce()

    def read() -> tuple[Webhook, Opened] | WebhookError:
        opened = open_body(body, nonce=mark)
        if len(opened.slim) > MOST_READ_BYTES:
            return WebhookTooLarge(f"the body has more than {MOST_READ_BYTES} bytes beside files")
        try:
            return parse_webhook(opened.slim, path_event=path_event), opened
        except WebhookError as error:
            return type(error)(str(error))

    # What a thread raises is kept by trio until the collector's next round, and with it the body.
    found = await trio.to_thread.run_sync(read)
    if isinstance(found, WebhookError):
        raise type(found)(str(found))
    return found


async def keep_files(
    webhook: Webhook, opened: Opened, verdicts: Sequence[str], *, folder: Path, limit: int
) -> Webhook:
    """The call with names of files where its messages had bytes, for those that are answered.

    ``limit``: bytes of a file. Raises StoreUnavailable if a file cannot be written: the gateway
    then repeats the call.
    """
    wanted = [
        not verdict and not message.from_me and comes_with_bytes(message)
        for message, verdict in zip(webhook.messages, verdicts, strict=True)
    ]
    if not any(wanted):
        return webhook
    keep = partial(keep_bytes, opened, folder=folder, limit=limit)
    try:
        messages = [
            await trio.to_thread.run_sync(keep, message) if want else message
            for message, want in zip(webhook.messages, wanted, strict=True)
        ]
    except MediaDelayed as error:
        raise StoreUnavailable(str(error)) from error
    return msgspec.structs.replace(webhook, messages=tuple(messages))


def comes_with_bytes(message: Message) -> bool:
    """True if a file, or a small picture of it, is in the call itself."""
    content = message.content
    return isinstance(content, Media) and (
        content.inline.startswith(INLINE_BEGINNINGS)
        or content.preview.startswith(INLINE_BEGINNINGS)
    )


def keep_bytes(opened: Opened, message: Message, *, folder: Path, limit: int) -> Message:
    """The message with names of files in the place of the bytes that it came with.

    Blocks; for a worker thread, or a command. Raises MediaDelayed if they cannot be written.
    """
    content = message.content
    if not isinstance(content, Media):
        return message
    names = []
    for source in (content.inline, content.preview):
        try:
            names.append(keep_inline(opened, source, folder, limit=limit) if source else "")
        except MediaRefused:
            names.append("")  # the gateway may still have the file
    inline, preview = names
    changed = msgspec.structs.replace(content, inline=inline, preview=preview)
    return msgspec.structs.replace(message, content=changed)
