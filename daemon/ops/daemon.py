"""The running daemon as HTTP sees it: what the web layer may ask, answered from memory."""

from collections.abc import Sequence

from daemon import __version__
from daemon.conversation.deps import Dependencies
from daemon.conversation.intake import Intake
from daemon.conversation.number_state import ChannelView
from daemon.conversation.recovery import RecoveryReport
from daemon.conversation.registry import ChatRegistry
from daemon.domain.audit_chain import Action, Actor
from daemon.domain.ids import chat_id
from daemon.domain.masking import mask_numbers
from daemon.observability.lines import iso_utc
from daemon.ops.conversations import ChatDesk
from daemon.ops.maintenance.figures import Figures
from daemon.ops.maintenance.forgetting import Forgetter
from daemon.ops.overview import Watched
from daemon.ops.work import RunningWorkbench
from daemon.settings import Settings
from daemon.system.process import MemoryTrace, resident_bytes

STALE_SECONDS = 900.0
"""A message that the bot owes an answer for so long means that something is wrong."""

HOOK_RESULTS = {200: "stored", 400: "invalid", 401: "unauthorized", 413: "too_large"}
"""What the answers of ``/hook`` are counted as; the others mean that it could not be taken."""


class RunningDaemon:
    """Implements `daemon.http.facade.Daemon`. Made by the composer, used by HTTP handlers."""

    def __init__(
        self,
        settings: Settings,
        deps: Dependencies,
        *,
        chats: ChatRegistry,
        intake: Intake,
        figures: Figures,
        forgetter: Forgetter,
    ) -> None:
        self.environment = settings.environment
        self.phase = "initializing"
        """``initializing``, ``ready`` or ``stopping``."""
        self.port = settings.web.port
        self._settings = settings
        self._deps = deps
        self._store = deps.store
        self._metrics = deps.metrics
        results = deps.metrics.webhooks
        self._hook_results = {status: results.labels(was) for status, was in HOOK_RESULTS.items()}
        self._hook_failed = results.labels("unavailable")
        self._engine = deps.engine
        self._channel = deps.channel
        self._channel_state = deps.channel_state
        self._model_state = deps.model_state
        self._now = deps.now
        self._chats = chats
        self._intake = intake
        self._figures = figures
        self.watch = Watched(
            deps, settings.dashboard, chats=chats, figures=figures, phase=lambda: self.phase
        )
        """What the dashboard asks."""
        self._memory_trace = MemoryTrace()
        self.recovery = RecoveryReport(began_at=deps.now())
        self.desk = ChatDesk(deps, chats, settings.data_dir, forgetter)
        self.workbench = RunningWorkbench(
            deps,
            chats,
            live=self.desk.live,
            recovery=self.recovery,
            data_dir=settings.data_dir,
        )

    def now(self) -> float:
        """The wall clock, in Unix seconds."""
        return self._now()

    async def accept(self, body: bytes, path_event: str) -> None:
        """Store one webhook call durably and wake its chats; see the protocol.

        A call that is under way when the stop begins is stored too: the store closes after HTTP,
        and the next start answers it.
        """
        await self._intake.accept(body, path_event)

    def response_ended(self, response_id: str) -> None:
        """The model server says that a response has ended."""
        self._engine.notice(response_id)

    def hook_answered(self, status: int, seconds: float) -> None:
        """A webhook call was answered, so long after its last byte."""
        self._hook_results.get(status, self._hook_failed).inc()
        if status == 200:
            self._metrics.acknowledgement.observe(seconds)

    def secret_refused(self, what: str) -> None:
        """A request carried a wrong secret."""
        self._metrics.secrets_refused.labels(what).inc()

    def health(self) -> dict[str, object]:
        """The body of ``/health``."""
        statistics = self._chats.statistics()
        faults = self._faults()
        health: dict[str, object] = {
            "status": "degraded" if faults else "healthy",
            "timestamp": iso_utc(self._now()),
            "environment": self.environment,
            "port": self.port,
            "initialized": self.phase != "initializing",
            "activeBuffers": statistics.windows,
            "activeProcessing": statistics.working,
            "threadStats": self._threads(),
            "waitingForPerson": self._waiting_for_person(),
        }
        if faults:
            health["reasons"] = faults
        return health

    def channel_state(self) -> ChannelView:
        """How our channel is, since when, and what to do about it."""
        return self._channel_state.view

    def ready(self) -> str:
        """Why no webhooks are taken now; empty if they are."""
        if self.phase != "ready":
            return self.phase
        return self._store.database.fatal_error or self._store.database.last_write_error

    def about(self) -> dict[str, object]:
        """The body of ``/``."""
        return {
            "service": "Recado",
            "version": __version__,
            "environment": self.environment,
            "status": self.phase,
            "webhookUrl": self._settings.web.webhook_url,
            "threads": self._threads(),
        }

    def locks(self) -> dict[str, object]:
        """The body of ``/locks``: the chats at work, numbers masked."""
        statistics = self._chats.statistics()
        chats = [
            {
                "chat": mask_numbers(state.key.chat),
                "state": state.doing,
                "since": iso_utc(state.since),
                "queued": state.queued,
                "turn": state.request_id,
            }
            for state in self._chats.states()
        ]
        return {
            "timestamp": iso_utc(self._now()),
            "environment": self.environment,
            "stats": {
                "activeLocks": statistics.working,
                "activeQueues": statistics.windows,
                "totalUsers": statistics.chats,
            },
            "chats": chats,
        }

    def abandoned(self) -> str:
        """What is under way, in one line; called by another thread when a stop is forced."""
        working = [f"{s.request_id} {s.doing}" for s in self._chats.states() if s.request_id]
        return f"{len(working)} turns ({', '.join(working[:10])})" if working else "no turns"

    def opened(self, urls: Sequence[str]) -> None:
        """HTTP is being served at these addresses: the daemon is ready."""
        port = urls[0].rpartition(":")[2] if urls else ""
        if port.isdecimal():
            self.port = int(port)
        self.phase = "ready"

    async def audit(
        self, by: Actor, action: Action, subject: str = "", *, before: str = "", after: str = ""
    ) -> None:
        """Write down who did what; see the protocol."""
        await self._store.audit.write(
            by, action, subject, before=before, after=after, now=self._now()
        )

    async def clear_locks(self, *, by: Actor) -> int:
        """Begin anew, at once, what the chats are at; servers that were left alone are asked."""
        self._model_state.try_now()
        self._channel.try_now()
        cleared = self._chats.release_all()
        await self.audit(by, "clear locks", after=f"{cleared} cleared")
        return cleared

    async def pause(self, chat: str, minutes: float | None, *, by: Actor) -> int:
        """Keep the bot out of a chat; see the protocol."""
        seconds = self._deps.rules.pause_seconds if minutes is None else minutes * 60
        now = self._now()
        keys = await self._store.operator_actions.pause(
            chat_id(chat), now + seconds, by=by, now=now
        )
        for key in keys:
            self._chats.pause(key, now + seconds)
        return len(keys)

    async def resume(self, chat: str, *, by: Actor) -> int:
        """Let the bot answer in a chat again, also what waits there."""
        now = self._now()
        keys = await self._store.operator_actions.give_back(chat_id(chat), by=by, now=now)
        for key in keys:
            self._chats.give_back(key, now)
        return len(keys)

    async def mark_done(self, chat: str, *, by: Actor) -> tuple[int, int]:
        """Count what waits for a person as handled; see the protocol."""
        keys, closed = await self._store.operator_actions.done(
            chat_id(chat), by=by, now=self._now()
        )
        for key in keys:
            self._chats.wake(key)
        return len(keys), closed

    def metrics(self, accept_header: str) -> tuple[bytes, str]:
        """The metrics and their content type."""
        return self._metrics.render(accept_header)

    def trace_memory(self) -> dict[str, object]:
        """Begin to watch where memory is allocated; the next times, what has grown since."""
        grown = self._memory_trace.grown()
        self._memory_trace.begin()
        return {"watching": True, "resident_bytes": resident_bytes(), "grown": grown}

    def end_memory_trace(self) -> None:
        """Watch allocations no more."""
        self._memory_trace.end()

    def _threads(self) -> dict[str, int]:
        return {
            "totalThreads": self._figures.total_threads,
            "activeThreads": self._figures.active_threads,
        }

    def _faults(self) -> list[str]:
        faults = []
        if trouble := self._store.database.fatal_error or self._store.database.last_write_error:
            faults.append(trouble)
        if self._channel_state.fault:
            faults.append(self._channel_state.fault)
        elif self._channel.trouble:
            faults.append(f"sends are held: {self._channel.trouble}")
        elif self._channel.delay:
            faults.append(self._channel.delay)
        if self._model_state.fault:
            faults.append(self._model_state.fault)
        oldest = self._figures.oldest_for_bot
        if oldest and self._now() - oldest > STALE_SECONDS:
            faults.append("a message has been unanswered for more than 15 minutes")
        patience = self._deps.rules.remind_seconds
        if self._waiting_for_person()["oldestSeconds"] > patience:
            minutes = f"{patience / 60:g} minutes"
            faults.append(f"a customer has waited for a person for more than {minutes}")
        return faults

    def _waiting_for_person(self) -> dict[str, int]:
        """How many chats wait for a person, and the longest wait, for ``/health``."""
        figures = self._figures
        waited = self._now() - figures.oldest_for_person if figures.chats_for_person else 0
        return {"chats": figures.chats_for_person, "oldestSeconds": max(0, round(waited))}
