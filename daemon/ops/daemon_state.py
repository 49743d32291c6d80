"""The state of a running daemon: what probes, metrics and the dashboard's first page show.

Read from memory, except for the overview. Any task may ask; times are Unix seconds.
"""

from collections.abc import Sequence
from typing import Literal

from daemon import __version__
from daemon.conversation.number_runtime import NumberRuntime
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.domain.dashboard_values import SECONDS_SHOWN, ComponentState, Overview
from daemon.domain.limits import MICROS, day_of
from daemon.domain.redaction import mask_numbers
from daemon.observability.counts import bucket_ends, read_counts
from daemon.observability.lines import iso_utc
from daemon.ops.maintenance.figures import Figures, NumberFigures, Sampler
from daemon.settings import Settings
from daemon.system.process import MemoryTrace, resident_bytes

STALE_SECONDS = 900.0
"""A message that the bot has not answered for so long is reported as a fault."""

HOOK_RESULTS = {200: "stored", 400: "invalid", 401: "unauthorized", 413: "too_large"}
"""Labels of the metric of webhook calls, by status; any other status is ``unavailable``."""


class DaemonState:
    """One object for the whole process. Made by the composer."""

    def __init__(
        self, settings: Settings, process: Process, numbers: Numbers, figures: Figures
    ) -> None:
        """``figures`` is kept up to date by a task of the maintenance."""
        telemetry = process.telemetry
        self.phase: Literal["initializing", "ready", "stopping"] = "initializing"
        self.port = settings.web.port
        self.sampler = Sampler(
            metrics=telemetry.metrics,
            store=process.store.samples,
            log=telemetry.log,
            now=telemetry.now,
            seconds=settings.dashboard.sample_seconds,
        )
        """To be run as a side task."""
        self._settings = settings
        self._store = process.store
        self._numbers = numbers
        self._model_states = process.model_states
        self._figures = figures
        self._metrics = telemetry.metrics
        self._now = telemetry.now
        self._started_at = self._now()
        self._memory_trace = MemoryTrace()

    def opened(self, urls: Sequence[str]) -> None:
        """Become ready: HTTP is served at these addresses."""
        port = urls[0].rpartition(":")[2] if urls else ""
        if port.isdecimal():
            self.port = int(port)
        self.phase = "ready"

    def stopping(self) -> None:
        """Stop being ready: the stop has begun."""
        self.phase = "stopping"

    def ready(self) -> str:
        """Return why no webhooks are taken now; empty if they are."""
        return self._store_fault() if self.phase == "ready" else self.phase

    def about(self) -> dict[str, object]:
        """Return the body of ``/``."""
        return {
            "service": "Recado",
            "version": __version__,
            "environment": self._settings.environment,
            "status": self.phase,
            "webhookUrl": self._settings.web.webhook_url,
            "threads": self._threads(),
        }

    def health(self) -> dict[str, object]:
        """Return the body of ``/health``."""
        statistics, faults = self._numbers.statistics(), self._faults()
        health: dict[str, object] = {
            "status": "degraded" if faults else "healthy",
            "timestamp": iso_utc(self._now()),
            "environment": self._settings.environment,
            "port": self.port,
            "initialized": self.phase != "initializing",
            "activeBuffers": statistics.windows,
            "activeProcessing": statistics.working,
            "threadStats": self._threads(),
            "waitingForPerson": self._waiting_for_person(),
        }
        return health | ({"reasons": faults} if faults else {})

    def locks(self) -> dict[str, object]:
        """Return the body of ``/locks``: the chats at work, numbers masked."""
        statistics = self._numbers.statistics()
        return {
            "timestamp": iso_utc(self._now()),
            "environment": self._settings.environment,
            "stats": {
                "activeLocks": statistics.working,
                "activeQueues": statistics.windows,
                "totalUsers": statistics.chats,
            },
            "chats": [
                {
                    "chat": mask_numbers(state.key.chat),
                    **self.name_of(state.key.number),
                    "state": state.doing,
                    "since": iso_utc(state.since),
                    "queued": state.queued,
                    "turn": state.request_id,
                }
                for state in self._numbers.states()
            ],
        }

    def metrics(self, accept_header: str) -> tuple[bytes, str]:
        """Return the metrics and their content type, in the best format that a client accepts."""
        return self._metrics.render(accept_header)

    def abandoned(self) -> str:
        """Name the turns in progress; called by another thread when a stop is forced."""
        working = [f"{s.request_id} {s.doing}" for s in self._numbers.states() if s.request_id]
        return f"{len(working)} turns ({', '.join(working[:10])})" if working else "no turns"

    def hook_answered(self, status: int, seconds: float) -> None:
        """Count an answered webhook call; ``seconds`` since its last byte."""
        self._metrics.webhooks.labels(HOOK_RESULTS.get(status, "unavailable")).inc()
        if status == 200:
            self._metrics.acknowledgement.observe(seconds)

    def secret_refused(self, what: str) -> None:
        """Count a request with a wrong secret; ``what`` is one of `daemon.http.access.What`."""
        self._metrics.secrets_refused.labels(what).inc()

    def trace_memory(self) -> dict[str, object]:
        """Begin to trace allocations; return what has grown since the trace began."""
        grown = self._memory_trace.grown()
        self._memory_trace.begin()
        return {"watching": True, "resident_bytes": resident_bytes(), "grown": grown}

    def end_memory_trace(self) -> None:
        """Stop tracing allocations."""
        self._memory_trace.end()

    async def overview(self) -> Overview:
        """Return the dashboard's first page."""
        figures, statistics = self._waiting(), self._numbers.statistics()
        samples = await self.sampler.recent(SECONDS_SHOWN)
        now, rules = self._now(), [one.services.config.rules for one in self._numbers]
        used = [
            await self._store.usage.total(one.name, day_of(now, one.services.config.rules.zone))
            for one in self._numbers
        ]
        ends = bucket_ends(self._metrics)
        return Overview(
            at=now,
            started_at=self._started_at,
            parts=self._parts(),
            counts={
                "chats": statistics.chats,
                "windows": statistics.windows,
                "runs": statistics.runs,
                "threads": self._figures.total_threads,
                "memoryBytes": read_counts(self._metrics).memory_bytes,
                **await self._store.samples.counters(now),
            },
            outbox=dict(figures.outbox),
            oldest_unanswered=figures.oldest_unanswered,
            oldest_for_bot=figures.oldest_for_bot,
            waiting=figures.chats_for_person,
            waiting_since=figures.oldest_for_person,
            remind_seconds=min(one.remind_seconds for one in rules),
            tokens_today=sum(one.tokens for one in used),
            cost_today=sum(one.micros for one in used) / MICROS,
            tokens_limit=int(_sum_of_limits([one.budget.total_tokens for one in rules])),
            cost_limit=_sum_of_limits([one.budget.total_cost for one in rules]),
            currency=rules[0].budget.currency,
            is_priced=any(one.has_prices for one in rules),
            samples=samples,
            acknowledgement_buckets=ends[0],
            turn_buckets=ends[1],
        )

    def _parts(self) -> tuple[ComponentState, ...]:
        """The state of each part, the daemon first."""
        numbers = [one.services.number for one in self._numbers.served]
        channel = "; ".join(
            self._about(one.name, fault)
            for one in numbers
            if (fault := one.state.fault or one.pace.trouble)
        )
        connecting = any(one.state.view.state == "connecting" for one in numbers)
        model = "; ".join(state.fault for state in self._model_states if state.fault)
        return (
            ComponentState("daemon", "ok" if self.phase == "ready" else "wait", self.phase),
            ComponentState(
                "channel", "bad" if channel else "wait" if connecting else "ok", channel
            ),
            ComponentState("model", "bad" if model else "ok", model),
            ComponentState("store", "bad" if self._store_fault() else "ok", self._store_fault()),
        )

    def _store_fault(self) -> str:
        database = self._store.database
        return database.fatal_error or database.last_write_error

    def _threads(self) -> dict[str, int]:
        return {
            "totalThreads": self._figures.total_threads,
            "activeThreads": self._figures.active_threads,
        }

    def _faults(self) -> list[str]:
        faults = [self._store_fault(), *(state.fault for state in self._model_states)]
        for one in self._numbers.served:
            faults += [self._about(one.name, fault) for fault in self._faults_of(one)]
        return [fault for fault in faults if fault]

    def _faults_of(self, one: NumberRuntime) -> list[str]:
        number, figures = one.services.number, self._figures.of(one.name)
        pace, remind = number.pace, one.services.config.rules.remind_seconds
        held = f"sends are held: {pace.trouble}" if pace.trouble else pace.delay
        faults = [number.state.fault or held]
        oldest = figures.oldest_for_bot
        if oldest and self._now() - oldest > STALE_SECONDS:
            faults.append("a message has been unanswered for more than 15 minutes")
        if figures.chats_for_person and self._now() - figures.oldest_for_person > remind:
            minutes = f"{remind / 60:g} minutes"
            faults.append(f"a customer has waited for a person for more than {minutes}")
        return faults

    def _about(self, number: str, fault: str) -> str:
        """A fault of a number, which is named where there are several."""
        return f"{number}: {fault}" if fault and len(self._numbers) > 1 else fault

    def name_of(self, number: str) -> dict[str, str]:
        """The field that names a number, where there are several."""
        return {"number": number} if len(self._numbers) > 1 else {}

    def _waiting(self) -> NumberFigures:
        return self._figures.total(one.name for one in self._numbers.served)

    def _waiting_for_person(self) -> dict[str, int]:
        figures = self._waiting()
        waited = self._now() - figures.oldest_for_person if figures.chats_for_person else 0
        return {"chats": figures.chats_for_person, "oldestSeconds": max(0, round(waited))}


def _sum_of_limits(limits: Sequence[float]) -> float:
    """The limit of all numbers together; 0 (none) if one of them has none."""
    return sum(limits) if all(limits) else 0
