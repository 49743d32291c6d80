"""The review of an answer before it is decided: validators, and at most one second try."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import msgspec

from daemon.conversation.deps import Dependencies
from daemon.conversation.large_texts import MOST_CHARACTERS, work_on
from daemon.domain.messages import JsonObject, ModelRequest, ModelResponse
from daemon.domain.prompt.data import data_item, is_data
from daemon.domain.records import Run, Turn, Validation
from daemon.domain.validation.results import RETRY, Candidate, Judgement, Ruling, judge, retry_note


class Review:
    """The answers of one run, looked at in the order in which the model gives them.

    Used by the run alone. What is shown to the model about a second try (the answer that was not
    good enough, and why) is kept apart from what goes into the thread.
    """

    def __init__(self, turn: Turn, run: Run, request: ModelRequest, deps: Dependencies) -> None:
        self._turn = turn
        self._run = run
        self._deps = deps
        self._candidate = _candidate(request, deps)
        self._aside: list[JsonObject] = []
        self._place = 0
        self._first: Judgement | None = None
        self._first_round = 0
        self.text = ""
        """What is to be said; empty if nothing that the model wrote is fit to be said."""
        self.validation: Validation | None = None
        """What was said of the answer that is to be said, as the ledger keeps it."""

    @property
    def asked_again(self) -> bool:
        """True once the model has been sent an answer back."""
        return self._first is not None

    def shown(self, produced: Sequence[JsonObject]) -> list[JsonObject]:
        """What came of the run so far, as the model is told it."""
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
            self.give_in()
        else:
            self._settle(judgement, number)
        return False

    def give_in(self) -> None:
        """The second try cannot be had: the first answer stands, as far as it was mended."""
        if self._first:
            self._settle(self._first, self._first_round)

    def _settle(self, judgement: Judgement, number: int) -> None:
        """This is to be said. What was doubted in it, and is said all the same, is marked."""
        doubts = judgement.doubts if judgement.text else ()
        rulings = [(name, "flag" if name in doubts else word) for name, word in judgement.rulings]
        for name in doubts:
            self._deps.metrics.count_validation(name, "flag")
        if doubts:
            self._deps.log.warning(
                "doubtful answer sent", turn=self._turn.request_id, validators=", ".join(doubts)
            )
        self.text = judgement.text
        self.validation = Validation(number, _written(rulings), ", ".join(doubts))

    def final_items(self, response: ModelResponse) -> list[JsonObject]:
        """The answer as the thread keeps it: what was said, and nothing that was not."""
        text = self.text or self._deps.texts.unclear
        if text == response.text:
            # A call that nobody made has no output, and the server refuses it.
            return [item for item in response.items if item.get("type") != "function_call"]
        return [{"role": "assistant", "content": text}]

    async def _granted(self, number: int, rulings: str, note: str) -> bool:
        deps = self._deps
        return await deps.store.validations.ask_again(
            self._run,
            number,
            rulings=rulings,
            note=note,
            cooldown=deps.rules.validation_cooldown_seconds,
            now=deps.now(),
        )

    async def _judge(self, produced: Sequence[JsonObject], response: ModelResponse) -> Judgement:
        validators = self._deps.validators
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
        deps, name = self._deps, self._turn.request_id
        for validator, verdict in judgement.rulings:
            deps.metrics.count_validation(validator, verdict)
        for validator, error in judgement.faults:
            deps.log.warning("validator failed", validator=validator, turn=name, exc_info=error)
        notable = _notable(judgement.rulings)
        if notable:
            verdicts = ", ".join(f"{validator}: {verdict}" for validator, verdict in notable)
            level = deps.log.warning if not judgement.text or judgement.notes else deps.log.info
            level("answer validated", turn=name, verdicts=verdicts, reason=judgement.blocked)


def _written(rulings: Sequence[Ruling]) -> str:
    return msgspec.json.encode(_notable(rulings)).decode()


def _notable(rulings: Sequence[Ruling]) -> list[Ruling]:
    return [ruling for ruling in rulings if ruling[1] != "keep"]


def _candidate(request: ModelRequest, deps: Dependencies) -> Candidate:
    """What an answer of this turn may be held against."""
    internal = tuple(words_of(item) for item in request.items if is_data(item))
    past = tuple(words_of(item) for item in request.items[:-1] if not is_data(item))
    return Candidate(
        text="",
        heard=words_of(request.items[-1]),
        instructions=request.instructions,
        internal=internal,
        agent_note=deps.texts.agent_note,
        remembered=tuple(words for words in past if words),
        language=deps.rules.language,
    )


def words_of(item: JsonObject) -> str:
    """The words of an item: what was said, or what a tool gave."""
    content = item.get("content") or item.get("output") or ""
    if isinstance(content, str):
        return content
    parts = (part.get("text", "") for part in content if isinstance(part, dict))
    return "\n".join(str(part) for part in parts if part)
