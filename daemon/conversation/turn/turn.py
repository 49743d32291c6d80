"""Answering one turn: ask the model until there is an answer, a human, or nothing left to try."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import trio

from daemon.conversation.model_access import run_slot
from daemon.conversation.presence import TypingIndicator
from daemon.conversation.services import ChatServices
from daemon.conversation.signals import ChatSignals, Interruption
from daemon.conversation.turn.answer import reply_parts
from daemon.conversation.turn.candidate import Trial
from daemon.conversation.turn.history import import_history
from daemon.conversation.turn.interim import Progress, open_interim
from daemon.conversation.turn.outcome import (
    RunFailure,
    apologise,
    confirm_wish,
    ended_without_answer,
    follow_ups,
    give_up_turn,
    opening_texts,
    own_words,
    wish_in,
)
from daemon.conversation.turn.prompt_builder import PromptBuilder
from daemon.conversation.turn.run import RunAnswer, give_up, run_model
from daemon.domain.knowledge.reply import unanswered_in
from daemon.domain.limits import LONGEST_WAIT_SECONDS, delay, honoured
from daemon.domain.messages import Media, ModelRequest
from daemon.domain.records import NewPart, Turn
from daemon.errors import BudgetSpent, ModelRejected, ModelTemporary
from daemon.ledger.turns import Concluded
from daemon.observability.events import MODEL_ERROR, MOST_LOGGED, RESPONSE, VOICE_RESPONSE
from daemon.observability.tracing import span, stage

RETRY_CAP_SECONDS = LONGEST_WAIT_SECONDS
APOLOGISE_AFTER = 3
APOLOGISE_AFTER_SECONDS = 20.0
"""Failed attempts, or time with the wait that comes, before the customer is notified of the
delay."""

MAX_SUPERSEDED = 2
"""Runs of one turn that may be thrown away because the customer went on writing."""

MAX_TIMEOUTS = 3
"""A run that was too slow so often will be so again, and each one is paid for."""


class TurnWork:
    """One turn being answered, by the task of its chat."""

    def __init__(
        self,
        turn: Turn,
        services: ChatServices,
        signals: ChatSignals,
        *,
        deliver: Callable[[], Awaitable[None]],
        waiting: Callable[[bool], None],
        mark_read: Callable[[list[str]], None],
    ) -> None:
        """``deliver`` sends what waits in the outbox of the chat.

        ``waiting`` is called when a wait for a place among the runs begins, and when it ends.
        ``mark_read`` begins to mark messages as read, and returns at once.
        """
        self._turn = turn
        self._services = services
        self._signals = signals
        self._log = services.telemetry.log
        self._deliver = deliver
        self._waiting = waiting
        self._mark_read = mark_read
        self._typing = TypingIndicator(
            turn.key.chat,
            services.number.gateway,
            services.telemetry.log,
            shown=services.config.rules.typing,
        )
        self._read: set[str] = set()
        self._attempts = turn.attempts
        self._timeouts = 0
        self._asked_at = 0.0
        self._prompts = PromptBuilder(services)
        self._knows_history = False
        self.trial: Trial | None = None
        """What a candidate is to answer once the answer is on its way; None if none is."""
        self.thread_fits = False
        """True once it is known that nothing of the thread has to be left out for its length."""

    @property
    def history_budget(self) -> int:
        """Tokens that the conversation so far may take in a prompt."""
        return self._prompts.history_budget

    async def answer(self) -> Concluded | None:
        """Decide the answer of the turn: it is in the outbox when this returns.

        None if the turn has ended in another way: taken over by an agent, deleted, too old, or
        given up. Raises Stopping when the daemon stops; the turn then stays as it is.
        """
        services, superseded = self._services, False
        wish = await wish_in(self._turn, services)
        if wish.alone and not self._signals.is_paused:
            return await confirm_wish(self._turn, wish, services)
        while not await ended_without_answer(self._turn, services, self._signals):
            if self._has_news:
                await self._join_new_messages(counts=superseded)
                superseded = False
                continue
            if not await self._files_known():
                continue
            wish = await wish_in(self._turn, services)
            if wish.alone:
                return await confirm_wish(self._turn, wish, services)
            result = await self._attempt_in_place()
            if isinstance(result, RunAnswer):
                return await self._conclude(result)
            if isinstance(result, RunFailure) and result.final:
                await give_up_turn(self._turn, result, services, deliver=self._deliver)
                return None
            if isinstance(result, RunFailure):
                await self._wait_to_retry(result)
            superseded = result == "news"
        return None

    @property
    def _has_news(self) -> bool:
        """True if later messages are to be answered together with the turn's."""
        return self._signals.news and not self._turn.effects

    # -- one attempt ---------------------------------------------------------------------------

    async def _attempt_in_place(self) -> RunAnswer | RunFailure | Interruption | None:
        """Run the model once there is a place for it; None if something else comes first."""
        model, signals = self._services.model, self._signals
        async with run_slot(
            model.run_slots, self._turn.key.number, signals, waiting=self._waiting
        ) as held:
            signals.stop_if_asked()
            if not held or self._has_news:
                return None
            hold = model.state.wait()
            if hold > 0:
                return RunFailure("the model server is down", retry_after=hold)
            return await self._attempt()

    async def _attempt(self) -> RunAnswer | RunFailure | Interruption:
        """Run the model once, unless something interrupts it."""
        services, signals = self._services, self._signals
        self._asked_at = trio.current_time()
        self._attempts += 1  # in the ledger with the run
        stage("processing", f"attempt {self._attempts}")
        self._show_as_read()
        if not self._knows_history:
            self._knows_history = True
            await import_history(self._turn, services)
        request = await self._prompts.build(self._turn)
        progress = Progress(effects=self._turn.effects)
        result: RunAnswer | RunFailure | None = None
        async with open_interim(self._turn, services, progress, deliver=self._deliver):
            with (
                trio.CancelScope() as scope,
                signals.running(
                    scope.cancel, news_may_cancel=partial(self._may_supersede, progress)
                ),
            ):
                result = await self._typing.shown_during(
                    partial(self._run, request, progress),
                    name=f"run of {self._turn.request_id}",
                    indicator="recording" if services.voice.wanted(self._turn) else "typing",
                )
        if progress.effects:
            self._turn = replace(self._turn, effects=True)
        if isinstance(result, RunFailure):
            await self._typing.show("pause")  # nothing may follow for a while
        if result is not None:
            return result
        services.model.state.undecided()
        interruption = signals.interruption or "released"
        await give_up(self._turn, services)
        self._log.info("run interrupted", why=interruption)
        return interruption

    def _may_supersede(self, progress: Progress) -> bool:
        return not progress.effects and self._turn.superseded < MAX_SUPERSEDED

    def _show_as_read(self) -> None:
        """Mark what is answered now as read; not again what an earlier attempt has marked."""
        messages = [stored.message for stored in self._turn.messages]
        ids = [message.id for message in messages if not message.is_note]
        new = [message_id for message_id in ids if message_id not in self._read]
        if new and self._services.config.rules.read_receipts:
            self._read.update(new)
            self._mark_read(new)

    async def _run(self, request: ModelRequest, progress: Progress) -> RunAnswer | RunFailure:
        """Run the model within its time limit, and report to its state what came of it."""
        services, began = self._services, trio.current_time()
        model = services.model.state
        try:
            with (
                span("run", attempt=self._attempts),
                trio.fail_after(services.config.rules.run_timeout_seconds) as time_limit,
            ):
                progress.time_limit = time_limit
                answer = await self._ask(request, progress)
        except trio.TooSlowError:
            model.undecided()
            await give_up(self._turn, services)
            self._timeouts += 1
            return RunFailure("the run took too long", final=self._timeouts >= MAX_TIMEOUTS)
        except ModelTemporary as error:
            model.failed(error)
            return RunFailure(str(error), retry_after=honoured(error.retry_after))
        except ModelRejected as error:
            reason = self._prompts.shown_reason(error)
            for_everybody = model.refused(error, self._turn.key, reason=reason)
            return RunFailure(str(error), final=True, for_everybody=for_everybody)
        except BudgetSpent as error:
            model.undecided()
            return RunFailure(str(error), final=True, over_budget=error.whose)
        model.answered()
        services.telemetry.metrics.note_run(answer.usage, trio.current_time() - began)
        return answer

    async def _ask(self, request: ModelRequest, progress: Progress) -> RunAnswer:
        """Run the model; once more with less in the prompt if it refuses this one for that."""
        ask = partial(run_model, services=self._services, attempt=self._attempts)
        try:
            return await ask(self._turn, request, progress)
        except ModelRejected as error:
            if not self._prompts.can_leave_out_more(error):
                raise
        return await ask(self._turn, await self._prompts.build(self._turn), progress)

    async def _files_known(self) -> bool:
        """Wait for the words in the burst's files; False if something else comes first."""
        messages = [stored.message for stored in self._turn.messages]
        signals = self._signals
        if any(isinstance(message.content, Media) for message in messages):
            wait = partial(self._services.attachments.wait, messages)
            await signals.unless_interrupted(wait)
            signals.stop_if_asked()
        return not (signals.is_paused or self._has_news)

    # -- what comes of it ----------------------------------------------------------------------

    async def _conclude(self, answer: RunAnswer) -> Concluded:
        """Put the answer into the thread and the outbox, in one write."""
        services, turn, prompts = self._services, self._turn, self._prompts
        if not answer.text:
            services.telemetry.metrics.fallbacks.inc()
            self._log.warning("answer not fit to be sent")
        parts = await reply_parts(answer.text, turn, services)
        wish = await wish_in(turn, services)
        before = await opening_texts(turn, wish, services)
        self._log.event(
            VOICE_RESPONSE if parts[0].kind == "voice" else RESPONSE,
            name=turn.contact_name,
            text=" ".join(part.body for part in parts)[:MOST_LOGGED],
            seconds=round(trio.current_time() - self._asked_at, 1),
        )
        if services.knowledge is not None and (
            unanswered := unanswered_in(answer.items, answer.text)
        ):
            await services.store.questions.keep(turn, unanswered, now=services.telemetry.now())
        concluded = await services.store.turns.conclude(
            turn,
            items=[*prompts.thread_items(turn), *map(own_words, before), *answer.items],
            parts=[*map(NewPart, before), *parts],
            chat_update=replace(
                prompts.chat_update(answer.first_usage),
                choice=wish.choice,
                consent=services.config.rules.consent.notice in before,
            ),
            validation=answer.validation,
            followups=follow_ups(turn, answer.text, services),
            now=services.telemetry.now(),
        )
        self.thread_fits = prompts.fits_with(concluded.tokens)
        candidate = services.config.candidate
        if candidate is not None and candidate.is_shadow:
            self.trial = Trial(turn, candidate, prompts.request, answer.items)
        return concluded

    async def _wait_to_retry(self, failure: RunFailure) -> None:
        """Wait before the next attempt; notify the customer, once, of the delay."""
        services, telemetry = self._services, self._services.telemetry
        wait = delay(
            max(0, self._attempts - 1),
            base_seconds=services.config.rules.retry_seconds,
            cap_seconds=RETRY_CAP_SECONDS,
            fraction=telemetry.random.random(),
        )
        wait = max(wait, failure.retry_after)
        stage("retry_wait", f"{wait:.1f} s after attempt {self._attempts}")
        self._log.event(
            MODEL_ERROR,
            name=self._turn.contact_name,
            error=failure.reason,
            attempt=self._attempts,
            wait=round(wait, 1),
        )
        overdue = telemetry.now() + wait - self._turn.opened_at > APOLOGISE_AFTER_SECONDS
        if self._attempts < APOLOGISE_AFTER and not overdue:
            await self._signals.rest_until_news(wait)
            return
        await apologise(self._turn, services, deliver=self._deliver)
        with services.model.state.customer_waits(failure.reason):
            await self._signals.rest_until_news(wait)

    async def _join_new_messages(self, *, counts: bool) -> None:
        """Wait until the customer has finished, and answer all of it together."""
        stage("superseded")
        await self._signals.rest_until_quiet()
        if self._signals.is_paused:
            return
        self._signals.turn_joined()
        await give_up(self._turn, self._services)
        self._turn = await self._services.store.turns.join(
            self._turn,
            limit=self._services.config.rules.window.max_messages,
            counts=counts,
            now=self._services.telemetry.now(),
        )
        self._log.info("turn joined by later messages", messages=len(self._turn.messages))
