"""Log, metrics and clocks of tasks as one value; and the traces of turns.

A trace is summed up in the log, stored, and exported if wanted. The chat's task waits for none of
it: it hands the trace over when the turn has ended, and a side task stores all in one write.
"""

import importlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from random import Random

import trio

from daemon import __version__
from daemon.conversation.signals import Stopping
from daemon.domain.records import Turn
from daemon.errors import SettingsError, StoreUnavailable
from daemon.ledger.process_records import StageRow, Stages
from daemon.observability.events import EXTERNAL_CALL, TURN_ENDED
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics
from daemon.observability.tracing import Trace, followed
from daemon.settings import Settings

WRITE_SECONDS = 1.0
"""Stages are written together, at most this often."""

MOST_PENDING = 2_000
"""Traces that wait for a store which takes none; the oldest are lost then."""

LAST_WRITE_SECONDS = 0.5
"""How long the traces of the stop may hold it up."""

Export = Callable[[Trace], None]
"""Takes an ended trace; returns at once and never fails."""


class TurnTraces:
    """Owns the traces of turns from their end until they are stored. Made by the composer."""

    def __init__(
        self,
        stages: Stages,
        log: Log,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        export: Export | None = None,
    ) -> None:
        """``now``: the wall clock, Unix seconds; ``clock`` measures durations, in seconds."""
        self._stages = stages
        self._log = log
        self._now = now
        self._clock = clock
        self._export = export
        self._ended: deque[Trace] = deque(maxlen=MOST_PENDING)
        self._come = trio.Event()

    @contextmanager
    def follow(self, turn: Turn) -> Iterator[None]:
        """Trace what the block does for a turn. Only the task of its chat calls it."""
        trace = Trace(turn.request_id, turn.id, now=self._now(), clock=self._clock)
        trace.messages = len(turn.messages)
        if turn.attempts or turn.state != "open":
            trace.stage("resumed")
        else:
            if turn.messages:
                trace.stage("window", at=min(turn.messages[0].received_at, turn.opened_at))
            trace.stage("init", at=turn.opened_at)
        how = "interrupted"
        try:
            with followed(trace):
                yield
            how = ""
        except Exception as error:
            how = "interrupted" if isinstance(error, Stopping) else "crashed"
            raise
        finally:
            trace.end(how)
            self._take(trace, turn.contact_name)

    async def run(self) -> None:
        """Store traces, at most once a second. Runs until cancelled; `flush` does the rest."""
        while True:
            await self._come.wait()
            self._come = trio.Event()
            await self.flush()
            await trio.sleep(WRITE_SECONDS)

    async def flush(self) -> None:
        """Store the traces that wait; if the store takes none now, they go on waiting."""
        traces = list(self._ended)
        self._ended.clear()  # before the wait: a write that is cancelled still happens
        rows = [
            StageRow(trace.turn_id, stage.name, stage.at, stage.detail)
            for trace in traces
            for stage in trace.stages
        ]
        if not rows:
            return
        try:
            await self._stages.add(rows)
        except StoreUnavailable as error:
            self._log.debug("stages wait for the store", error=str(error))
            self._ended.extendleft(reversed(traces[: MOST_PENDING - len(self._ended)]))
            self._come.set()

    def _take(self, trace: Trace, name: str) -> None:
        """Sum an ended trace up in the log, and keep it until it is stored."""
        summary = trace.summary()
        self._log.event(
            TURN_ENDED,
            name=name,
            turn=trace.request_id,
            outcome=summary.outcome,
            messages=trace.messages,
            seconds=summary.seconds,
            stages=summary.stages,
            rounds=summary.rounds,
            tools=summary.tools,
            tools_failed=summary.tools_failed,
            tokens_in=summary.tokens_in,
            tokens_out=summary.tokens_out,
            cost=summary.cost,
        )
        self._ended.append(trace)
        self._come.set()
        if self._export is not None:
            self._export(trace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """A process's log and metrics, its clocks, and its source of randomness."""

    log: Log
    metrics: Metrics
    traces: TurnTraces
    now: Callable[[], float]
    """Wall clock, Unix seconds."""
    boot_clock: Callable[[], float]
    """Seconds that also pass while the machine sleeps: see `daemon.system.process`."""
    random: Random

    def of_number(self, name: str) -> "Telemetry":
        """The same for one of several numbers, whose lines and counts name it."""
        log, metrics = self.log.bind(number=name), self.metrics.of_number(name)
        return replace(self, log=log, metrics=metrics)

    def call_ended(self, service: str, operation: str, outcome: str, seconds: float) -> None:
        """Count and log one call to another server."""
        self.metrics.count_upstream(service, operation, outcome)
        self.log.event(
            EXTERNAL_CALL,
            service=service,
            operation=operation,
            outcome=outcome,
            seconds=round(seconds, 3),
        )


class StoreMeter:
    """Passes the store's figures on to the metrics; see `daemon.ledger.drivers`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def committed(self, *, rows: int, seconds: float) -> None:
        """A batch of writes was committed."""
        self._metrics.store_commit.observe(seconds)
        self._metrics.store_batch_rows.observe(rows)


@asynccontextmanager
async def open_turn_traces(
    stages: Stages,
    log: Log,
    *,
    now: Callable[[], float],
    clock: Callable[[], float],
    export: Export | None = None,
) -> AsyncIterator[TurnTraces]:
    """Open the traces of turns; what is left at the end of the block is stored, within bounds."""
    traces = TurnTraces(stages, log, now=now, clock=clock, export=export)
    try:
        yield traces
    finally:
        with trio.move_on_after(LAST_WRITE_SECONDS, shield=True):
            await traces.flush()


@asynccontextmanager
async def open_trace_export(settings: Settings) -> AsyncIterator[Export | None]:
    """Open the export of traces to a collector; None if there is none.

    Raises SettingsError if one is configured and the packages for it are not installed.
    """
    tracing = settings.tracing
    if not tracing.otlp_endpoint:
        yield None
        return
    try:
        # Loaded only when wanted: it costs memory, a thread and a good part of a second.
        module = importlib.import_module("daemon.observability.otlp")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("daemon"):
            raise
        raise SettingsError(
            [f"tracing.otlp_endpoint: needs the extra recado[otlp] ({error.name} is missing)"]
        ) from error
    token = tracing.otlp_token.get_secret_value() if tracing.otlp_token else ""
    async with module.open_trace_exporter(
        endpoint=tracing.otlp_endpoint, token=token, version=__version__
    ) as export:
        yield export
