"""The tool calls of one round: in parallel, each written down before and after.

The ledger decides what a call of a repeated run does: one that ended is not made again, one with
effects and of unknown outcome is not repeated but reported to the model as such, unless its tool is
idempotent.
"""

import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import trio

from daemon.conversation.services import ChatServices
from daemon.conversation.turn.interim import Progress
from daemon.domain.knowledge.reply import search_reply
from daemon.domain.messages import FunctionCall
from daemon.domain.notification_texts import notice
from daemon.domain.records import NewPart, RecordedCall, Run, Turn
from daemon.domain.rendering.outgoing import WITH_MEDIA, reaction_part
from daemon.domain.rendering.templates import chosen, template_part
from daemon.domain.schedule import due_moment, shown_moment
from daemon.errors import GatewayError
from daemon.ledger.files import KeptFiles
from daemon.ledger.reminders import BY_CUSTOMER, NewReminder
from daemon.ledger.runs import call_key
from daemon.observability.events import (
    FUNCTION_ENDED,
    FUNCTION_FAILED,
    FUNCTION_STARTED,
    HANDED_TO_PERSON,
)
from daemon.observability.tracing import exemplar, span
from daemon.tools.tool import ToolContext, Urgency

UNKNOWN_OUTCOME = msgspec.json.encode(
    {
        "error": "outcome unknown: this call was started and interrupted. It may have taken"
        " effect. Do not repeat it; check its result with another tool, or tell the customer that"
        " a person will confirm."
    }
).decode()

MAX_BYTES = 16 * 1024 * 1024
"""WhatsApp's limit for media; documents may be larger, but go along in one request."""


async def call_tools(
    turn: Turn,
    run: Run,
    number: int,
    calls: tuple[FunctionCall, ...],
    progress: Progress,
    services: ChatServices,
) -> list[str]:
    """Make the calls of one round at the same time; gives their outputs in the calls' order.

    Called by the task of the turn's chat. Cancelled, it leaves each call in the ledger as it is.
    """
    outputs = [""] * len(calls)
    first = _first_of_same_effect(turn, calls, services)

    async def one(place: int, call: FunctionCall) -> None:
        outputs[place] = await _call(turn, run, number, call, progress, services)

    async with trio.open_nursery() as nursery:
        for place, call in enumerate(calls):
            if first[place] == place:
                nursery.start_soon(one, place, call, name=f"tool {call.name}")
    return [outputs[place] for place in first]


def _first_of_same_effect(
    turn: Turn, calls: tuple[FunctionCall, ...], services: ChatServices
) -> list[int]:
    """For each call the place of the call that is made for it.

    Itself, unless an earlier one does the very same thing with effects: booking a room twice in
    one round is a slip of the model, not a wish of the customer.
    """
    toolbox = services.config.toolbox
    places: dict[str, int] = {}
    return [
        places.setdefault(call_key(turn.id, call), place) if toolbox.has_effects(call) else place
        for place, call in enumerate(calls)
    ]


async def _call(
    turn: Turn,
    run: Run,
    number: int,
    call: FunctionCall,
    progress: Progress,
    services: ChatServices,
) -> str:
    """Make one call, unless the ledger has its output; gives the output."""
    runs, toolbox = services.store.runs, services.config.toolbox
    log, now = services.telemetry.log, services.telemetry.now
    earlier = _earlier(turn, run, number, call)
    if earlier is not None and earlier.output is not None:
        return earlier.output
    key = call_key(turn.id, call)
    if key in progress.effect_outputs:
        return progress.effect_outputs[key]
    effects = toolbox.has_effects(call)
    if earlier is not None and earlier.effects and not toolbox.is_repeatable(call):
        log.warning("tool call of unknown outcome, not repeated", tool=call.name)
        await runs.call_ended(earlier.id, UNKNOWN_OUTCOME, failed=True, now=now())
        return UNKNOWN_OUTCOME
    progress.effects = progress.effects or effects
    row = await runs.call_started(run, number, call, effects=effects, now=now())
    started = trio.current_time()
    log.event(FUNCTION_STARTED, tool=call.name, call=call.call_id)
    conversation = CallConversation(turn, key, progress, services)
    context = ToolContext(
        key=turn.key,
        contact_name=turn.contact_name,
        language=services.config.rules.language,
        idempotency_key=key,
        recent_messages=services.store.threads.recent_lines,
        conversation=conversation,
        secrets=toolbox.secrets,
    )
    known = call.name if toolbox.is_enabled(call.name) else "unknown"
    try:
        with span("tool call", tool=known, effects=effects) as work:
            output, failed = await toolbox.call(call, context)
            work.failed = failed
    finally:
        conversation.close()
    if effects:
        progress.effect_outputs[key] = output
    seconds = trio.current_time() - started
    services.telemetry.metrics.tool.observe(seconds, exemplar())
    await runs.call_ended(row, output, failed=failed, now=now())
    ended = FUNCTION_FAILED if failed else FUNCTION_ENDED
    log.event(ended, tool=call.name, call=call.call_id, seconds=round(seconds, 3))
    return output


def known_output(turn: Turn, run: Run, number: int, call: FunctionCall) -> str | None:
    """The output of a call as far as the ledger has it; None if it never started."""
    earlier = _earlier(turn, run, number, call)
    if earlier is None:
        return None
    return UNKNOWN_OUTCOME if earlier.output is None else earlier.output


def _earlier(turn: Turn, run: Run, number: int, call: FunctionCall) -> RecordedCall | None:
    """The ledger's row for this very call, or for the same effect in an earlier run of the turn.

    A call without effects is only itself again in the same place: another run may want fresh
    data.
    """
    for recorded in reversed(run.calls):
        if (recorded.run_id, recorded.round, recorded.call_id) == (run.id, number, call.call_id):
            return recorded
    key = call_key(turn.id, call)
    return next((r for r in reversed(run.calls) if r.effects and r.key == key), None)


# -- what a call may do to its conversation ---------------------------------------------------


class CallConversation:
    """Implements `daemon.tools.tool.Conversation` for one call of a tool."""

    def __init__(self, turn: Turn, key: str, progress: Progress, services: ChatServices) -> None:
        """``key`` is the idempotency key of the call."""
        self._turn = turn
        self._key = key
        self._progress = progress
        self._services = services
        self._interim_count = 0
        self._over = False

    def close(self) -> None:
        """The call has ended: a thread that still runs says nothing more in its name."""
        self._over = True

    async def say(self, text: str) -> bool:
        """See the protocol."""
        return await self._speak(NewPart(text))

    async def send(self, part: NewPart) -> bool:
        """See the protocol."""
        if part.kind in WITH_MEDIA and "://" not in part.payload["source"]:
            folder = self._services.config.rules.files_folder
            part = await keep_file(part, self._services.store.files, folder)
        return await self._speak(part)

    async def send_template(self, name: str, values: Mapping[str, str], language: str) -> bool:
        """See the protocol."""
        known = await self._services.store.templates.of_number(self._turn.key.number)
        ours = self._services.config.rules.language
        template = chosen(known, name, language=language, ours=ours)
        return await self._speak(template_part(template, values))

    async def react(self, emoji: str) -> bool:
        """See the protocol."""
        messages = [stored.message for stored in self._turn.messages if not stored.message.is_note]
        return await self._speak(reaction_part(emoji, messages[-1].id if messages else ""))

    async def _speak(self, part: NewPart) -> bool:
        ordinal = self._interim_count
        self._interim_count += 1
        return not self._over and await self._progress.send_interim(self._key, ordinal, part)

    async def escalate(self, reason: str, summary: str, urgency: Urgency) -> bool:
        """See the protocol. The pause begins with the write that ends the turn."""
        rules = self._services.config.rules.escalation
        self._progress.effects = True
        new = await escalate(
            self._turn,
            self._services,
            reason=reason,
            summary=summary,
            urgency=urgency,
            pause_seconds=rules.pause_seconds,
        )
        if rules.label:
            await self._label(rules.label)
        await self._say_if_closed()
        return new

    async def _say_if_closed(self) -> None:
        """Tell a customer who is handed over outside of opening hours when these begin."""
        config, now = self._services.config, self._services.telemetry.now()
        rules = config.rules
        opens = rules.reminders.hours.opens(now, rules.zone)
        if opens > now:
            words = shown_moment(opens, rules.zone, rules.language)
            await self.say(config.texts.closed_until(words))

    async def _label(self, name: str) -> None:
        """Label the chat for the agents; a fault of it is only noted."""
        labels = self._services.number.labels
        try:
            fault = await labels.change(self._turn.key, add=(name,), remove=())
        except GatewayError as error:
            fault = str(error)
        if fault:
            self._services.telemetry.log.warning("chat not labelled", label=name, error=fault)

    async def set_labels(self, add: Sequence[str], remove: Sequence[str]) -> list[str]:
        """See the protocol."""
        number, key = self._services.number, self._turn.key
        try:
            fault = await number.labels.change(key, add=tuple(add), remove=tuple(remove))
        except GatewayError as error:
            self._services.telemetry.log.warning("labels not changed", error=str(error))
            return ["the labels could not be changed now"]
        number.chat_info.forget(key)  # the next context is to show the new ones
        return [fault] if fault else []

    async def remember(self, fact: str) -> int:
        """See the protocol."""
        now = self._services.telemetry.now()
        return await self._services.store.facts.remember(self._turn, fact, now=now)

    async def remind(self, when: str, text: str, cancel_on: Sequence[str], *, is_note: bool) -> str:
        """See the protocol. It is added once, however often the call is repeated."""
        rules, now = self._services.config.rules, self._services.telemetry.now()
        reminders = self._services.store.reminders
        name = f"call {self._key}"
        try:
            due_at = due_moment(when, rules.zone, now=now)
        except ValueError as error:
            if not await reminders.is_known(name):  # a repeated call may come after its time
                return f"Not done: {error}."
            due_at = now
        self._progress.effects = True
        number, obstacle = await reminders.add(
            self._turn.key,
            NewReminder(text=text, due_at=due_at, cancel_on=tuple(cancel_on), is_note=is_note),
            name=name,
            most=rules.reminders.most_waiting,
            now=now,
        )
        if obstacle == "opted out":
            return "Not done: the customer has opted out of messages that they do not ask for."
        if obstacle:
            return "Not done: too many reminders wait for this customer already."
        waiting = [
            f"{one.id}: {shown_moment(one.due_at, rules.zone, rules.language)}"
            for one in await reminders.waiting(self._turn.key)
        ]
        return f"Reminder {number} is set. Waiting for this customer: {'; '.join(waiting)}."

    async def cancel_reminder(self, reminder_id: int) -> bool:
        """See the protocol."""
        now = self._services.telemetry.now()
        return await self._services.store.reminders.cancel(
            reminder_id, BY_CUSTOMER, key=self._turn.key, now=now
        )

    async def forget_fact(self, fact_id: int) -> bool:
        """See the protocol."""
        now = self._services.telemetry.now()
        return await self._services.store.facts.forget(self._turn.key, fact_id, now=now)

    async def search_knowledge(self, question: str) -> str:
        """See the protocol."""
        knowledge = self._services.knowledge
        return search_reply(await knowledge.search(question) if knowledge else [])


async def keep_file(part: NewPart, files: KeptFiles, folder: Path | None) -> NewPart:
    """Copy the file of ``folder`` that a message names, and name the copy in its place.

    What is sent later, perhaps by another process, is the file as it was now. Raises ValueError in
    words if there is no such file, or it cannot be sent.
    """
    source = await trio.to_thread.run_sync(_within, folder, part.payload["source"])
    mime_type = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
    if part.kind == "image" and not mime_type.startswith("image/"):
        raise ValueError(f"{source.name} is no picture by its name")
    try:
        name, _size = await files.keep_copy(source, most=MAX_BYTES)
    except OSError as error:
        raise ValueError(f"{source.name} cannot be read: {error.strerror or error}") from error
    payload = {"filename": source.name, **part.payload, "file": name, "mime_type": mime_type}
    del payload["source"]
    return replace(part, payload=payload)


def _within(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise ValueError("tools.files_folder is not set: only https addresses can be sent")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError(f"there is no file {name} in tools.files_folder")
    return path


async def escalate(
    turn: Turn,
    services: ChatServices,
    *,
    reason: str,
    summary: str,
    urgency: Urgency,
    pause_seconds: float,
    again: bool = True,
) -> bool:
    """Ask for a person in a turn's chat; False if this turn has done so already.

    ``again``: also if one is asked for there already, and has not come. The pause begins with the
    write that ends the turn; 0: the bot goes on with what comes next. Called by the task of the
    chat, or by a tool of its run.
    """
    agents_chat, telemetry = services.config.rules.escalation.chat, services.telemetry
    words = notice(
        services.config.texts.escalation,
        chat=turn.key.chat,
        name=turn.contact_name,
        reason=reason,
        summary=summary,
        urgency=urgency,
    )
    new = await services.store.escalations.open(
        turn,
        reason=reason,
        summary=summary,
        urgency=urgency,
        pause_seconds=pause_seconds,
        notice=(agents_chat, words) if agents_chat else None,
        now=telemetry.now(),
        again=again,
    )
    if new:
        telemetry.log.event(HANDED_TO_PERSON, chat=turn.key, name=turn.contact_name)
    return new
