"""What the dashboard is shown, put together from the parts of the running daemon."""

from collections.abc import Callable, Iterator
from typing import Literal

from daemon.conversation.deps import Dependencies
from daemon.conversation.registry import ChatRegistry
from daemon.domain.audit_chain import Actor
from daemon.domain.dashboard_values import SECONDS_SHOWN, LogLine, LogQuery, Overview, Part
from daemon.domain.ids import shown
from daemon.domain.limits.budget import day_of
from daemon.observability.counts import bucket_ends, read_counts
from daemon.ops.live_log import Feed, LiveLog
from daemon.ops.maintenance.figures import Figures, Sampler
from daemon.settings.operation import DashboardSettings


class Watched:
    """Implements `daemon.http.facade.Watch`. Made by the composer, used by HTTP handlers."""

    def __init__(
        self,
        deps: Dependencies,
        settings: DashboardSettings,
        *,
        chats: ChatRegistry,
        figures: Figures,
        phase: Callable[[], str],
    ) -> None:
        """``phase`` is that of the daemon: ``initializing``, ``ready`` or ``stopping``."""
        self.live = LiveLog(deps.store.dashboard_log, keep=settings.log_lines, log=deps.log)
        """To be run as a side task, like the sampler."""
        self.sampler = Sampler(
            metrics=deps.metrics,
            store=deps.store.samples,
            log=deps.log,
            now=deps.now,
            seconds=settings.sample_seconds,
        )
        self._deps = deps
        self._chats = chats
        self._figures = figures
        self._phase = phase
        self._started_at = deps.now()
        self._ends = bucket_ends(deps.metrics)

    async def begin_session(self, name: str, ends_at: float) -> None:
        """Keep that somebody is signed in."""
        await self._deps.store.sessions.begin(name, ends_at=ends_at, now=self._deps.now())

    async def session_end(self, name: str) -> float:
        """When a session ends; 0 if there is none."""
        return await self._deps.store.sessions.end_of(name)

    async def end_session(self, name: str) -> None:
        """Forget a session."""
        await self._deps.store.sessions.end(name)

    async def log_lines(self, query: LogQuery) -> list[LogLine]:
        """Lines of the live log, oldest first."""
        return await self.live.lines(query)

    def follow_log(self) -> Feed:
        """The lines from now on."""
        return self.live.follow()

    async def phone_number(self, ref: str, *, by: Actor) -> str:
        """The number behind a public name, as people write it; a group's id as it is."""
        chat = await self._deps.store.dashboard_log.chat_of(ref)
        if chat:
            await self._deps.store.audit.write(by, "reveal", chat, now=self._deps.now())
        return shown(chat)

    async def overview(self) -> Overview:
        """The first page, as of now."""
        deps, figures, statistics = self._deps, self._figures, self._chats.statistics()
        samples = await self.sampler.recent(SECONDS_SHOWN)
        now, budget = deps.now(), deps.rules.budget
        used = await deps.store.usage.total(day_of(now, deps.rules.zone))
        paused, dead = await deps.store.samples.standing(now)
        return Overview(
            at=now,
            started_at=self._started_at,
            parts=tuple(self._parts()),
            chats=statistics.chats,
            windows=statistics.windows,
            runs=statistics.runs,
            threads=figures.total_threads,
            outbox=dict(figures.outbox),
            oldest_unanswered=figures.oldest_unanswered,
            oldest_for_bot=figures.oldest_for_bot,
            waiting=figures.chats_for_person,
            waiting_since=figures.oldest_for_person,
            remind_seconds=deps.rules.remind_seconds,
            paused=paused,
            dead=dead,
            tokens_today=used.tokens,
            cost_today=used.micros / 1_000_000,
            tokens_limit=budget.total_tokens,
            cost_limit=budget.total_cost,
            currency=budget.currency,
            memory_bytes=read_counts(deps.metrics).memory_bytes,
            samples=samples,
            acknowledgement_buckets=self._ends[0],
            turn_buckets=self._ends[1],
        )

    def _parts(self) -> Iterator[Part]:
        """The state of each part, the daemon first."""
        phase, deps = self._phase(), self._deps
        yield Part(name="daemon", state="ok" if phase == "ready" else "wait", reason=phase)
        trouble = deps.channel_state.fault or deps.channel.trouble
        connecting = deps.channel_state.view.state == "connecting"
        state: Literal["ok", "wait", "bad"] = "wait" if connecting else "ok"
        yield Part(name="channel", state="bad" if trouble else state, reason=trouble)
        fault = deps.model_state.fault
        yield Part(name="model", state="bad" if fault else "ok", reason=fault)
        fault, full = deps.store.database.fatal_error, deps.store.database.last_write_error
        yield Part(name="store", state="bad" if fault or full else "ok", reason=fault or full)
