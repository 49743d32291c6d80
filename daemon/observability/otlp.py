"""Traces for an OpenTelemetry collector, over OTLP with HTTP and protobuf (the extra ``otlp``).

Imported only when `tracing.otlp_endpoint` is set. A thread of OpenTelemetry's SDK sends from a
bounded queue; a collector that is slow, full or gone loses traces and delays no answer.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace import Status, StatusCode, set_span_in_context

from daemon.observability.tracing import Span, Trace

QUEUED_SPANS = 4_096
"""Spans that wait for the collector; beyond that the oldest are lost."""

BATCH_SPANS = 256
SEND_EVERY_SECONDS = 2.0
TIMEOUT_SECONDS = 5.0
"""For one request to the collector, its repetitions included."""

FLUSH_SECONDS = 0.5
"""How long sending the last spans may delay a stop."""

TRACES_PATH = "/v1/traces"
"""Where collectors take traces (OTLP specification 1.x, "OTLP/HTTP request")."""

EXPORTED = frozenset(
    {
        *("attempt", "cached_tokens", "cost", "effects", "input_tokens", "kind"),
        *("output_tokens", "reasoning_tokens", "round", "tool"),
    }
)
"""The attributes that are exported: an allow-list, so that no message text slips in."""

NANOSECONDS = 1_000_000_000


class TraceExporter:
    """Turns ended traces into spans for the SDK's thread. Called in the event loop's thread."""

    def __init__(self, exporter: SpanExporter, *, version: str) -> None:
        self._ids = _TurnIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": "recado", "service.version": version}),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUED_SPANS,
                schedule_delay_millis=SEND_EVERY_SECONDS * 1000,
                max_export_batch_size=BATCH_SPANS,
            )
        )
        self._tracer = self._provider.get_tracer("recado", version)

    def export(self, trace: Trace) -> None:
        """Queue the spans of an ended trace; returns at once and never fails."""
        self._ids.trace_id = trace_id(trace.request_id)
        begun: list[SdkSpan] = []
        for span in trace.spans:
            parent = None if span.parent is None else set_span_in_context(begun[span.parent])
            begun.append(
                self._tracer.start_span(
                    span.name, context=parent, start_time=int(span.began_at * NANOSECONDS)
                )
            )
        root = begun[0]
        root.set_attribute("recado.request_id", trace.request_id)
        root.set_attribute("recado.outcome", trace.outcome)
        for stage in trace.stages:
            root.add_event(stage.name, timestamp=int(stage.at * NANOSECONDS))
        for span, sdk_span in zip(trace.spans, begun, strict=True):
            _finish(span, sdk_span)

    def shutdown(self) -> None:
        """Send the queue and end the thread. Blocks as long as the collector takes."""
        self._provider.shutdown()


def _finish(span: Span, sdk_span: SdkSpan) -> None:
    for name, value in span.attributes.items():
        if name in EXPORTED:
            sdk_span.set_attribute(f"recado.{name}", value)
    if span.failed:
        sdk_span.set_status(Status(StatusCode.ERROR))
    sdk_span.end(end_time=int(span.ended_at * NANOSECONDS))


def trace_id(request_id: str) -> int:
    """The id of a turn's trace, the same in every process that works on the turn."""
    return int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:16], "big")


class _TurnIds(IdGenerator):
    """Random ids for spans, and the turn's id for the trace."""

    def __init__(self) -> None:
        self.trace_id = 1
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        return self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        """Return the 128-bit id of the trace being exported."""
        return self.trace_id


@asynccontextmanager
async def open_trace_exporter(
    *, endpoint: str, token: str, version: str
) -> AsyncIterator[Callable[[Trace], None]]:
    """Open the export to a collector; at the end of the block the queue is sent, within a time.

    ``endpoint``: the collector's address, with or without `TRACES_PATH`; ``token``: its bearer
    token, if it wants one.
    """
    url = endpoint.rstrip("/")
    exporter = OTLPSpanExporter(
        endpoint=url if url.endswith(TRACES_PATH) else url + TRACES_PATH,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=TIMEOUT_SECONDS,
    )
    traces = TraceExporter(exporter, version=version)
    try:
        yield traces.export
    finally:
        with trio.move_on_after(FLUSH_SECONDS, shield=True):
            await trio.to_thread.run_sync(traces.shutdown, abandon_on_cancel=True)
