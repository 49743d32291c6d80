"""An answer on its way from the model to the outbox: validated, then cut into messages.

The validators may send it back to the model, once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import msgspec
import trio

from daemon.conversation.services import ChatServices
from daemon.domain.messages import JsonObject, ModelRequest, ModelResponse
from daemon.domain.prompt.message_text import data_item, is_data
from daemon.domain.records import NewPart, Run, Turn, Validation
from daemon.domain.rendering.outgoing import mentioning
from daemon.domain.rendering.split import MAX_WRITTEN, split_reply
from daemon.domain.validation.results import RETRY, Candidate, Judgement, Ruling, judge, retry_note

T = TypeVar("T")

LARGE_CHARACTERS = 8_000
"""A text of this length takes a few milliseconds; a handover to a thread takes a tenth of one."""

MOST_CHARACTERS = 200_000
"""Of a model's answer that are looked at; a customer gets far less of it."""


async def work_on(characters: int, work: Callable[[], T]) -> T:
    """Run ``work``, in a thread if it has many characters to go through.

    ``work`` is pure. A task that is cancelled leaves the thread behind, which ends by itself, since
    its texts are bounded.
    """
    if characters <= LARGE_CHARACTERS:
        return work()
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


class Review:
    """Validates the answers of one run, in the order in which the model gives them.

    What the model is shown for its second try (the answer that was not good enough, and why) is
    kept apart from what goes into the thread.
    """

    def __init__(self, turn: Turn, run: Run, request: ModelRequest, services: ChatServices) -> None:
        self._turn = turn
        self._run = run
        self._services = services
        self._log, self._metrics = services.telemetry.log, services.telemetry.metrics
        self._candidate = _candidate(request, services)
        self._aside: list[JsonObject] = []
        self._place = 0
        self._first: Judgement | None = None
        self._first_round = 0
        self.text = ""
        """The text to send; empty if nothing that the model wrote is fit for it."""
        self.validation: Validation | None = None
        """The rulings on that text, as the ledger keeps them."""

    @property
    def asked_again(self) -> bool:
        """True once the model has been sent an answer back."""
        return self._first is not None

    def shown(self, produced: Sequence[JsonObject]) -> list[JsonObject]:
        """The output of the run so far, as the model's input has it."""
        return [*produced[: self._place], *self._aside, *produced[self._place :]]

    async def sends_back(
        self,
        number: int,
        produced: Sequence[JsonObject],
        response: ModelResponse,
        *,
        last: bool,
    ) -> bool:
        """Judge the answer of a round; True if the model is to try again.

        ``last``: the run may have no further round. The second try is in the ledger then, so
        that a crash before it neither forgets it nor makes it a third.
        """
        earlier = next((r.note for r in self._run.rounds if r.round == number), "")
        judgement = await self._judge(produced, response)
        note = earlier or (retry_note(judgement.notes) if judgement.notes else "")
        if not earlier:
            self._report(judgement)
        rulings = _written(judgement.rulings)
        if not last and (earlier or (note and await self._granted(number, rulings, note))):
            self._first, self._first_round = judgement, number
            order: JsonObject = {"role": "developer", "content": RETRY}
            self._aside = [*response.items, data_item("rejected", note), order]
            self._place = len(produced)
            return True
        if judgement.notes and not judgement.text and self._first and not judgement.blocked:
            self.settle_first()
        else:
            self._settle(judgement, number)
        return False

    def settle_first(self) -> None:
        """There is no second try: the first answer stands, as far as it was repaired."""
        if self._first:
            self._settle(self._first, self._first_round)

    def _settle(self, judgement: Judgement, number: int) -> None:
        """Take this text as the answer. Doubts about it are marked."""
        doubts = judgement.doubts if judgement.text else ()
        rulings = [(name, "flag" if name in doubts else word) for name, word in judgement.rulings]
        for name in doubts:
            self._metrics.count_validation(name, "flag")
        if doubts:
            self._log.warning(
                "doubtful answer sent", turn=self._turn.request_id, validators=", ".join(doubts)
            )
        self.text = judgement.text
        self.validation = Validation(number, _written(rulings), ", ".join(doubts))

    def final_items(self, response: ModelResponse) -> list[JsonObject]:
        """The answer as the thread keeps it: exactly the text that is sent."""
        text = self.text or self._services.config.texts.unclear
        if text == response.text:
            # A call that was not made has no output, and the server refuses it.
            return [item for item in response.items if item.get("type") != "function_call"]
        return [{"role": "assistant", "content": text}]

    async def _granted(self, number: int, rulings: str, note: str) -> bool:
        return await self._services.store.validations.ask_again(
            self._run,
            number,
            rulings=rulings,
            note=note,
            cooldown=self._services.config.rules.validation_cooldown_seconds,
            now=self._services.telemetry.now(),
        )

    async def _judge(self, produced: Sequence[JsonObject], response: ModelResponse) -> Judgement:
        validators = self._services.config.validators
        candidate = replace(
            self._candidate,
            text=response.text[:MOST_CHARACTERS],
            incomplete=response.incomplete,
            tool_outputs=tuple(
                str(item.get("output", ""))
                for item in produced
                if item.get("type") == "function_call_output"
            ),
        )
        slow = any(validator.blocking for validator in validators)
        size = MOST_CHARACTERS if slow else candidate.characters
        return await work_on(size, partial(judge, candidate, validators))

    def _report(self, judgement: Judgement) -> None:
        """Count all verdicts; log names, and never a word of the text."""
        turn = self._turn.request_id
        for validator, verdict in judgement.rulings:
            self._metrics.count_validation(validator, verdict)
        for validator, error in judgement.faults:
            self._log.warning("validator failed", validator=validator, turn=turn, exc_info=error)
        notable = _notable(judgement.rulings)
        if notable:
            verdicts = ", ".join(f"{validator}: {verdict}" for validator, verdict in notable)
            level = self._log.warning if not judgement.text or judgement.notes else self._log.info
            level("answer validated", turn=turn, verdicts=verdicts, reason=judgement.blocked)


def _written(rulings: Sequence[Ruling]) -> str:
    return msgspec.json.encode(_notable(rulings)).decode()


def _notable(rulings: Sequence[Ruling]) -> list[Ruling]:
    return [ruling for ruling in rulings if ruling[1] != "keep"]


def _candidate(request: ModelRequest, services: ChatServices) -> Candidate:
    """The sources that an answer of this turn is compared with."""
    internal = tuple(words_of(item) for item in request.items if is_data(item))
    past = tuple(words_of(item) for item in request.items[:-1] if not is_data(item))
    return Candidate(
        text="",
        inbound=words_of(request.items[-1]),
        instructions=request.instructions,
        internal=internal,
        agent_note=services.config.texts.agent_note,
        remembered=tuple(words for words in past if words),
        language=services.config.rules.language,
    )


def words_of(item: JsonObject) -> str:
    """The words of an item: a message's text, or a tool's output."""
    content = item.get("content") or item.get("output") or ""
    if isinstance(content, str):
        return content
    parts = (part.get("text", "") for part in content if isinstance(part, dict))
    return "\n".join(str(part) for part in parts if part)


async def reply_parts(text: str, turn: Turn, services: ChatServices) -> list[NewPart]:
    """Cut the answer of a turn into messages; at least one, the safe words if ``text`` is empty.

    The first of them quotes, and in a group mentions, whom it answers. Called by the chat's task.
    """
    spoken = services.voice.parts(text, turn, services.config.rules) if text else []
    if spoken:
        parts = [NewPart(body=words, kind="voice") for words in spoken]
    else:
        parts = await _cut(text or services.config.texts.unclear, services)
    parts[0] = replace(parts[0], quoted=_quoted(turn, in_group=services.config.rules.group_quote))
    mentioned = await _mentioned(turn, services)
    if mentioned and parts[0].kind == "text":  # a voice note shows no mention
        parts[0] = mentioning(parts[0], mentioned)
    return parts


async def _cut(text: str, services: ChatServices) -> list[NewPart]:
    """The texts that an answer is cut into, or the document that has all of it."""
    rules, texts = services.config.rules, services.config.texts
    bubbles = services.number.gateway.capabilities.bubbles or rules.max_bubbles
    cut = partial(split_reply, text, max_bubbles=bubbles, short=rules.short_characters)
    chunks = await work_on(len(text), cut)
    if len(text) > MAX_WRITTEN or len(chunks) > max(bubbles, rules.max_bubbles):
        try:
            name = await services.store.files.keep_text(text)
        except OSError as error:
            services.telemetry.log.warning("answer not written as a document", error=str(error))
        else:
            payload = {"filename": f"{texts.document_name}.txt", "mime_type": "text/plain"}
            return [NewPart(texts.document, kind="document", payload={**payload, "file": name})]
    return [NewPart(body=chunk) for chunk in chunks]


def _quoted(turn: Turn, *, in_group: bool) -> str:
    """The message that the answer is to quote: of a group's the last one, else a late one."""
    written = [stored.message for stored in turn.messages if not stored.message.is_note]
    if in_group and written and written[-1].is_group:
        return written[-1].id
    return written[0].id if turn.quotes and written else ""


async def _mentioned(turn: Turn, services: ChatServices) -> str:
    """The author to mention: in a group with several writers, that of the last message."""
    if not services.config.rules.group_mention or not turn.messages:
        return ""
    newest = turn.messages[-1].message
    if not newest.is_group or not newest.author:
        return ""
    several = await services.store.references.others_write(turn, newest.author)
    return newest.author if several else ""
