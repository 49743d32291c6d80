"""A case for every method of the ledger that writes: what is there before it, and the call.

`tests/postgres/test_repeated_writes.py` repeats each call whose commit was cut off. A method
without a case fails there.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from daemon.domain.accounts import Account, Preferences
from daemon.domain.dashboard_values import LogLine, Sample
from daemon.domain.eligibility import DEFAULT_POLICY
from daemon.domain.knowledge.passages import Passage
from daemon.domain.limits import Charge, Use
from daemon.domain.messages import (
    Call,
    ChatKey,
    Media,
    Message,
    ModelResponse,
    Webhook,
)
from daemon.domain.notification_texts import Occasion
from daemon.domain.records import ChatUpdate, NewPart, OutboxRow, Run, Turn, Validation
from daemon.domain.rendering.templates import Template
from daemon.domain.roles import AccessRole
from daemon.domain.versions import Version
from daemon.ledger.admin.replay import replay_dead, replay_event, stored_event
from daemon.ledger.candidates import CandidateAnswer
from daemon.ledger.comparisons import CandidateTurn, NewComparison, keep_comparison
from daemon.ledger.files import expire
from daemon.ledger.forget.forget import close, erase_traces, look, moved, write_paced
from daemon.ledger.forget.jobs import ask, ask_chat, next_work
from daemon.ledger.forget.stages import OVER, Work
from daemon.ledger.former_channels import name_channels
from daemon.ledger.knowledge import ReadDocument
from daemon.ledger.ledger import Store
from daemon.ledger.media import drop_unnamed, expire_media
from daemon.ledger.process_records import StageRow
from daemon.ledger.reminders import NewReminder, Reminder
from daemon.ledger.tokens import api_tokens, create_token
from daemon.ledger.webhook_deliveries import Subscription, WebhookDelivery
from support.ledgers import CHANNEL, OPERATOR, accept, message, open_turn, tool_call
from support.rows import select

DAY = "2026-03-01"
MEDIA = Path("/nowhere/media")
SAID = [{"role": "user", "content": "Hola"}, {"role": "assistant", "content": "Claro"}]
PART = NewPart("Claro")
CHARGE = Charge(DAY, Use(100, 10))
EVENTS = (
    "message.received", "message.sent", "turn.ended", "chat.escalated", "chat.waiting",
    "chat.taken_over", "chat.given_back", "contact.changed", "reminder.changed",
    "budget.used_up", "number.changed",
)  # fmt: skip

Action = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A ledger, and a chat that nobody else uses."""

    store: Store
    key: ChatKey

    async def received(self, *texts: str) -> None:
        """The customer wrote these."""
        for text in texts or ("Hola",):
            await accept(self.store, message(f"{self.key.chat[:12]}-{text}", text, key=self.key))

    async def turn(self) -> Turn:
        """A turn on what the customer wrote."""
        await self.received()
        return await open_turn(self.store, self.key)

    async def run(self) -> Run:
        """Its run, whose first round is asked."""
        run, _ = await self.store.runs.start(await self.turn(), attempt=1, wanted=CHARGE, now=102)
        return run

    async def queued(self) -> tuple[Turn, OutboxRow]:
        """An answer that waits to be sent, and its turn."""
        done = await self.store.turns.conclude(await self.turn(), items=SAID, parts=[PART], now=103)
        return done.turn, done.to_send[0]

    async def sending(self) -> tuple[Turn, OutboxRow]:
        """An answer that is being sent."""
        turn, row = await self.queued()
        await self.store.outbox.sending(row, now=104)
        return turn, await self.store.outbox.row(row.id)

    async def refused(self) -> OutboxRow:
        """An answer that was refused for good."""
        turn, row = await self.sending()
        row = await self.store.outbox.failed(row, "refused")
        await self.store.turns.finish(turn, now=106)
        return row

    async def photo(self) -> Message:
        """A message with a file that is wanted."""
        one = message(
            f"{self.key.chat[:12]}-photo", Media(medium="image", media_id="f-1"), key=self.key
        )
        await accept(self.store, one)
        await self.store.media.want(one, now=101)
        return one

    async def reminder(self) -> Reminder:
        """A reminder that waits."""
        new = NewReminder(text="Mañana a las diez", due_at=500)
        await self.received("Recuérdame")
        await self.store.turns.close(await open_turn(self.store, self.key), "answered", now=102)
        await self.store.reminders.add(self.key, new, name=self.key.chat, most=9, now=150)
        (reminder,) = await self.store.reminders.waiting(self.key)
        return reminder

    async def delivery(self) -> WebhookDelivery:
        """What an endpoint is to get about this chat."""
        await self.received("Avisa")
        found = await self.store.webhooks.due("crm", [CHANNEL], now=9999, limit=9999)
        return next(one for one in found if one.key == self.key)

    async def work(self, *, until: str = "") -> Work:
        """Erasing this person has come so far."""
        await self.received("Olvídame")
        await self.store.turns.close(await open_turn(self.store, self.key), "answered", now=102)
        database = self.store.database
        name = await database.write(partial(ask, names=[self.key.chat], by=OPERATOR, now=110))
        read = partial(next_work, data_dir=self.store.data_dir, name=name)
        work = await database.read(read)
        assert work is not None
        while until and work.stage != until:
            batch = await database.read(partial(look, work=work))
            if batch.rows:
                erase = partial(write_paced, work=work, batch=batch, now=120, clock=lambda: 0.0)
                work = await database.write(erase)
            else:
                work = moved(work, batch)
        return work


Case = Callable[[Scene], Awaitable[Action]]
CASES: dict[str, Case] = {}
"""By the qualified name of the method, or of the function that calls `Database.write` itself."""

REPEATED_ON_PURPOSE = {
    "Audit.write": "each attempt, to sign in for example, is a row",
    "WaitingCalls.add": "the gateway repeats the call, and the intake knows its messages",
    "ProcessHistory.begin": "a start that fails has been a process: the next one counts its end",
    "Runs.round_started": "each try to ask the model is counted, that of unknown outcome too",
    "UsageBook.charge": "a real call each time; without its run, none knows the other",
    "UsageBook.take": "likewise; a budget rather counts too much",
    "DashboardLog.start": "a range of ids is left out",
    "Passages._begin": "a version that is never complete is swept",
    "Passages._add": "likewise: after a fault the document is begun again",
    "Passages.sweep": "each call deletes another document's passages",
    "Forgetter._erase": "after a fault the work is read again, as far as it has come",
    "Commands.ask": "nobody repeats it: who has asked is told that it is not known",
    "OnceDatabase.write": "a second one is refused, since the first has marked its command",
    "DashboardLog.add_in_order": "a line of the live log is there twice, at worst",
    "Enquiries.drop_old": "each call deletes some more",
    "Comparisons.drop_old": "likewise",
    "Topics.asked": "each try to ask the model is counted, that of unknown outcome too",
    "_play_again": "the ledger of a rehearsal is not kept",
    "SearchIndex.step": "each call puts the next rows in, and none is in twice",
    "SearchIndex.merge": "a server's index needs none; SQLite's is merged some more by each call",
    "SearchIndex.purge": "a server's index needs none; SQLite's is merged some more by each call",
    "Inbox.accept": "each call is kept as it came, and its messages are known",
}
"""Methods that have another effect when they are repeated, and why that is right."""


def case(name: str) -> Callable[[Case], Case]:
    """Note the case of a method."""

    def note(one: Case) -> Case:
        CASES[name] = one
        return one

    return note


def _simple(name: str, call: Callable[[Scene], Action]) -> None:
    """A case that needs nothing before it."""

    async def prepared(scene: Scene) -> Action:
        await scene.received()
        return call(scene)

    CASES[name] = prepared


def _of_turn(name: str, call: Callable[[Store, Turn], Action]) -> None:
    """A case of an open turn."""

    async def prepared(scene: Scene) -> Action:
        return call(scene.store, await scene.turn())

    CASES[name] = prepared


def _of_run(name: str, call: Callable[[Store, Run], Action]) -> None:
    """A case of a run whose first round is asked."""

    async def prepared(scene: Scene) -> Action:
        return call(scene.store, await scene.run())

    CASES[name] = prepared


def _of_send(name: str, call: Callable[[Store, OutboxRow], Action]) -> None:
    """A case of a message that is being sent."""

    async def prepared(scene: Scene) -> Action:
        _, row = await scene.sending()
        return call(scene.store, row)

    CASES[name] = prepared


# -- a webhook comes in ------------------------------------------------------------------------


_simple("References.learn_own_id", lambda s: partial(s.store.references.learn_own_id, CHANNEL, "9"))
_simple(
    "Calls.take_in",
    lambda s: partial(
        s.store.calls.take_in,
        [Call(id=f"call {s.key.chat}", key=s.key, status="missed", at=200)],
        reply=NewPart("Escríbenos"),
        now=201,
    ),
)


@case("WaitingCalls.taken")
async def _taken(scene: Scene) -> Action:
    await scene.store.waiting_calls.add(scene.key.chat, "", b"{}", now=100)
    (call,) = await scene.store.waiting_calls.of_number(scene.key.chat, beside=())
    return partial(scene.store.waiting_calls.taken, [call.id])


async def _asked(scene: Scene) -> int:
    return await scene.store.commands.ask(scene.key.chat, "", "release", "{}", now=100)


@case("Commands.done")
async def _command_done(scene: Scene) -> Action:
    return partial(scene.store.commands.done, await _asked(scene), "true")


@case("Commands.forget")
async def _command_forgotten(scene: Scene) -> Action:
    await scene.store.commands.done(await _asked(scene), "true")
    return partial(scene.store.commands.forget, before=200)


@case("Identities.join")
async def _join(scene: Scene) -> Action:
    alias = ChatKey(CHANNEL, f"{scene.key.chat[:12]}@lid")
    await accept(scene.store, message(f"lid {alias.chat}", key=alias))
    await scene.received()
    return partial(scene.store.identities.join, alias, scene.key.chat, now=200)


@case("MediaItems.want")
async def _want(scene: Scene) -> Action:
    await scene.received("Foto")
    photo = Media(medium="image", media_id="f")
    one = message(f"{scene.key.chat[:12]}-Foto", photo, key=scene.key)
    return partial(scene.store.media.want, one, now=101)


@case("MediaItems._change")
async def _fetched(scene: Scene) -> Action:
    photo = await scene.photo()
    stored = scene.store.media.stored
    return partial(stored, photo, file="a.jpg", mime="image/jpeg", size=3, now=102)


@case("MediaItems.delete_withdrawn")
async def _withdrawn(scene: Scene) -> Action:
    one = message(
        f"{scene.key.chat[:12]}-v",
        Media(medium="image", media_id="f", view_once=True),
        key=scene.key,
        ephemeral=True,
    )
    await accept(scene.store, one)
    await scene.store.media.want(one, now=101)
    turn = await open_turn(scene.store, scene.key)
    await scene.store.turns.close(turn, "answered", now=102)
    return partial(scene.store.media.delete_withdrawn, turn)


# -- a turn ------------------------------------------------------------------------------------

_simple(
    "Turns.open",
    lambda s: partial(s.store.turns.open, s.key, request_id="r", limit=9, quotes=False, now=200),
)


@case("Turns.join")
async def _joined(scene: Scene) -> Action:
    turn = await scene.turn()
    await scene.store.runs.begin(turn, now=102)
    await scene.received("Otra cosa")
    return partial(scene.store.turns.join, turn, limit=9, counts=True, now=200)


_of_turn(
    "Turns.conclude",
    lambda store, turn: partial(
        store.turns.conclude,
        turn,
        items=SAID,
        parts=[PART, NewPart("Hasta luego")],
        chat_update=ChatUpdate(),
        validation=Validation(0, "[]", "amount"),
        followups=[NewReminder(text="¿Sigues ahí?", due_at=900)],
        now=200,
    ),
)
_of_turn(
    "Turns.close",
    lambda store, turn: partial(
        store.turns.close, turn, "dead", reason="crashed", items=SAID, parts=[PART], now=200
    ),
)


@case("Turns.finish")
async def _finished(scene: Scene) -> Action:
    turn, row = await scene.sending()
    await scene.store.outbox.sent(row, f"sent {row.key.chat}", now=105)
    return partial(scene.store.turns.finish, turn, now=200)


_of_turn("Turns.apologise", lambda store, turn: partial(store.turns.apologise, turn, PART, now=200))
_of_turn("Runs.begin", lambda store, turn: partial(store.runs.begin, turn, now=200))
_of_turn(
    "Runs.start",
    lambda store, turn: partial(store.runs.start, turn, attempt=2, wanted=CHARGE, now=200),
)
_of_run("Runs.round_named", lambda store, run: partial(_named, store, run))
_of_run("Runs.round_completed", lambda store, run: partial(_completed, store, run))
_of_run(
    "Runs.round_failed",
    lambda store, run: partial(store.runs.round_failed, run, 0, "503", lost=True, now=200),
)


async def _named(store: Store, run: Run) -> None:
    await store.runs.round_named(run, 0, f"resp {run.id}", now=150)


async def _completed(store: Store, run: Run) -> None:
    answer = ModelResponse(id=f"resp {run.id}", items=(SAID[1],))
    await store.runs.round_completed(run, 0, answer, charge=CHARGE, waits=True, now=200)


@case("Runs.abandon_response")
async def _abandoned(scene: Scene) -> Action:
    run = await scene.run()
    await _named(scene.store, run)
    return partial(scene.store.runs.abandon_response, run.turn_id, now=200)


_of_run(
    "Runs.call_started",
    lambda store, run: partial(store.runs.call_started, run, 0, tool_call(), effects=True, now=200),
)


@case("Runs.call_ended")
async def _call_ended(scene: Scene) -> Action:
    run = await scene.run()
    row = await scene.store.runs.call_started(run, 0, tool_call(), effects=True, now=110)
    return partial(scene.store.runs.call_ended, row, "booked", failed=False, now=200)


@case("Validations.ask_again")
async def _asked_again(scene: Scene) -> Action:
    run = await scene.run()
    await _completed(scene.store, run)
    ask_again = scene.store.validations.ask_again
    return partial(ask_again, run, 0, rulings="[]", note="Again", cooldown=60, now=200)


_of_turn(
    "Facts.remember", lambda store, turn: partial(store.facts.remember, turn, "Es zurda", now=200)
)


@case("Facts.forget")
async def _fact_forgotten(scene: Scene) -> Action:
    fact = await scene.store.facts.remember(await scene.turn(), "Es zurda", now=110)
    return partial(scene.store.facts.forget, scene.key, fact, now=200)


_of_turn(
    "InterimMessages.add",
    lambda store, turn: partial(store.interim.add, turn, f"key {turn.id}", 0, PART, now=200),
)
_of_turn(
    "Escalations.open",
    lambda store, turn: partial(
        store.escalations.open,
        turn,
        reason="other",
        summary="Quiere hablar",
        urgency="high",
        pause_seconds=60,
        notice=("agents@g.us", "Ven"),
        now=200,
    ),
)
_of_turn(
    "Questions.keep",
    lambda store, turn: partial(
        store.questions.keep, turn, [("¿Hay piscina?", "no passage")], now=200
    ),
)
_of_turn(
    "Candidates.keep",
    lambda store, turn: partial(
        store.candidates.keep,
        turn.id,
        CandidateAnswer(text="Sí", tools="", micros=5, seconds=1.5),
        version=Version(model="sha-of-a-model"),
        instructions="Be brief.",
        now=200,
    ),
)


@case("Comparisons.mark")
async def _marked(scene: Scene) -> Action:
    turn = await scene.turn()
    answer = CandidateTurn(
        turn_id=turn.id,
        verdict="better",
        reason="",
        answer="Sí",
        tools="",
        not_recorded="",
        cost=0.1,
        seconds=1.5,
    )
    new = NewComparison(
        number=CHANNEL,
        instructions="new.md",
        model="",
        version="",
        simulated=True,
        currency="USD",
        left_out=0,
        judge_cost=0.0,
        agreed=0,
        labelled=0,
        turns=[answer],
    )
    keep = partial(keep_comparison, new=new, now=100)
    number = await scene.store.database.write(keep)
    ((row,),) = select(scene.store, "compared_turns", "id", where={"turn_id": turn.id})
    return partial(scene.store.comparisons.mark, number, row, "new", by="Ana", now=200)


_simple(
    "TextVersions.save",
    lambda s: partial(
        s.store.text_versions.save,
        *("eins", "apology", "Uno"),
        after=0,
        file_digest="f",
        by=OPERATOR,
        now=200,
    ),
)
_of_turn(
    "UsageBook.stop",
    lambda store, turn: partial(store.usage.stop, turn, PART, day=DAY, now=200),
)
_simple("UsageBook.alert", lambda s: partial(s.store.usage.alert, CHANNEL, s.key.chat, now=200))
_of_turn(
    "Stages.add",
    lambda store, turn: partial(store.stages.add, [StageRow(turn.id, "window", 1, "")]),
)

# -- a send ------------------------------------------------------------------------------------


@case("Outbox.sending")
async def _sending(scene: Scene) -> Action:
    _, row = await scene.queued()
    return partial(scene.store.outbox.sending, row, now=200)


@case("Outbox.sent")
async def _sent(scene: Scene) -> Action:
    turn, row = await scene.sending()
    sent = scene.store.outbox.sent
    return partial(sent, row, f"sent {row.key.chat}", finishes=turn, now=200)


_of_send("Outbox.repair", lambda store, _: store.outbox.repair)
_of_send("Outbox._set", lambda store, row: partial(store.outbox.unknown, row, "timeout"))
_of_send("Outbox.failed", lambda store, row: partial(store.outbox.failed, row, "refused"))


@case("Outbox.write_instead")
async def _written_instead(scene: Scene) -> Action:
    voice = NewPart("Claro", kind="voice")
    done = await scene.store.turns.conclude(await scene.turn(), items=[], parts=[voice], now=103)
    return partial(scene.store.outbox.write_instead, done.to_send[0], "no voice")


@case("Outbox.drop")
async def _dropped(scene: Scene) -> Action:
    await scene.queued()
    return partial(scene.store.outbox.drop, scene.key, "an agent has it")


@case("Outbox.customer_is_back")
async def _back(scene: Scene) -> Action:
    from daemon.domain.transitions.handover import WINDOW_SHUT  # noqa: PLC0415

    turn, row = await scene.sending()
    await scene.store.outbox.failed(row, WINDOW_SHUT)
    await scene.store.turns.close(turn, "handed_off", reason=WINDOW_SHUT, now=106)
    return partial(scene.store.outbox.customer_is_back, scene.key, now=200)


# -- the thread, and people --------------------------------------------------------------------


@case("Threads.note_waiting")
async def _noted(scene: Scene) -> Action:
    await scene.received("Ya no")
    (one,) = await scene.store.inbox.waiting(scene.key, from_me=False)
    note = scene.store.threads.note_waiting
    return partial(
        note, scene.key, [one.seq], SAID, state="ignored", reason="x", choice="out", now=200
    )


@case("Memories.shorten")
async def _shortened(scene: Scene) -> Action:
    await scene.queued()
    last = (await scene.store.threads.history(scene.key, tokens=999))[-1]
    return partial(scene.store.memories.shorten, scene.key, last, SAID[1], now=200)


_simple("Memories.begin_with", lambda s: partial(s.store.memories.begin_with, s.key, SAID, now=200))
_simple(
    "Exchanges.stop_loop", lambda s: partial(s.store.exchanges.stop_loop, s.key, until=900, now=200)
)


@case("Handovers.hold")
async def _held(scene: Scene) -> Action:
    await scene.received()
    await scene.store.operator_actions.pause(scene.key.chat, 900, by=OPERATOR, now=150)
    return partial(scene.store.handovers.hold, scene.key, now=200)


@case("Handovers.end_pause")
async def _pause_over(scene: Scene) -> Action:
    turn = await scene.turn()
    await scene.store.escalations.open(
        turn, reason="other", summary="", urgency="low", pause_seconds=5, notice=None, now=110
    )
    await scene.store.turns.close(turn, "handed_off", reason="escalated", now=111)
    return partial(scene.store.handovers.end_pause, scene.key, PART, now=200)


# -- operators ---------------------------------------------------------------------------------

_simple(
    "OperatorActions.send",
    lambda s: partial(
        s.store.operator_actions.send,
        s.key,
        "Soy Ana",
        name="ana",
        action=f"click {s.key.chat}",
        by=OPERATOR,
        now=200,
        pause_until=900,
    ),
)
_simple(
    "OperatorActions.pause",
    lambda s: partial(s.store.operator_actions.pause, s.key.chat, 900, by=OPERATOR, now=200),
)


async def _waits_for_person(scene: Scene) -> None:
    await scene.received()
    await scene.store.operator_actions.pause(scene.key.chat, 900, by=OPERATOR, now=150)
    await scene.store.handovers.hold(scene.key, now=160)


@case("OperatorActions.give_back")
async def _given_back(scene: Scene) -> Action:
    await _waits_for_person(scene)
    give_back = scene.store.operator_actions.give_back
    return partial(give_back, scene.key.chat, by=OPERATOR, now=200)


@case("OperatorActions.done")
async def _done(scene: Scene) -> Action:
    await _waits_for_person(scene)
    return partial(scene.store.operator_actions.done, scene.key.chat, by=OPERATOR, now=200)


@case("OperatorActions.send_again")
async def _again(scene: Scene) -> Action:
    row = await scene.refused()
    again = scene.store.operator_actions.send_again
    return partial(again, row.id, agents_chats=(), by=OPERATOR, now=200)


@case("OperatorActions.drop_send")
async def _send_dropped(scene: Scene) -> Action:
    row = await scene.refused()
    return partial(scene.store.operator_actions.drop_send, row.id, by=OPERATOR, now=200)


_simple(
    "OperatorActions.set_consent",
    lambda s: partial(
        s.store.operator_actions.set_consent, s.key, opted_out=True, by=OPERATOR, now=200
    ),
)


async def _enquired(scene: Scene) -> list[int]:
    """The enquiries of this chat."""
    await scene.received()
    while await scene.store.enquiries.is_behind(CHANNEL):
        await scene.store.enquiries.take_in(CHANNEL, ZoneInfo("UTC"))
    rows = select(scene.store, "enquiries", "id", where={"chat": scene.key.chat})
    return [number for (number,) in rows]


@case("Enquiries.take_in")
async def _taken_in(scene: Scene) -> Action:
    await _enquired(scene)
    await scene.received("Otra cosa")
    return partial(scene.store.enquiries.take_in, CHANNEL, ZoneInfo("UTC"))


@case("Enquiries.note")
async def _enquiry_noted(scene: Scene) -> Action:
    found = await scene.store.enquiries.look(await _enquired(scene), now=9e5)
    return partial(scene.store.enquiries.note, found, now=9e5)


@case("Topics.set_topic")
async def _sorted(scene: Scene) -> Action:
    (number,) = await _enquired(scene)
    return partial(scene.store.topics.set_topic, number, "precios")


@case("Operations._replay_dead")
async def _replayed(scene: Scene) -> Action:
    await scene.store.turns.close(await scene.turn(), "dead", reason="crashed", now=110)
    replay = partial(
        replay_dead,
        chats=(scene.key.chat,),
        policies=lambda _number: DEFAULT_POLICY,
        by=OPERATOR,
        now=200,
    )
    return partial(scene.store.database.write, replay)


@case("Operations._replay_event")
async def _event_replayed(scene: Scene) -> Action:
    await scene.store.turns.close(await scene.turn(), "dead", reason="crashed", now=110)
    database, folder = scene.store.database, scene.store.data_dir
    ((event_id,),) = select(scene.store, "messages", "event_id", where={"chat": scene.key.chat})
    event = await database.read(partial(stored_event, event_id=event_id, folder=folder))
    assert event is not None
    new = message(f"{scene.key.chat[:12]}-late", "Se leyó tarde", key=scene.key)
    replay = partial(
        replay_event,
        event=event,
        webhook=Webhook(channel=CHANNEL, event="messages.post", messages=(new,)),
        policies=lambda _number: DEFAULT_POLICY,
        by=OPERATOR,
        now=200,
    )
    return partial(database.write, replay)


# -- reminders, webhooks, notifications ----------------------------------------------------------

_simple(
    "Reminders.add",
    lambda s: partial(
        s.store.reminders.add,
        s.key,
        NewReminder(text="Mañana", due_at=900),
        name=f"key {s.key.chat}",
        most=9,
        by=OPERATOR,
        now=200,
    ),
)


@case("Reminders.cancel")
async def _cancelled(scene: Scene) -> Action:
    reminder = await scene.reminder()
    return partial(scene.store.reminders.cancel, reminder.id, "not needed", by=OPERATOR, now=200)


@case("Reminders.await_question")
async def _awaited(scene: Scene) -> Action:
    await scene.received("¿Hay mesa?")
    turn, new = await open_turn(scene.store, scene.key), NewReminder(text="¿Sigue?", due_at=500)
    await scene.store.turns.conclude(turn, items=[], parts=[PART], followups=[new], now=150)
    due = await scene.store.reminders.due([CHANNEL], now=600, limit=99)
    reminder = next(one for one in due if one.key == scene.key)
    return partial(scene.store.reminders.await_question, reminder, now=600)


@case("Reminders.put_off")
async def _put_off(scene: Scene) -> Action:
    return partial(scene.store.reminders.put_off, await scene.reminder(), 990)


@case("Reminders.end")
async def _expired(scene: Scene) -> Action:
    reminder = await scene.reminder()
    return partial(scene.store.reminders.end, reminder, "expired", "too late", now=600)


@case("Reminders.fire")
async def _fired(scene: Scene) -> Action:
    return partial(scene.store.reminders.fire, await scene.reminder(), PART, now=600)


@case("Reminders.drop_old")
async def _reminder_dropped(scene: Scene) -> Action:
    await scene.store.reminders.end(await scene.reminder(), "expired", "", now=600)
    return partial(scene.store.reminders.drop_old, before=151)


@case("WebhookDeliveries.subscribe")
async def _subscribed(scene: Scene) -> Action:
    await scene.received()
    wanted = [Subscription(endpoint=name, events=EVENTS) for name in ("crm", scene.key.chat)]
    numbers = [scene.key.number]
    return partial(scene.store.webhooks.subscribe, wanted, numbers=numbers, now=200)


@case("WebhookDeliveries.delivered")
async def _delivered(scene: Scene) -> Action:
    return partial(scene.store.webhooks.delivered, await scene.delivery(), now=200)


@case("WebhookDeliveries.failed")
async def _not_delivered(scene: Scene) -> Action:
    failed = scene.store.webhooks.failed
    return partial(failed, await scene.delivery(), "503", again_at=300, now=200)


_simple(
    "WebhookDeliveries.number_changed",
    lambda s: partial(s.store.webhooks.number_changed, CHANNEL, "needs_qr", "", now=200),
)


@case("WebhookDeliveries.drop_old")
async def _delivery_dropped(scene: Scene) -> Action:
    await scene.store.webhooks.delivered(await scene.delivery(), now=150)
    return partial(scene.store.webhooks.drop_old, before=101)


@case("WebhookDeliveries.replay")
async def _delivered_again(scene: Scene) -> Action:
    delivery = await scene.delivery()
    await scene.store.webhooks.failed(delivery, "410", again_at=0, now=150)
    return partial(scene.store.webhooks.replay, [delivery.id], by=OPERATOR, now=200)


def _occasion(scene: Scene) -> list[Occasion]:
    return [Occasion(reason="escalation", subject=scene.key.chat, line="Ana", key=scene.key)]


_simple(
    "Notifications.note",
    lambda s: partial(s.store.notifications.note, _occasion(s), quiet_seconds=9, now=200),
)


@case("Notifications.settle")
async def _notified(scene: Scene) -> Action:
    await scene.store.notifications.note(_occasion(scene), quiet_seconds=9, now=150)
    found = await scene.store.notifications.due(now=999, limit=99)
    return partial(scene.store.notifications.settle, found[-1], ["mail"], again_at=0)


@case("Notifications.forget")
async def _notification_forgotten(scene: Scene) -> Action:
    await scene.store.notifications.note(_occasion(scene), quiet_seconds=9, now=50)
    return partial(scene.store.notifications.forget, noted_before=60)


# -- documents, templates, lists ---------------------------------------------------------------


def _document(scene: Scene) -> ReadDocument:
    passages = [Passage(location="", text="La piscina abre a las ocho")]
    return ReadDocument(path=scene.key.chat, size=1, modified=1, digest="d", passages=passages)


async def _growing(scene: Scene) -> int:
    return await scene.store.passages._begin("/docs", _document(scene), now=100)


@case("Passages._make_current")
async def _made_current(scene: Scene) -> Action:
    await scene.store.passages.store("/docs", _document(scene), now=99)
    number = await _growing(scene)
    return partial(scene.store.passages._make_current, "/docs", scene.key.chat, number)


@case("Passages.note_unchanged")
async def _unchanged(scene: Scene) -> Action:
    return partial(scene.store.passages.note_unchanged, await _growing(scene), modified=2)


@case("Passages.drop")
async def _document_dropped(scene: Scene) -> Action:
    await scene.store.passages.store("/docs", _document(scene), now=99)
    return partial(scene.store.passages.drop, "/docs", scene.key.chat)


@case("Passages.store_vectors")
async def _vectors(scene: Scene) -> Action:
    await scene.store.passages.store(scene.key.chat, _document(scene), now=99)
    found = await scene.store.passages.without_vectors(scene.key.chat, "m", 9)
    return partial(scene.store.passages.store_vectors, "m", [(number, b"v") for number, _ in found])


_simple(
    "McpLists.seen",
    lambda s: partial(
        s.store.mcp_lists.seen, s.key.chat, "digest", "[]", trusts_first=True, now=200
    ),
)
_simple(
    "Templates.replace",
    lambda s: partial(
        s.store.templates.replace, CHANNEL, [Template(name="hi", language="es")], now=200
    ),
)
_simple("SharedKeys.agree", lambda s: partial(_agree, s))


async def _agree(scene: Scene) -> bytes:
    from daemon.ledger.nodes import SharedKeys  # noqa: PLC0415

    return await SharedKeys(scene.store.database).agree(scene.key.chat, b"ours")


# -- the process's own records, housekeeping ---------------------------------------------------


@case("ProcessHistory._note")
async def _stopping(scene: Scene) -> Action:
    await scene.store.process_history.begin(now=150)
    return partial(scene.store.process_history.stopping, now=200)


@case("Stages.drop_old")
async def _stages_dropped(scene: Scene) -> Action:
    turn = await scene.turn()
    await scene.store.stages.add([StageRow(turn.id, "window", 1, "")])
    return partial(scene.store.stages.drop_old, before=2)


_simple(
    "DashboardLog.add",
    lambda s: partial(
        s.store.dashboard_log.add,
        [LogLine(id=int(s.key.chat[:12]), at=1, kind="k", level="info", line="Hola")],
        keep=2,
    ),
)
_simple(
    "Sessions.begin", lambda s: partial(s.store.sessions.begin, s.key.chat, ends_at=9e9, now=200)
)


_simple(
    "IdempotencyKeys.claim",
    lambda s: partial(s.store.idempotency_keys.claim, s.key.chat, "request", now=200),
)


@case("ApiTokens.used")
async def _token_used(scene: Scene) -> Action:
    await scene.store.database.write(
        partial(create_token, name="crm", role=AccessRole.READ, token="t", by=OPERATOR, now=100)
    )
    (token,) = await scene.store.database.read(api_tokens)
    return partial(scene.store.api_tokens.used, token.id, now=200)


_simple(
    "OperatorActions.react",
    lambda s: partial(
        s.store.operator_actions.react,
        s.key,
        NewPart("", kind="reaction", payload={"emoji": "👍", "target": "m-1"}),
        action=s.key.chat,
        by=OPERATOR,
        now=200,
    ),
)


# -- accounts and the desk ---------------------------------------------------------------------


async def _account(scene: Scene) -> Account:
    """A new account with a session."""
    name = scene.key.chat
    role = AccessRole.AGENT
    account = await scene.store.accounts.add(name, role, "hash", by=OPERATOR, now=100)
    assert account is not None
    await scene.store.sessions.begin(name, ends_at=9e9, now=150, account=account.id)
    return account


_simple(
    "Accounts.add",
    lambda s: partial(
        s.store.accounts.add, s.key.chat, AccessRole.READ, "hash", by=OPERATOR, now=200
    ),
)


@case("Accounts.change_role")
async def _role_changed(scene: Scene) -> Action:
    account = await _account(scene)
    change = scene.store.accounts.change_role
    return partial(change, account.id, AccessRole.OPERATOR, by=OPERATOR, now=200)


@case("Accounts.prefer")
async def _preferred(scene: Scene) -> Action:
    account = await _account(scene)
    return partial(scene.store.accounts.prefer, account.id, Preferences(language="en"))


@case("Accounts.set_password")
async def _password_set(scene: Scene) -> Action:
    account = await _account(scene)
    change = scene.store.accounts.set_password
    return partial(change, account.name, "another", by=OPERATOR, now=200)


@case("Accounts.disable")
async def _disabled(scene: Scene) -> Action:
    account = await _account(scene)
    return partial(scene.store.accounts.disable, account.name, by=OPERATOR, now=200)


@case("Accounts.sign_out")
async def _signed_out_everywhere(scene: Scene) -> Action:
    account = await _account(scene)
    return partial(scene.store.accounts.sign_out, account.name, by=OPERATOR, now=200)


@case("DeskRecords.assign")
async def _assigned(scene: Scene) -> Action:
    account = await _account(scene)
    await scene.received()
    return partial(scene.store.desk.assign, scene.key, account.id, by=OPERATOR, now=200)


@case("ChatLabelRecords.keep")
async def _labels_kept(scene: Scene) -> Action:
    await scene.received()
    return partial(scene.store.chat_labels.keep, scene.key, ["Nuevo cliente"], now=200)


async def _label(scene: Scene) -> int:
    await scene.store.desk_labels.add("VIP", "gold", by=OPERATOR, now=150)
    labels = await scene.store.desk_labels.all()
    return next(int(label.id) for label in labels if label.name == "VIP")


@case("ChatLabelRecords.change")
async def _labels_changed(scene: Scene) -> Action:
    await scene.received()
    await _label(scene)
    change = scene.store.chat_labels.change
    return partial(change, scene.key, add=["vip"], remove=[], now=200)


@case("DeskLabels.add")
async def _label_added(scene: Scene) -> Action:
    return partial(scene.store.desk_labels.add, "Nuevo", "gold", by=OPERATOR, now=200)


@case("DeskLabels.edit")
async def _label_edited(scene: Scene) -> Action:
    number, own = await _label(scene), (scene.key.number,)
    edit = scene.store.desk_labels.edit
    return partial(edit, number, "Oro", "gold", channels=own, by=OPERATOR, now=200)


@case("DeskLabels.drop")
async def _label_dropped(scene: Scene) -> Action:
    number, own = await _label(scene), (scene.key.number,)
    return partial(scene.store.desk_labels.drop, number, channels=own, by=OPERATOR, now=200)


@case("DeskRecords.seen")
async def _seen(scene: Scene) -> Action:
    account = await _account(scene)
    await scene.received()
    await scene.store.desk.assign(scene.key, account.id, by=OPERATOR, now=150)
    return partial(scene.store.desk.seen, scene.key)


def _note_added(scene: Scene) -> Action:
    return partial(
        scene.store.desk.add_note,
        scene.key,
        "Nota",
        author="Marta",
        for_model=True,
        action=scene.key.chat,
        by=OPERATOR,
        now=200,
    )


_simple("DeskRecords.add_note", _note_added)


@case("DeskRecords.drop_note")
async def _note_dropped(scene: Scene) -> Action:
    await _note_added(scene)()
    (note,) = await scene.store.desk.notes(scene.key)
    return partial(scene.store.desk.drop_note, scene.key, note["id"], by=OPERATOR, now=201)


_simple(
    "DeskRecords.keep_answer",
    lambda s: partial(s.store.desk.keep_answer, s.key.chat, "Hola", by=OPERATOR, now=200),
)


@case("DeskRecords.drop_answer")
async def _answer_dropped(scene: Scene) -> Action:
    await scene.store.desk.keep_answer(scene.key.chat, "Hola", by=OPERATOR, now=150)
    answers = await scene.store.desk.answers()
    (number,) = [one["id"] for one in answers if one["name"] == scene.key.chat]
    return partial(scene.store.desk.drop_answer, number, by=OPERATOR, now=200)


@case("Sessions.end")
async def _signed_out(scene: Scene) -> Action:
    await scene.store.sessions.begin(scene.key.chat, ends_at=9e9, now=150)
    return partial(scene.store.sessions.end, scene.key.chat)


_simple("Samples.add", lambda s: partial(s.store.samples.add, Sample(at=200), keep_seconds=1000))
_simple("Orphans.noted", lambda s: partial(s.store.orphans.noted, s.key.chat, now=200))


@case("Orphans.released")
async def _released(scene: Scene) -> Action:
    await scene.store.orphans.noted(scene.key.chat, now=150)
    return partial(scene.store.orphans.released, scene.key.chat)


async def _given_up(scene: Scene) -> tuple[str, str]:
    """A file that the ledger has given up; it is not deleted yet."""
    await scene.store.database.write(partial(drop_unnamed, names=[scene.key.chat], folder=MEDIA))
    return "media", scene.key.chat


@case("DeletedFiles.pending")
async def _come_again(scene: Scene) -> Action:
    _, name = await _given_up(scene)
    photo = await scene.photo()
    await scene.store.media.stored(photo, file=name, mime="image/jpeg", size=3, now=102)
    return scene.store.deleted_files.pending


@case("DeletedFiles.gone")
async def _file_gone(scene: Scene) -> Action:
    return partial(scene.store.deleted_files.gone, [await _given_up(scene)], now=200)


@case("DeletedFiles.forget")
async def _file_forgotten(scene: Scene) -> Action:
    await scene.store.deleted_files.gone([await _given_up(scene)], now=20)
    return partial(scene.store.deleted_files.forget, before=21)


def _written(name: str, call: Callable[[Scene], Callable[[Any], object]]) -> None:
    """A case of a function that is given to `Database.write`."""
    _simple(name, lambda s: partial(s.store.database.write, call(s)))


_written(
    "drop_old_events",
    lambda s: partial(expire, before=101, folder=s.store.data_dir / "events"),
)
_written("drop_media 2", lambda s: partial(drop_unnamed, names=[s.key.chat], folder=MEDIA))


@case("drop_media")
async def _media_expired(scene: Scene) -> Action:
    await scene.store.media.stored(
        await scene.photo(), file="old.jpg", mime="image/jpeg", size=3, now=102
    )
    return partial(scene.store.database.write, partial(expire_media, before=102, folder=MEDIA))


@case("_name_channels")
async def _named_channels(scene: Scene) -> Action:
    former = ChatKey("FORMER-ID", scene.key.chat)
    await accept(scene.store, message("former", key=former))
    rename = partial(name_channels, ids={"FORMER-ID": "shop"}, only="")
    return partial(scene.store.database.write, rename)


_written(
    "Forgetter.forget",
    lambda s: partial(ask, names=[s.key.chat], by=OPERATOR, now=200),
)


@case("Forgetter.drop_conversations")
async def _too_old(scene: Scene) -> Action:
    await scene.store.turns.close(await scene.turn(), "answered", now=102)
    asked = partial(ask_chat, key=scene.key, before=9999, now=200)
    return partial(scene.store.database.write, asked)


@case("Forgetter._carry_out")
async def _traces_erased(scene: Scene) -> Action:
    work = await scene.work(until=OVER)
    return partial(scene.store.database.write, partial(erase_traces, work=work))


@case("Forgetter._carry_out 2")
async def _closed(scene: Scene) -> Action:
    work = await scene.work(until=OVER)
    return partial(scene.store.database.write, partial(close, work=work, now=200))
