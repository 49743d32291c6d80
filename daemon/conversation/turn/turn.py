"""Answering one turn: ask the model until there is an answer, a human, or nothing left to try."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import trio

from daemon.conversation.consent_notices import as_said, heed, said_before, wish_in
from daemon.conversation.deps import Dependencies
from daemon.conversation.presence import show, with_typing_shown
from daemon.conversation.signals import ChatSignals, Interruption
from daemon.conversation.turn.failed_turn import RunFailure, apologise, give_turn_up
from daemon.conversation.turn.history import import_history
from daemon.conversation.turn.interim import open_interim
from daemon.conversation.turn.limits import run_slot
from daemon.conversation.turn.outcome import ended_without_answer
from daemon.conversation.turn.prompt_builder import PromptBuilder
from daemon.conversation.turn.reply import reply_parts
from daemon.conversation.turn.run import RunAnswer, give_up
from daemon.conversation.turn.run_progress import Progress
from daemon.conversation.voice import wants_voice
from daemon.domain.messages import Media
from daemon.domain.records import NewPart, Turn
from daemon.domain.retries import LONGEST_WAIT_SECONDS, delay, honoured
from daemon.errors import BudgetSpent, ModelRejected, ModelTemporary
from daemon.ledger.turns import Concluded
from daemon.observability.events import MODEL_ERROR, MOST_LOGGED, RESPONSE, VOICE_RESPONSE
from daemon.observability.logs import Log
from daemon.observability.tracing import span, stage

RETRY_CAP_SECONDS = LONGEST_WAIT_SECONDS
APOLOGISE_AFTER = 3
APOLOGISE_AFTER_SECONDS = 20.0
"""Failed attempts, or time with the wait that comes, before the customer is told that the answer
will take a while."""

MAX_TIMEOUTS = 3
"""A run that was too slow so often will be so again, and each one is paid for."""


class TurnWork:
    """One turn being answered, by the task of its chat."""

    def __init__(
        self,
        turn: Turn,
        deps: Dependencies,
        signals: ChatSignals,
        log: Log,
        *,
        say: Callable[[], Awaitable[None]],
        waiting: Callable[[bool], None],
        mark_read: Callable[[list[str]], None],
    ) -> None:
        """``say`` sends what waits in the outbox of the chat.

        ``waiting`` is told when the turn waits for its place among the runs, and when no more.
        ``mark_read`` begins to mark messages as read, and returns at once.
        """
        self._turn = turn
        self._deps = deps
        self._signals = signals
        self._log = log
        self._say = say
        self._waiting = waiting
        self._mark_read = mark_read
        self._read: set[str] = set()
        self._attempts = turn.attempts
        self._timeouts = 0
        self._asked_at = 0.0
        self.prompt_builder = PromptBuilder(deps, log)
        self.thread_fits = False
        """True once it is known that nothing of the thread has to be left out for its length."""
        self._knows_history = False

    async def answer(self) -> Concluded | None:
        """Decide the answer of the turn: it is in the outbox when this returns.

        None if the turn has ended in another way: taken over by an agent, deleted, too old, or
        given up. Raises Stopping when the daemon stops; the turn then stays as it is.
        """
        superseded = False
        wish = await wish_in(self._turn, self._deps)
        if wish.alone and not self._signals.is_paused:
            return await heed(self._turn, wish, self._deps, self._log)
        while not await self._is_over():
            if self._signals.news and not self._turn.effects:
                await self._take_in_news(counts=superseded)
                superseded = False
                continue
            if not await self._files_known():
                continue
            wish = await wish_in(self._turn, self._deps)
            if wish.alone:
                return await heed(self._turn, wish, self._deps, self._log)
            result = await self._attempt_in_place()
            if isinstance(result, RunAnswer):
                return await self._conclude(result)
            if isinstance(result, RunFailure) and result.final:
                await give_turn_up(self._turn, result, self._deps, self._log, say=self._say)
                return None
            if isinstance(result, RunFailure):
                await self._wait_to_retry(result)
            superseded = result == "news"
        return None

    async def _is_over(self) -> bool:
        """Close the turn if no answer is wanted any more."""
        return await ended_without_answer(self._turn, self._deps, self._signals, self._log)

    # -- one attempt ---------------------------------------------------------------------------

    async def _attempt_in_place(self) -> RunAnswer | RunFailure | Interruption | None:
        """Run the model once there is a place for it; None if something has to be seen to first."""
        deps, signals = self._deps, self._signals
        async with run_slot(deps.run_slots, signals, waiting=self._waiting) as held:
            signals.stop_if_asked()
            if not held or (signals.news and not self._turn.effects):
                return None
            hold = deps.model_state.wait()
            if hold > 0:
                return RunFailure("the model server is down", retry_after=hold)
            return await self._attempt()

    async def _attempt(self) -> RunAnswer | RunFailure | Interruption:
        """Run the model once, unless something interrupts it."""
        deps, signals = self._deps, self._signals
        self._asked_at = trio.current_time()
        self._attempts += 1  # in the ledger with the run
        stage("processing", f"attempt {self._attempts}")
        self._show_as_read()
        if not self._knows_history:
            self._knows_history = True
            await import_history(self._turn, deps)
        await self.prompt_builder.prepare(self._turn)
        progress = Progress(effects=self._turn.effects)
        result: RunAnswer | RunFailure | None = None
        async with open_interim(self._turn, deps, progress, deliver=self._say):
            with trio.CancelScope() as scope:
                signals.watch(scope, progress, superseded=self._turn.superseded)
                try:
                    result = await with_typing_shown(
                        self._turn.key.chat,
                        deps,
                        partial(self._run, progress),
                        name=f"run of {self._turn.request_id}",
                        presence="recording" if wants_voice(self._turn, deps) else "typing",
                    )
                finally:
                    signals.unwatch()
        if progress.effects:
            self._turn = replace(self._turn, effects=True)
        if isinstance(result, RunFailure) and deps.rules.typing:
            await show(self._turn.key.chat, "pause", deps)  # nothing may follow for a while
        if result is not None:
            return result
        deps.model_state.undecided()
        interruption = signals.interruption or "released"
        await give_up(self._turn, deps)
        self._log.info("run interrupted", why=interruption)
        return interruption

    def _show_as_read(self) -> None:
        """Mark what is answered now as read; not again what an earlier attempt has marked."""
        ids = [stored.message.id for stored in self._turn.messages]
        new = [message_id for message_id in ids if message_id not in self._read]
        if new and self._deps.rules.read_receipts:
            self._read.update(new)
            self._mark_read(new)

    async def _run(self, progress: Progress) -> RunAnswer | RunFailure:
        deps, began = self._deps, trio.current_time()
        try:
            with (
                span("run", attempt=self._attempts),
                trio.fail_after(deps.rules.run_timeout_seconds) as time_limit,
            ):
                progress.time_limit = time_limit
                answer = await self.prompt_builder.ask(self._turn, progress, attempt=self._attempts)
        except trio.TooSlowError:
            deps.model_state.undecided()
            await give_up(self._turn, deps)
            self._timeouts += 1
            return RunFailure("the run took too long", final=self._timeouts >= MAX_TIMEOUTS)
        except ModelTemporary as error:
            deps.model_state.failed(error)
            return RunFailure(str(error), retry_after=honoured(error.retry_after))
        except ModelRejected as error:
            reason = self.prompt_builder.shown_reason(error)
            for_everybody = deps.model_state.refused(error, self._turn.key, reason=reason)
            return RunFailure(str(error), final=True, for_everybody=for_everybody)
        except BudgetSpent as error:
            deps.model_state.undecided()
            return RunFailure(str(error), final=True, over_budget=error.whose)
        deps.model_state.answered()
        deps.metrics.note_run(answer.usage, trio.current_time() - began)
        return answer

    async def _files_known(self) -> bool:
        """Wait for what the burst's files say; False if something else has to be seen to first."""
        messages = [stored.message for stored in self._turn.messages]
        signals = self._signals
        if any(isinstance(message.content, Media) for message in messages):
            wait = partial(self._deps.attachments.wait, messages)
            await signals.unless_called_off(wait)
            signals.stop_if_asked()
        return not (signals.is_paused or (signals.news and not self._turn.effects))

    # -- what comes of it ----------------------------------------------------------------------

    async def _conclude(self, answer: RunAnswer) -> Concluded:
        """Put the answer into the thread and the outbox, in one write."""
        deps, turn = self._deps, self._turn
        if not answer.text:
            deps.metrics.fallbacks.inc()
            self._log.warning("answer not fit to be sent")
        parts = await reply_parts(answer.text, turn, deps)
        wish = await wish_in(turn, deps)
        before = await said_before(turn, wish, deps)
        self._log.event(
            VOICE_RESPONSE if parts[0].kind == "voice" else RESPONSE,
            name=turn.contact_name,
            text=" ".join(part.body for part in parts)[:MOST_LOGGED],
            seconds=round(trio.current_time() - self._asked_at, 1),
        )
        concluded = await deps.store.turns.conclude(
            turn,
            items=[*self.prompt_builder.heard(turn), *map(as_said, before), *answer.items],
            parts=[*map(NewPart, before), *parts],
            told=replace(
                self.prompt_builder.told(answer),
                choice=wish.choice,
                consent=deps.rules.consent.notice in before,
            ),
            validation=answer.validation,
            now=deps.now(),
        )
        self.thread_fits = self.prompt_builder.fits_with(concluded.tokens)
        return concluded

    async def _wait_to_retry(self, failure: RunFailure) -> None:
        """Wait before the next attempt; tell the customer, once, that it will take a while."""
        deps = self._deps
        wait = delay(
            max(0, self._attempts - 1),
            base_seconds=deps.rules.retry_seconds,
            cap_seconds=RETRY_CAP_SECONDS,
            fraction=deps.random.random(),
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
        overdue = deps.now() + wait - self._turn.opened_at > APOLOGISE_AFTER_SECONDS
        if self._attempts < APOLOGISE_AFTER and not overdue:
            await self._signals.rest_until_news(wait)
            return
        await apologise(self._turn, deps, say=self._say)
        with deps.model_state.somebody_waits(failure.reason):
            await self._signals.rest_until_news(wait)

    async def _take_in_news(self, *, counts: bool) -> None:
        """Wait until the customer has finished, and answer all of it together."""
        stage("superseded")
        await self._signals.rest_until_quiet()
        if self._signals.is_paused:
            return
        self._signals.window = None
        self._signals.news = False
        self._signals.came_late = False
        await give_up(self._turn, self._deps)
        self._turn = await self._deps.store.turns.join(
            self._turn,
            limit=self._deps.rules.window.max_messages,
            counts=counts,
            now=self._deps.now(),
        )
        self._log.info("turn joined by later messages", messages=len(self._turn.messages))
