"""Traces of turns: what is noted, what becomes of it, and what a collector gets."""

import http.server
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan
from support.model_script import Step, call, say
from support.plain import NO_TLS
from support.rows import select
from support.scenes import found, open_scene
from support.stage import LAURA, Stage, text_webhook

from daemon.observability import otlp
from daemon.observability.otlp import trace_id
from daemon.observability.tracing import (
    MOST_SPANS,
    MOST_STAGES,
    STAGES,
    Trace,
    exemplar,
    followed,
    outcome,
    span,
    stage,
)

CONTEXT_CALL = json.dumps({"context_level": "recent_50"})


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def new_trace(clock: Clock) -> Trace:
    return Trace("turn_00000000abcd", 1, now=1_000_000.0, clock=clock)


def test_a_summary_has_stages_calls_tokens_and_cost() -> None:
    clock = Clock()
    trace = new_trace(clock)
    trace.stage("window", at=999_998.0)
    with followed(trace):
        stage("openai_start", "round 0")
        with span("model call", round=0) as work:
            clock.seconds += 2
            work.attributes.update(input_tokens=40, output_tokens=7, cost=0.25)
        stage("function_calling")
        with suppress(ValueError), span("tool call", tool="book"):
            clock.seconds += 1
            raise ValueError
        stage("openai_start", "round 1")
        clock.seconds += 3
        outcome("answered", messages=2)
    trace.end("interrupted")
    told = trace.summary()
    assert told.outcome == "answered"
    assert told.seconds == 8.0
    assert told.stages == "window 2.00, openai_start 5.00, function_calling 1.00"
    assert (told.rounds, told.tools, told.tools_failed) == (1, 1, 1)
    assert (told.tokens_in, told.tokens_out, told.cost) == (40, 7, 0.25)
    assert trace.stages[-1] == ("completed", 1_000_006.0, "answered")


def test_spans_lie_in_each_other_as_their_blocks_do() -> None:
    trace = new_trace(Clock())
    with followed(trace), span("run"):
        with span("model call"):
            pass
        with span("tool call"), span("send"):
            pass
    trace.end("answered")
    parents = {
        span.name: None if span.parent is None else trace.spans[span.parent].name
        for span in trace.spans
    }
    assert parents == {
        "turn": None,
        "run": "turn",
        "model call": "run",
        "tool call": "run",
        "send": "tool call",
    }


@pytest.mark.parametrize(
    ("told", "how", "stage_name"),
    [
        ("dead", "", "failed"),
        ("", "crashed", "failed"),
        ("", "interrupted", "interrupted"),
        ("handed_off", "", "completed"),
    ],
)
def test_the_last_stage_has_the_outcome(told: str, how: str, stage_name: str) -> None:
    trace = new_trace(Clock())
    trace.outcome = told
    trace.end(how)
    assert trace.stages[-1].name == stage_name
    assert trace.spans[0].failed == (stage_name == "failed")


def test_outside_of_a_turn_nothing_is_noted() -> None:
    stage("init")
    outcome("answered", messages=1)
    with span("run") as nobodys:
        nobodys.attributes["round"] = 1
    assert exemplar() is None


def test_a_turn_of_days_takes_no_more_memory_than_one_of_hours() -> None:
    trace = new_trace(Clock())
    with followed(trace):
        for _ in range(2 * MOST_STAGES):
            stage("retry_wait")
        for _ in range(2 * MOST_SPANS):
            with span("model call"):
                pass
    trace.end("answered")
    assert len(trace.stages) == MOST_STAGES + 1
    assert len(trace.spans) == MOST_SPANS
    assert trace.left_out > MOST_SPANS


# -- of a whole daemon ----------------------------------------------------------------------------


async def book_a_room(stage: Stage) -> None:
    """One turn with a tool call, to its end."""
    stage.model.script(call("get_conversation_context", CONTEXT_CALL), say("Sí, hay cupo."))
    await stage.post(text_webhook("Hola, soy Laura", "m1"))
    await stage.gateway.wait_sent(LAURA)
    await found(lambda: stage.events("turn ended"))


async def test_a_turn_leaves_its_stages_a_summary_and_exemplars(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        await book_a_room(scene)
        (told,) = scene.events("turn ended")
        async with httpx.AsyncClient(verify=NO_TLS, timeout=60) as client:
            accept = {"Accept": "application/openmetrics-text"}
            metrics = (await client.get(f"{scene.url}/metrics", headers=accept)).text
    assert (told["outcome"], told["name"], told["messages"]) == ("answered", "Laura", 1)
    assert (told["rounds"], told["tools"], told["tools_failed"]) == (2, 1, 0)
    assert told["tokens_in"] > 0
    assert told["tokens_out"] > 0
    assert told["seconds"] > 0
    assert told["cost"] == 0
    stages = select(tmp_path / "data", "stages", "stage", order="id")
    names = [row[0] for row in stages]
    assert names == [
        *("window", "init", "processing", "openai_start", "function_calling"),
        *("post_tools_completed", "openai_start", "validation", "delivery", "completed"),
    ]
    assert set(names) <= set(STAGES)
    assert list(dict.fromkeys(names[:-1])) == [
        part.split()[0] for part in told["stages"].split(", ")
    ]
    for histogram in ("run", "tool", "send", "turn"):
        pointing = [
            line
            for line in metrics.splitlines()
            if line.startswith(f"recado_{histogram}_seconds_bucket") and told["turn"] in line
        ]
        assert pointing, histogram


async def test_a_turn_that_is_given_up_is_summed_up_too(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        scene.model.script(Step(status=400, code="invalid_prompt"))
        await scene.post(text_webhook("Hola", "m1"))
        (told,) = await found(lambda: scene.events("turn ended"))
        scene.log.seek(0)
        scene.log.truncate()
    assert told["outcome"] == "dead"
    rows = select(tmp_path / "data", "stages", "stage, detail", order="id DESC", limit=1)
    assert [tuple(row) for row in rows] == [("failed", "dead")]


async def test_a_turn_cut_by_a_stop_is_traced_by_both_processes(tmp_path: Path) -> None:
    async with open_scene(tmp_path, shutdown={"deadline_seconds": 1.0}) as scene:
        gate = trio.Event()
        scene.model.script(say("Ya está.", gate=gate), say("Ya está."))
        await scene.post(text_webhook("Hola", "m1"))
        await scene.model.wait_requests(1)
        await scene.crash()
        gate.set()
        await scene.start()
        await scene.gateway.wait_sent(LAURA)
        await found(lambda: scene.events("turn ended"), lambda lines: len(lines) > 1)
    outcomes = [line["outcome"] for line in scene.events("turn ended")]
    assert outcomes == ["interrupted", "answered"]
    names = [row[0] for row in select(tmp_path / "data", "stages", "stage", order="id")]
    assert names[0] == "window"
    assert "interrupted" in names
    assert "resumed" in names[names.index("interrupted") :]
    assert names[-1] == "completed"


# -- for a collector ------------------------------------------------------------------------------


class Collector:
    """A collector on loopback: keeps what it gets, and answers as it is told."""

    def __init__(self, status: int) -> None:
        self.bodies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.headers: list[dict[str, str]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.headers.append({k.lower(): v for k, v in self.headers.items()})
                body = self.rfile.read(int(self.headers["content-length"]))
                owner.go_on.wait(90)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()
                owner.bodies.put(self.path.encode() + b"\n" + body)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    collector = Collector(status)
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield collector
    finally:
        collector.go_on.set()
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


def spans_of(body: bytes) -> list[ProtoSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        span
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


async def test_a_collector_gets_the_tree_of_a_turn_without_message_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "FLUSH_SECONDS", 60.0)
    with collecting() as collector:
        async with open_scene(tmp_path, tracing={"otlp_endpoint": collector.url}) as scene:
            await book_a_room(scene)
            (told,) = scene.events("turn ended")
        # What waited was sent at the stop.
        path, _, body = collector.bodies.get(timeout=60).partition(b"\n")
    assert path == b"/v1/traces"
    spans = spans_of(body)
    names = {span.span_id: span.name for span in spans}
    tree = sorted((names.get(span.parent_span_id, ""), span.name) for span in spans)
    assert tree == [
        ("", "turn"),
        ("run", "model call"),
        ("run", "model call"),
        ("run", "tool call"),
        ("turn", "run"),
        ("turn", "send"),
    ]
    assert {span.trace_id for span in spans} == {trace_id(told["turn"]).to_bytes(16, "big")}
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
    (turn,) = (span for span in spans if span.name == "turn")
    assert [event.name for event in turn.events][-1] == "completed"
    for secret in (LAURA, "Laura", "Hola", "cupo", "recent_50"):
        assert secret.encode() not in body


def test_only_attributes_of_the_list_leave_the_house() -> None:
    with collecting() as collector:
        exporter = OTLPSpanExporter(endpoint=f"{collector.url}/v1/traces", timeout=60)
        traces = otlp.TraceExporter(exporter, version="1")
        trace = new_trace(Clock())
        with followed(trace), span("tool call", tool="book", words="Hola"):
            pass
        trace.end("answered")
        traces.export(trace)
        traces.shutdown()
        body = collector.bodies.get(timeout=60).partition(b"\n")[2]
    keys = {attribute.key for span in spans_of(body) for attribute in span.attributes}
    assert keys == {"recado.request_id", "recado.outcome", "recado.tool"}


@pytest.mark.parametrize("fault", ["refuses", "hangs", "is gone"])
async def test_a_failing_collector_does_not_affect_turns(tmp_path: Path, fault: str) -> None:
    with collecting(400 if fault == "refuses" else 200) as collector:
        if fault == "hangs":
            collector.go_on.clear()
        url = "http://127.0.0.1:9" if fault == "is gone" else collector.url
        async with open_scene(tmp_path, tracing={"otlp_endpoint": url}) as scene:
            await book_a_room(scene)
            began = trio.current_time()
        assert trio.current_time() - began < otlp.FLUSH_SECONDS + 60
    assert scene.received() == ["Sí, hay cupo."]
