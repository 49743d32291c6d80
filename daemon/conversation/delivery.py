"""Saying what is in the outbox: at a human pace, once, and not over a human's words.

Each row goes `pending → sending → sent`. A send whose outcome nobody knows is looked for before
any second try: first its echo, then the chat itself.
"""

from collections.abc import Sequence

import trio

from daemon.conversation.delivery_updates import report_delivery_updates
from daemon.conversation.deps import Dependencies
from daemon.conversation.presence import show, take_away
from daemon.conversation.settling import await_echo, id_in_chat
from daemon.conversation.signals import ChatSignals, Stopping, TakenOver
from daemon.conversation.voice import make_voice, outgoing, write_instead
from daemon.domain.messages import ChatKey
from daemon.domain.prompt.data import data_item
from daemon.domain.records import OutboxRow, Turn, TurnEnd
from daemon.domain.rendering.outgoing import REPEATABLE, Outgoing, plainer
from daemon.domain.rendering.split import pause_before_next
from daemon.domain.retries import LONGEST_WAIT_SECONDS, delay, honoured
from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
)
from daemon.observability.events import GATEWAY_ERROR
from daemon.observability.tracing import exemplar, span

FIRST_TYPING_SECONDS = 3.0
NEXT_TYPING_SECONDS = 2.0
"""How long we are seen typing before the first chunk and before each next one."""

STALE_SECONDS = 1.0
MAX_READINGS = 3
"""A pause that was read longer ago, on the boot clock, is read again before a send, so often."""

MAX_REPETITIONS = 3
"""A reaction that was sent so often without an answer is let be."""


class Delivery:
    """The outgoing side of one chat; only the chat's task and its children use it, in turn."""

    def __init__(self, key: ChatKey, deps: Dependencies, signals: ChatSignals) -> None:
        self._key = key
        self._deps = deps
        self._signals = signals
        self._finishes: Turn | None = None
        """The turn that is over when the message that is being said has been."""
        self._end: TurnEnd | None = None
        """How that has ended."""
        self._read_at = 0.0
        """When the pause of the chat was last read from the store, on the boot clock."""

    async def deliver(
        self, rows: Sequence[OutboxRow] | None = None, *, finishes: Turn | None = None
    ) -> TurnEnd | None:
        """Say everything that waits, in order; ``rows`` is that, if it has been read already.

        ``finishes`` is the turn that is over with it; gives its end, if the last send was it.
        Raises Stopping or TakenOver between two messages; what is not said stays in the outbox.
        """
        said, typing = "", False
        self._end = None
        try:
            if rows is None:
                rows = await self._deps.store.outbox.open_rows(self._key)
            for row in rows:
                if said and self._deps.rules.typing:
                    await self._signals.rest(pause_before_next(said))
                typing = self._deps.rules.typing
                self._finishes = finishes if row is rows[-1] else None
                ended = await self._say(row, first=not said)
                typing = typing and ended.state != "sent"  # a message ends the indicator
                said = row.body or row.kind
        finally:
            if typing:
                await take_away(self._key.chat, self._deps)
        return self._end

    async def _say(self, row: OutboxRow, *, first: bool) -> OutboxRow:
        """Say one message, in as many attempts as it takes; gives the row as it ends."""
        if row.kind == "voice":  # one before it may have turned it into written words
            row = await self._deps.store.outbox.row(row.id)
        if row.state == "sending":  # a task of this chat crashed in the middle of it
            row = await self._deps.store.outbox.unknown(row, "the task that sent it crashed")
        self._signals.operator_actions = bool(row.author)
        try:
            while row.state in {"pending", "unknown"}:
                self._signals.check()
                if row.state == "pending":
                    # Before anything is shown: nobody is to be seen typing for hours.
                    await self._deps.channel.wait_until_well(self._signals)
                    row = await self._make_ready(row, first=first)
                    message = await outgoing(row, self._deps)
                    if message is None:
                        return await self._deps.store.outbox.failed(row, "its file is gone")
                    await self._deps.channel.wait_turn(self._signals)
                    row = await self._send(row, message)
                else:
                    row = await self._settle(row)
        finally:
            self._signals.operator_actions = False
        if row.kind == "voice" and row.state == "sent":
            self._deps.metrics.voice_replies.labels("sent").inc()
        return row

    async def leave_to_agent(self, turn: Turn) -> None:
        """Drop what is not said yet of a turn that an agent has taken over."""
        deps = self._deps
        note = (
            "[A person of the business took over at this point; the rest of the answer above was"
            " not sent.]"
        )
        await deps.store.turns.close(
            turn,
            "handed_off",
            reason=self._signals.pause_reason,
            items=[data_item("note", note)],
            now=deps.now(),
        )

    async def _make_ready(self, row: OutboxRow, *, first: bool) -> OutboxRow:
        """Be seen typing for as long as a person would be, or recording a voice note.

        That is made meanwhile; the row comes back as text if it cannot be.
        """
        deps, spoken = self._deps, row.kind == "voice"
        shown = deps.rules.typing and not (row.attempts or row.author or row.kind == "reaction")
        ready_at = trio.current_time() + (FIRST_TYPING_SECONDS if first else NEXT_TYPING_SECONDS)
        if shown:
            await show(self._key.chat, "recording" if spoken else "typing", deps)
        if spoken:
            row = await make_voice(row, deps)
            self._signals.check()  # that may have taken a while
        if shown and spoken and row.kind == "text":
            await show(self._key.chat, "typing", deps)
        if shown:
            await self._signals.rest(ready_at - trio.current_time())
        return row

    async def _send(self, row: OutboxRow, message: Outgoing) -> OutboxRow:
        """Make one attempt; gives the row as it is afterwards."""
        deps, outbox = self._deps, self._deps.store.outbox
        self._read_at = deps.boot_clock()
        self._heed(await outbox.sending(row, now=deps.now()))
        started, message_id = trio.current_time(), ""
        try:
            with (
                span("send", kind=row.kind, attempt=row.attempts + 1),
                self._signals.sending() as released,
            ):
                message_id = await deps.gateway.send(
                    self._key.chat, message, before=self._look_again
                )
        except (TakenOver, Stopping):
            deps.channel.undecided()
            await outbox.pending(row, "called off before its first byte")
            raise
        except GatewayError as error:
            return await self._not_sent(row, error)
        if released.cancelled_caught:
            deps.channel.undecided()
            return await outbox.unknown(row, "its request was cut by an operator")
        deps.channel.worked()
        deps.metrics.send.observe(trio.current_time() - started, exemplar())
        return await self._sent(row, message_id)

    async def _look_again(self) -> None:
        """Look once more, right before the first byte, whether the send is still wanted.

        If this process or the machine stood still since the chat was read, it is read again.
        Raises TakenOver or Stopping.
        """
        deps = self._deps
        for _ in range(MAX_READINGS):
            before = deps.boot_clock()
            if before - self._read_at <= STALE_SECONDS:
                break
            self._heed(await deps.store.outbox.paused_until(self._key))
            self._read_at = before
        self._signals.check()

    def _heed(self, paused_until: float) -> None:
        """The store has the chat paused until then, Unix seconds."""
        self._signals.paused_until = max(self._signals.paused_until, paused_until)

    async def _not_sent(self, row: OutboxRow, error: GatewayError) -> OutboxRow:
        """Decide by what a send came to; gives the row as it is then."""
        deps, outbox, why = self._deps, self._deps.store.outbox, str(error)
        match error:
            case OutcomeUnknown():
                deps.channel.undecided()
                self._failed("send of unknown outcome", row, error)
                return await outbox.unknown(row, why)
            case NumberTrouble():
                deps.channel.refused(error)
                return await outbox.pending(row, why)
            case RefusedRecipient():
                deps.channel.undecided()
                deps.channel.doubt.set()  # only the number's health tells one that nobody takes
                self._failed("send refused", row, error)
                return await outbox.failed(row, why)
            case RefusedForm():
                deps.channel.worked()
                self._failed("send refused", row, error)
                return await self._without_refused_part(row, error)
        deps.channel.undecided()
        await outbox.pending(row, why)
        await self._back_off(row, error)
        return await outbox.row(row.id)

    async def _without_refused_part(self, row: OutboxRow, error: RefusedForm) -> OutboxRow:
        """Let a message be said once more without what may have been refused; else it has failed.

        A voice note is written, unless the refusal points at something else.
        """
        deps, why = self._deps, str(error)
        part = plainer(row, error.named, shows_previews=deps.rules.link_preview)
        if row.kind == "voice" and not (part and error.named):
            return await write_instead(row, why, "refused", deps)
        if part is None:
            return await deps.store.outbox.failed(row, why)
        return await deps.store.outbox.plainer(row, part, why)

    async def _sent(self, row: OutboxRow, message_id: str) -> OutboxRow:
        """It was said; pending again if WhatsApp has told already that it could not deliver it."""
        deps, now = self._deps, self._deps.now()
        sent = await deps.store.outbox.sent(
            row,
            message_id,
            finishes=self._finishes,
            now=now,
            resend_since=now - deps.rules.max_age_seconds,
        )
        report_delivery_updates(sent.delivery_updates, deps.metrics, deps.log)
        self._end = sent.end
        return sent.row

    async def _back_off(self, row: OutboxRow, error: GatewayError) -> None:
        """Wait before another try of a send that certainly did not happen."""
        wait = delay(
            row.attempts,
            base_seconds=self._deps.rules.retry_seconds,
            cap_seconds=LONGEST_WAIT_SECONDS,
            fraction=self._deps.random.random(),
        )
        if isinstance(error, GatewayTemporary):
            wait = max(wait, honoured(error.retry_after))
        self._failed("send failed", row, error)
        await self._deps.channel.rest(self._signals, wait, str(error))

    async def _settle(self, row: OutboxRow) -> OutboxRow:
        """Find out whether a send of unknown outcome happened; if not, it may be repeated."""
        deps, outbox = self._deps, self._deps.store.outbox
        row = await await_echo(row, deps, self._signals)
        if row.state != "unknown":
            return row
        if row.kind in REPEATABLE:
            again = row.attempts < MAX_REPETITIONS
            return await (outbox.repeat(row) if again else outbox.failed(row, "no answer"))
        if not deps.gateway.capabilities.lists_messages:
            return await outbox.failed(row, "nobody can tell whether it was sent")
        try:
            message_id = await id_in_chat(row, deps)
        except RefusedRecipient as error:
            return await outbox.failed(row, f"nobody can tell whether it was sent: {error}")
        except GatewayError as error:
            deps.channel.doubt.set()
            await self._back_off(row, error)
            return await outbox.row(row.id)
        if not message_id:
            deps.log.warning("send not found in the chat, repeating", outbox=row.id)
            return await outbox.repeat(row)
        return await self._sent(row, message_id)

    def _failed(self, what: str, row: OutboxRow, error: GatewayError) -> None:
        self._deps.log.event(
            GATEWAY_ERROR, chat=self._key, operation=what, outbox=row.id, error=str(error)
        )
