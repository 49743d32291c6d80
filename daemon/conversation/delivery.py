"""Saying what is in the outbox: at a human pace, once, and not over a human's words.

Each row goes `pending → sending → sent`. A send of unknown outcome is looked for before
any second try: first its echo, then the chat itself.
"""

import base64
from collections.abc import Iterable, Sequence
from pathlib import PurePath

import trio

from daemon.conversation.presence import TypingIndicator
from daemon.conversation.services import ChatServices
from daemon.conversation.settling import Settling
from daemon.conversation.signals import ChatSignals, Stopping, TakenOver
from daemon.conversation.turn.outcome import ask_in_shut_window
from daemon.domain.ids import is_group
from daemon.domain.limits import LONGEST_WAIT_SECONDS, MICROS, delay, honoured
from daemon.domain.messages import ChatKey
from daemon.domain.prompt.message_text import data_item
from daemon.domain.records import DeliveryUpdate, OutboxRow, Turn, TurnEnd
from daemon.domain.rendering.outgoing import (
    REPEATABLE,
    WITH_MEDIA,
    WITHOUT,
    Outgoing,
    is_template,
    plainer,
)
from daemon.domain.rendering.split import pause_before_next
from daemon.domain.transitions.handover import WINDOW_SHUT
from daemon.domain.transitions.sends import is_window_shut, tag_of
from daemon.errors import (
    FilesUnavailable,
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
    WindowClosed,
)
from daemon.observability.events import GATEWAY_ERROR
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.observability.tracing import exemplar, span

FIRST_TYPING_SECONDS = 3.0
NEXT_TYPING_SECONDS = 2.0
"""How long we are seen typing before the first chunk and before each next one."""

STALE_SECONDS = 1.0
MAX_READINGS = 3
"""A pause that was read longer ago, on the boot clock, is read again before a send, so often."""

MAX_REPETITIONS = 3
"""A reaction that was sent so often without an answer is given up, and so is a message that
`delivery.unknown` lets be repeated."""

NOT_SENT_NOTE = (
    "[A person of the business took over at this point; the rest of the answer above was not sent.]"
)


class Delivery:
    """The outgoing side of one chat; only the chat's task and its children use it, in turn."""

    def __init__(self, key: ChatKey, services: ChatServices, signals: ChatSignals) -> None:
        self._key = key
        self._services = services
        self._outbox = services.store.outbox
        self._gateway = services.number.gateway
        self._pace = services.number.pace
        self._telemetry = services.telemetry
        self._signals = signals
        self._typing = TypingIndicator(key.chat, self._gateway, self._telemetry.log, shown=True)
        self._free_at = float("-inf")
        """When the gateway takes the chat's next message, on trio's clock."""
        self._turn: Turn | None = None
        """The turn whose answer is being sent."""
        self._finishes: Turn | None = None
        """The turn that is over once the present message is sent."""
        self._end: TurnEnd | None = None
        """The end of that turn."""
        self._read_at = 0.0
        """When the pause of the chat was last read from the store, on the boot clock."""

    async def deliver(
        self, rows: Sequence[OutboxRow] | None = None, *, finishes: Turn | None = None
    ) -> TurnEnd | None:
        """Send all waiting messages, in order; ``rows`` are these, if they have been read already.

        ``finishes`` is the turn that is over with it; gives its end, if the last send was it.
        Raises Stopping or TakenOver between two messages; unsent ones stay in the outbox.
        """
        last_text, typing, config = "", False, self._services.config
        self._end, self._turn = None, finishes
        try:
            if rows is None:
                rows = await self._outbox.open_rows(self._key)
            for row in rows:
                if last_text and config.rules.typing:
                    await self._signals.rest(pause_before_next(last_text))
                typing = config.rules.typing
                self._finishes = finishes if row is rows[-1] else None
                ended = await self._deliver_row(row, first=not last_text)
                typing = typing and ended.state != "sent"  # a message ends the indicator
                last_text = row.body or row.kind
        finally:
            if typing:
                await self._typing.take_away()
        return self._end

    async def leave_to_agent(self, turn: Turn) -> None:
        """Drop the unsent part of a turn that an agent has taken over."""
        await self._services.store.turns.close(
            turn,
            "handed_off",
            reason=self._signals.pause_reason,
            items=[data_item("note", NOT_SENT_NOTE)],
            now=self._telemetry.now(),
        )

    # -- one message -----------------------------------------------------------------------------

    async def _deliver_row(self, row: OutboxRow, *, first: bool) -> OutboxRow:
        """Send one message, in as many attempts as it takes; gives the row as it ends."""
        if row.kind == "voice":  # one before it may have turned it into written words
            row = await self._outbox.row(row.id)
        if row.state == "sending":  # a task of this chat crashed in the middle of it
            row = await self._outbox.unknown(row, "the task that sent it crashed")
        with self._signals.sending_row(for_operator=bool(row.author)):
            while row.state in {"pending", "unknown"}:
                self._signals.check()
                if row.state == "pending":
                    # Before anything is shown: typing must not be shown for hours.
                    await self._pace.wait_until_usable(self._signals)
                    if await self._is_window_shut(row):
                        return await self._wait_for_customer(row)
                    row = await self._make_ready(row, first=first)
                    try:
                        message = await self._outgoing(row)
                    except FilesUnavailable as error:
                        row = await self._wait_for_file(row, error)
                        continue
                    if message is None:
                        return await self._outbox.failed(row, "its file is gone")
                    await self._signals.rest(self._free_at - trio.current_time())
                    await self._pace.wait_turn(self._signals)
                    row = await self._send(row, message)
                    pair_seconds = self._gateway.capabilities.pair_seconds
                    self._free_at = trio.current_time() + pair_seconds
                else:
                    row = await self._settle(row)
        if row.kind == "voice" and row.state == "sent":
            self._telemetry.metrics.voice_replies.labels("sent").inc()
        return row

    async def _make_ready(self, row: OutboxRow, *, first: bool) -> OutboxRow:
        """Be seen typing for as long as a person would be, or recording a voice note.

        That is made meanwhile; the row comes back as text if it cannot be.
        """
        spoken, typing = row.kind == "voice", self._services.config.rules.typing
        shown = typing and not (row.attempts or row.author or row.kind == "reaction")
        ready_at = trio.current_time() + (FIRST_TYPING_SECONDS if first else NEXT_TYPING_SECONDS)
        if shown:
            await self._typing.show("recording" if spoken else "typing")
        if spoken:
            row = await self._services.voice.make(row)
            self._signals.check()  # that may have taken a while
        if shown and spoken and row.kind == "text":
            await self._typing.show("typing")
        if shown:
            await self._signals.rest(ready_at - trio.current_time())
        return row

    async def _outgoing(self, row: OutboxRow) -> Outgoing | None:
        """The message of a row as the gateway takes it; None if its file is gone or unreadable."""
        media = ""
        if row.kind in WITH_MEDIA:
            name = str(row.payload.get("file", ""))
            media = await self._data_uri(row, name) if name else str(row.payload.get("source", ""))
            if not media:
                self._telemetry.log.warning("a file to be sent is gone", symbol="❌", outbox=row.id)
                return None
        left_out = row.payload.get(WITHOUT, ())
        previews = self._services.config.rules.link_preview and "link_preview" not in left_out
        return Outgoing(
            kind=row.kind,
            body=row.body,
            quoted=row.quoted,
            payload=row.payload,
            media=media,
            link_preview=previews,
            tag=tag_of(row.id, row.created_at),
        )

    async def _data_uri(self, row: OutboxRow, name: str) -> str:
        try:
            data = await self._services.store.files.read(PurePath(name).name)
        except FilesUnavailable:
            raise
        except OSError as error:
            self._telemetry.log.warning(
                "a file to be sent cannot be read", outbox=row.id, error=str(error)
            )
            return ""
        if data is None:
            return ""
        mime_type = str(row.payload.get("mime_type", "application/octet-stream")).partition(";")[0]
        encoded = await trio.to_thread.run_sync(base64.b64encode, data)
        return f"data:{mime_type};base64,{encoded.decode()}"

    async def _wait_for_file(self, row: OutboxRow, error: FilesUnavailable) -> OutboxRow:
        """Keep a message whose file cannot be had now, and wait a while."""
        await self._outbox.pending(row, str(error))
        await self._back_off(row, GatewayTemporary(str(error)))
        return await self._outbox.row(row.id)

    # -- one attempt -----------------------------------------------------------------------------

    async def _send(self, row: OutboxRow, message: Outgoing) -> OutboxRow:
        """Make one attempt; gives the row as it is afterwards."""
        telemetry, outbox = self._telemetry, self._outbox
        self._read_at = telemetry.boot_clock()
        self._signals.pause_known(await outbox.sending(row, now=telemetry.now()))
        started, message_id = trio.current_time(), ""
        try:
            with (
                span("send", kind=row.kind, attempt=row.attempts + 1),
                self._signals.sending() as released,
            ):
                message_id = await self._gateway.send(
                    self._key.chat, message, before=self._look_again
                )
        except (TakenOver, Stopping):
            self._pace.undecided()
            await outbox.pending(row, "called off before its first byte")
            raise
        except GatewayError as error:
            return await self._not_sent(row, error)
        if released.cancelled_caught:
            self._pace.undecided()
            return await outbox.unknown(row, "its request was cut by an operator")
        self._pace.worked()
        telemetry.metrics.send.observe(trio.current_time() - started, exemplar())
        return await self._sent(row, message_id)

    async def _look_again(self) -> None:
        """Look once more, right before the first byte, whether the send is still wanted.

        If this process or the machine stood still since the chat was read, it is read again; and if
        it stood still too long, another node may say this. Raises TakenOver or Stopping.
        """
        for _ in range(MAX_READINGS):
            before = self._telemetry.boot_clock()
            if before - self._read_at <= STALE_SECONDS:
                break
            self._signals.pause_known(await self._outbox.paused_until(self._key))
            self._read_at = before
        self._signals.check()
        if self._services.store.database.lease_left(self._key.number) <= 0:
            raise Stopping  # another node may have the number; if not, the sweep goes on

    async def _sent(self, row: OutboxRow, message_id: str) -> OutboxRow:
        """The send happened; pending again if WhatsApp has already failed to deliver it."""
        now = self._telemetry.now()
        sent = await self._outbox.sent(
            row,
            message_id,
            finishes=self._finishes,
            now=now,
            resend_since=now - self._services.config.rules.max_age_seconds,
        )
        report_delivery_updates(sent.delivery_updates, self._telemetry.metrics, self._telemetry.log)
        self._end = sent.end
        return sent.row

    async def _not_sent(self, row: OutboxRow, error: GatewayError) -> OutboxRow:
        """Handle the error of a send; gives the row as it is then."""
        pace, outbox, why = self._pace, self._outbox, str(error)
        match error:
            case OutcomeUnknown():
                pace.undecided()
                self._failed("send of unknown outcome", row, error)
                return await outbox.unknown(row, why)
            case NumberTrouble():
                pace.refused(error)
                return await outbox.pending(row, why)
            case WindowClosed():
                pace.worked()
                self._failed("send refused", row, error)
                return await self._wait_for_customer(row)
            case RefusedRecipient():
                pace.undecided()
                pace.doubt.set()  # only the number's health shows that kind of trouble
                self._failed("send refused", row, error)
                return await outbox.failed(row, why)
            case RefusedForm():
                pace.worked()
                self._failed("send refused", row, error)
                return await self._without_refused_part(row, error)
        pace.undecided()
        await outbox.pending(row, why)
        await self._back_off(row, error)
        return await outbox.row(row.id)

    async def _is_window_shut(self, row: OutboxRow) -> bool:
        """Whether the gateway takes only templates in this chat now."""
        seconds = self._gateway.capabilities.window_seconds
        if not seconds or is_template(row) or is_group(self._key.chat):
            return False
        wrote_at = await self._outbox.customer_wrote_at(self._key)
        return is_window_shut(wrote_at, self._telemetry.now(), window_seconds=seconds)

    async def _wait_for_customer(self, row: OutboxRow) -> OutboxRow:
        """Keep a message until the customer writes again, and ask for a person meanwhile."""
        if self._turn is not None:
            await ask_in_shut_window(self._turn, self._services)
        self._telemetry.log.warning(
            "not sent, since the customer last wrote too long ago", chat=self._key, outbox=row.id
        )
        return await self._outbox.failed(row, WINDOW_SHUT)

    async def resume(self) -> bool:
        """Requeue answers that waited for the customer to write again; False if none did."""
        waits_for_customers = bool(self._gateway.capabilities.window_seconds)
        now = self._telemetry.now()
        return waits_for_customers and await self._outbox.customer_is_back(self._key, now=now)

    async def _without_refused_part(self, row: OutboxRow, error: RefusedForm) -> OutboxRow:
        """Requeue a message without the part that may have been refused; else it has failed.

        A voice note is written, unless the refusal points at something else.
        """
        why, previews = str(error), self._services.config.rules.link_preview
        part = plainer(row, error.named, shows_previews=previews)
        if row.kind == "voice" and not (part and error.named):
            return await self._services.voice.write_instead(row, why, "refused")
        if part is None:
            return await self._outbox.failed(row, why)
        return await self._outbox.plainer(row, part, why)

    async def _back_off(self, row: OutboxRow, error: GatewayError) -> None:
        """Wait before another try of a send that certainly did not happen."""
        wait = delay(
            row.attempts,
            base_seconds=self._services.config.rules.retry_seconds,
            cap_seconds=LONGEST_WAIT_SECONDS,
            fraction=self._telemetry.random.random(),
        )
        if isinstance(error, GatewayTemporary):
            wait = max(wait, honoured(error.retry_after))
        self._failed("send failed", row, error)
        await self._pace.rest(self._signals, wait, str(error))

    async def _settle(self, row: OutboxRow) -> OutboxRow:
        """Find out whether a send of unknown outcome happened; if not, it may be repeated."""
        outbox, rules = self._outbox, self._services.config.rules
        patience = max(rules.echo_seconds, self._gateway.capabilities.status_seconds)
        settling = Settling(outbox, self._gateway, self._telemetry.now)
        settles_at = self._services.store.database.settles_at(self._key.number)
        foreign = settles_at - self._telemetry.boot_clock()
        row = await settling.await_echo(row, self._signals, patience, at_least=foreign)
        if row.state != "unknown":
            return row
        if row.kind in REPEATABLE:
            again = row.attempts < MAX_REPETITIONS
            return await (outbox.repeat(row) if again else outbox.failed(row, "no answer"))
        if not self._gateway.capabilities.lists_messages:
            return await self._unsettled(row)
        try:
            message_id = await settling.id_in_chat(row)
        except RefusedRecipient as error:
            return await outbox.failed(row, f"its outcome is unknown: {error}")
        except GatewayError as error:
            self._pace.doubt.set()
            await self._back_off(row, error)
            return await outbox.row(row.id)
        if not message_id:
            self._telemetry.log.warning("send not found in the chat, repeating", outbox=row.id)
            return await outbox.repeat(row)
        return await self._sent(row, message_id)

    async def _unsettled(self, row: OutboxRow) -> OutboxRow:
        """Settle a send whose outcome will never be known."""
        repeats = self._services.config.rules.unknown_sends == "repeat"
        if repeats and row.attempts < MAX_REPETITIONS:
            self._telemetry.log.warning("send of unknown outcome, repeating", outbox=row.id)
            return await self._outbox.repeat(row)
        self._telemetry.log.error(
            "the outcome of a send is unknown",
            symbol="🚨",
            chat=self._key,
            outbox=row.id,
        )
        return await self._outbox.failed(row, "its outcome is unknown")

    def _failed(self, what: str, row: OutboxRow, error: GatewayError) -> None:
        self._telemetry.log.event(
            GATEWAY_ERROR, chat=self._key, operation=what, outbox=row.id, error=str(error)
        )


def report_delivery_updates(
    delivery_updates: Iterable[DeliveryUpdate], metrics: Metrics, log: Log
) -> None:
    """Count delivery updates; one that could not be delivered is logged.

    A failure that is sent once more is a warning; one that leaves the customer without those words
    is an error, to be looked at with `recado explain`.
    """
    for update in delivery_updates:
        if update.charged_as:
            metrics.gateway_messages.labels(update.charged_as).inc()
            metrics.gateway_cost.inc(update.charged_micros / MICROS)
        metrics.statuses.labels(update.status).inc()
        if update.seconds is not None:
            metrics.delivery.observe(update.seconds)
        if update.status != "failed":
            continue
        metrics.send_failures.labels("sent_again" if update.again else "given_up").inc()
        fields = {"chat": update.key, "outbox": update.row_id, "error": update.error}
        if update.again:
            log.warning("WhatsApp could not deliver, saying it again", symbol="❌", **fields)
        else:
            log.error("WhatsApp could not deliver, given up", symbol="🚨", **fields)
