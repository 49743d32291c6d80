"""The way in: a webhook call is read, stored, and its chats are woken."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from daemon.conversation.delivery import report_delivery_updates
from daemon.conversation.registry import ChatRegistry
from daemon.conversation.services import ChatServices
from daemon.conversation.turn.outcome import ask_in_shut_window
from daemon.domain.eligibility import Policy, verdict
from daemon.domain.ids import is_private
from daemon.domain.limits import day_of
from daemon.domain.messages import INLINE_BEGINNINGS, Call, Media, Message, Presence, Text, Webhook
from daemon.domain.records import Accepted, DeliveryUpdate, NewPart
from daemon.domain.transitions.handover import WINDOW_SHUT
from daemon.errors import (
    FilesUnavailable,
    MediaDelayed,
    MediaRefused,
    StoreUnavailable,
    WebhookError,
    WebhookTooLarge,
)
from daemon.files.port import FileStore
from daemon.gateway.port import ParseWebhook
from daemon.ledger.admin.replay import StoredEvent
from daemon.ledger.drivers.port import PendingWrite
from daemon.ledger.plain_texts import TextCall
from daemon.ledger.references import Judging
from daemon.ledger.statuses import Tariff
from daemon.media.files import FOLDER, LARGE_BODY_BYTES, Opened, keep_inline, open_body
from daemon.observability.events import IMAGE, MANUAL_MESSAGE, MEDIA, MESSAGE, MOST_LOGGED, VOICE

MOST_READ_BYTES = 16 * 1024 * 1024
"""Of a call, without the files in it. Ten thousand messages have less, and a text of WhatsApp has
65,536 characters. A byte is in memory a dozen times until it is stored and shown to the model."""

LARGE_BYTES = 1_000_000
"""Larger calls are read one after the other: while it is read, one takes several times its size."""


async def read_webhook(
    body: bytes, path_event: str, *, number: str, parse: ParseWebhook, nonce: Callable[[], str]
) -> tuple[Webhook, Opened]:
    """Read a call; a large one in a worker thread, without the long strings of bytes in it.

    ``nonce`` gives one: see `daemon.media.files.open_body`. Raises WebhookTooLarge, or
    WebhookError.
    """
    if len(body) < LARGE_BODY_BYTES:
        return parse(body, number=number, path_event=path_event), Opened(body, body)

    mark = nonce()

    def read() -> tuple[Webhook, Opened] | WebhookError:
        opened = open_body(body, nonce=mark)
        if len(opened.slim) > MOST_READ_BYTES:
            return WebhookTooLarge(f"the body has more than {MOST_READ_BYTES} bytes beside files")
        try:
            return parse(opened.slim, number=number, path_event=path_event), opened
        except WebhookError as error:
            return type(error)(str(error))

    # What a thread raises is kept by trio until the collector's next round, and with it the body.
    found = await trio.to_thread.run_sync(read)
    if isinstance(found, WebhookError):
        raise type(found)(str(found))
    return found


async def keep_files(
    webhook: Webhook, opened: Opened, verdicts: Sequence[str], *, files: FileStore, limit: int
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
    keep = partial(keep_bytes, opened, folder=files.path(FOLDER, ""), limit=limit)
    try:
        messages = [
            await trio.to_thread.run_sync(keep, message) if want else message
            for message, want in zip(webhook.messages, wanted, strict=True)
        ]
        kept = [message for message, want in zip(messages, wanted, strict=True) if want]
        await share_files(kept, files)
    except (MediaDelayed, FilesUnavailable) as error:
        raise StoreUnavailable(str(error)) from error
    return msgspec.structs.replace(webhook, messages=tuple(messages))


async def share_files(messages: Iterable[Message], files: FileStore) -> None:
    """Make the files durable for all nodes that messages name in place of their bytes.

    Raises FilesUnavailable.
    """
    for message in messages:
        content = message.content
        if isinstance(content, Media) and not comes_with_bytes(message):
            for name in {content.inline, content.preview} - {""}:
                await files.share(FOLDER, name)


def comes_with_bytes(message: Message) -> bool:
    """True if a file, or a small picture of it, is in the call itself."""
    content = message.content
    return isinstance(content, Media) and (
        content.inline.startswith(INLINE_BEGINNINGS)
        or content.preview.startswith(INLINE_BEGINNINGS)
    )


def keep_bytes(opened: Opened, message: Message, *, folder: Path, limit: int) -> Message:
    """The message with names of files in place of the bytes that it came with.

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


class ReceivedText(PendingWrite[Accepted]):
    """The write of a call with one plain text; see `daemon.ledger.drivers.port.WriteSource`."""

    __slots__ = ("_report", "_text")

    def __init__(
        self, operation: TextCall, text: Message, report: Callable[[Message, Accepted], None]
    ) -> None:
        super().__init__(operation)
        self._text = text
        self._report = report

    def report(self) -> None:
        """Wake the chat of a text that is stored, and log it. Called in the event loop, once."""
        if self.result is not None:
            self._report(self._text, self.result)


class Intake:
    """Accepts the webhook calls of one number. Called by the handlers of HTTP requests."""

    def __init__(self, services: ChatServices, chats: ChatRegistry) -> None:
        self._services = services
        self._store = services.store
        self._number = services.number
        self._attachments = services.attachments
        self._config = services.config
        self._telemetry = services.telemetry
        self._chats = chats
        self._large = trio.CapacityLimiter(1)
        self._judged_by: tuple[Policy, Judging] | None = None
        self._read: tuple[bytes, str, Webhook] | None = None
        """What `received_text` has read and left to `accept`."""

    async def accept(self, body: bytes, path_event: str) -> None:
        """Store one webhook call durably, then wake the chats it is about.

        ``path_event`` is what the URL says the event is, empty if it does not. Raises WebhookError
        (WebhookTooLarge among them) if the body cannot be read, StoreUnavailable if it is not
        stored.
        """
        if len(body) < LARGE_BYTES:
            await self._accept(body, path_event)
            return
        async with self._large:
            await self._accept(body, path_event)

    def received_text(self, body: bytes, path_event: str) -> ReceivedText | None:
        """The write of a call with one plain text of a customer, as nearly all are.

        None: the call is to be given to `accept`. Called in the writer's thread.
        """
        if len(body) >= LARGE_BODY_BYTES:
            return None
        try:
            webhook = self._number.gateway.parse_webhook(
                body, number=self._number.name, path_event=path_event
            )
        except WebhookError:
            return None
        text = webhook.only_text
        if text is not None:
            call = self._store.inbox.text_call(
                webhook, text, body, judging=self._judging, now=self._telemetry.now()
            )
            if call is not None:
                return ReceivedText(call, text, self._text_stored)
        self._read = body, path_event, webhook
        return None

    async def check(self, body: bytes, path_event: str) -> None:
        """Raise WebhookError if a call cannot be read, as `accept` does; store nothing."""
        parse = self._number.gateway.parse_webhook
        await read_webhook(
            body, path_event, number=self._number.name, parse=parse, nonce=self._nonce
        )

    async def _accept(self, body: bytes, path_event: str) -> None:
        now, rules = self._telemetry.now(), self._config.rules
        webhook, opened = await self._opened(body, path_event)
        text = webhook.only_text
        if text is None:
            webhook = await self._with_files(webhook, opened, now)
            await self._take_calls(webhook, now)
        accepted = await self._store.inbox.accept(
            webhook,
            body,
            verdicts=self._judging,
            now=now,
            pause_until=now + rules.pause_seconds if rules.pause_seconds else 0,
            resend_since=now - rules.max_age_seconds,
            tariff=Tariff(day_of(now, rules.zone), rules.message_prices)
            if webhook.statuses
            else None,
        )
        if text is not None:
            self._text_stored(text, accepted)
            return
        if accepted.duplicates:
            self._telemetry.metrics.duplicates.inc(accepted.duplicates)
        await self._wake(webhook, accepted)
        for update in accepted.delivery_updates:
            if update.error == WINDOW_SHUT:
                await self._ask_for_person(update)
        await self._note_changes(webhook)
        self._report(webhook, accepted)

    async def _opened(self, body: bytes, path_event: str) -> tuple[Webhook, Opened]:
        """A call that is read, by `received_text` or now."""
        read, self._read = self._read, None
        if read is not None and read[:2] == (body, path_event):
            return read[2], Opened(body, body)
        return await read_webhook(
            body,
            path_event,
            number=self._number.name,
            parse=self._number.gateway.parse_webhook,
            nonce=self._nonce,
        )

    def _text_stored(self, text: Message, accepted: Accepted) -> None:
        """Wake the chat of a text, and report it."""
        if accepted.duplicates:
            self._telemetry.metrics.duplicates.inc(accepted.duplicates)
        for arrival in accepted.arrivals:
            self._chats.poke(arrival)
        self._report_received(text, accepted)

    async def _wake(self, webhook: Webhook, accepted: Accepted) -> None:
        """Notify the tasks of files and chats of stored work."""
        chats = self._chats
        for message, ignored in zip(webhook.messages, accepted.verdicts, strict=True):
            if not ignored and not message.from_me:
                self._attachments.begin(message)
        for arrival in accepted.arrivals:
            chats.poke(arrival)
        for key in accepted.echoed:
            chats.nudge(key)
        for presence in webhook.presences:
            key = await self._store.identities.canonical(presence.key)
            chats.presence(Presence(key=key, status=presence.status))
        for update in accepted.delivery_updates:
            if update.again:
                chats.wake(update.key)
            elif update.settled:
                chats.nudge(update.key)

    async def _ask_for_person(self, update: DeliveryUpdate) -> None:
        """Ask for a person in a chat whose answer came too late, as the gateway says afterwards."""
        turn = await self._store.turns.of_send(update.row_id)
        if turn is not None:
            await ask_in_shut_window(turn, self._services)
            self._chats.wake(update.key)

    async def _note_changes(self, webhook: Webhook) -> None:
        """Pass on changes of labels, of names, and of the number itself."""
        number, identities = self._number, self._store.identities
        for change in webhook.label_changes:
            key = await identities.canonical(change.key)
            number.chat_info.labels_changed(key, change.labels)
            await self._store.chat_labels.keep(key, change.labels, now=self._telemetry.now())
        for renaming in webhook.name_changes:
            key = await identities.canonical(renaming.key)
            number.chat_info.renamed(key, renaming.name)
        if webhook.labels_changed:
            number.labels.forget()
        if webhook.number_news:
            number.state.report(webhook.number_news)

    @property
    def _judging(self) -> Judging:
        policy = self._config.rules.policy
        if self._judged_by is None or self._judged_by[0] is not policy:
            judging = Judging(
                verdict=lambda known: verdict(known, policy),
                own_ids=policy.own_ids,
                mentions=policy.groups == "mentions",
            )
            self._judged_by = policy, judging
        return self._judged_by[1]

    def _nonce(self) -> str:
        return f"{self._telemetry.random.getrandbits(64):016x}"

    async def _with_files(self, webhook: Webhook, opened: Opened, now: float) -> Webhook:
        """The call with its files kept, as far as they came inside of it and are wanted.

        They must be on the disk before the write that names them, so such a call is judged twice.
        """
        if not any(comes_with_bytes(message) for message in webhook.messages):
            return webhook
        judging, limits = self._judging, self._attachments.rules
        known = await self._store.references.know(
            webhook.messages, own_ids=judging.own_ids, mentions=judging.mentions, now=now
        )
        verdicts = [judging.verdict(one) for one in known]
        files = self._attachments.files
        return await keep_files(webhook, opened, verdicts, files=files, limit=limits.max_bytes)

    async def _take_calls(self, webhook: Webhook, now: float) -> None:
        """Note calls to our number and, if configured, reply that they are not taken here.

        Comes before the 200, so that the gateway repeats a call that is not noted.
        """
        missed = [
            Call(id=message.id, key=message.key, status="missed", at=message.sent_at)
            for message in webhook.messages
            if message.kind == "call" and not message.from_me
        ]
        if not missed and not webhook.calls:
            return
        rules = self._config.rules
        calls = [
            call
            for call in (*webhook.calls, *missed)
            if is_private(call.key.chat)
            and not rules.policy.contacts.refuses({call.key.chat})
            and not rules.policy.chats.refuses({call.key.chat})
        ]
        if not calls:
            return
        reply = NewPart(self._config.texts.call) if rules.answer_calls else None
        for key in await self._store.calls.take_in(calls, reply=reply, now=now):
            self._chats.wake(key)

    # -- metrics and log -------------------------------------------------------------------------

    def _report(self, webhook: Webhook, accepted: Accepted) -> None:
        metrics, log = self._telemetry.metrics, self._telemetry.log
        report_delivery_updates(accepted.delivery_updates, metrics, log)
        for message in webhook.messages:
            if not message.from_me:
                self._report_received(message, accepted)
        for fault in webhook.unreadable:
            log.warning("part of a webhook could not be read", symbol="⚠", fault=fault)
        for arrival in accepted.arrivals:
            if arrival.what == "agent":
                if self._config.rules.pause_seconds:
                    metrics.takeovers.inc()
                log.event(MANUAL_MESSAGE, chat=arrival.key)

    def _report_received(self, message: Message, accepted: Accepted) -> None:
        """Count a message of a customer, and log it unless it was stored before."""
        self._telemetry.metrics.count_message(message.kind)
        if not accepted.stored:
            return
        content = message.content
        tag = content.__struct_config__.tag
        words = f"[{tag if message.kind == 'action' else message.kind}]"
        if isinstance(content, Text) and not message.disappears:
            words = content.body
        fields: dict[str, Any] = {}
        if not isinstance(content, Media):
            kind, fields["text"] = MESSAGE, words[:MOST_LOGGED]
        elif content.medium in {"voice", "audio"}:
            kind, fields["seconds"] = VOICE, content.seconds
        else:
            kind = IMAGE if content.medium == "image" else MEDIA
        self._telemetry.log.event(
            kind,
            name=message.author_name,
            chat=message.key,
            kind=message.kind,
            request=f"webhook_{accepted.event_id}",
            **fields,
        )


def parse_again(
    event: StoredEvent, *, parse: ParseWebhook, media: Path
) -> tuple[Webhook | None, list[str]]:
    """Parse a stored event again, for `recado replay` and the dashboard.

    Returns it (None if that is not possible) and what could not be read. ``parse`` is that of the
    number's gateway. Files inside an event that was unreadable before are written to ``media``.
    Blocks. Raises MediaDelayed if one cannot be written.
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
