"""The simulated Assistants API, beside the simulated Responses API: threads, messages, runs.

Each stretch of a run, up to its end or to its tool calls, is generated as a response would be, so
the same answers and the same scripted steps apply. Of a step `cut_after` cuts one look at the
run. Wordings of refusals are those seen from api.openai.com before that API was shut down.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from daemon.domain.messages import JsonObject
from daemon.sandbox import model_wire
from daemon.sandbox.asgi import Answer, Request, json_answer
from daemon.sandbox.model_generation import ModelCall
from daemon.sandbox.model_wire import ApiRefusal
from support.model_script import ScriptedGeneration, Step

Generate = Callable[[ScriptedGeneration], None]
"""Starts the generation in a task of the server."""


@dataclass(eq=False, kw_only=True)
class SimulatedRun:
    """One run: its request, and the stretch of it that is being or was last generated."""

    id: str
    body: JsonObject
    generation: ScriptedGeneration
    cancelled: bool = False
    cut_next_look: bool = False

    @property
    def calls(self) -> list[JsonObject]:
        """The function calls of the last stretch."""
        output = self.generation.response["output"]
        return [item for item in output if item["type"] == "function_call"]

    @property
    def status(self) -> str:
        """The run's status as the API names it."""
        outcome = self.generation.call.outcome
        if self.cancelled:
            return "cancelled"
        if outcome == "running":
            return "in_progress"
        if outcome != "finished":
            return "failed"
        if self.generation.response["status"] == "incomplete":
            return "incomplete"
        return "requires_action" if self.calls else "completed"


@dataclass(eq=False, kw_only=True)
class SimulatedThread:
    """One thread: its messages and its runs, oldest first."""

    id: str
    messages: list[JsonObject]
    runs: list[SimulatedRun] = field(default_factory=list)


class AssistantsServer:
    """Answers everything under ``/threads``. `threads` are those not deleted, by id."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        take_step: Callable[[JsonObject], Step],
        note_call: Callable[[ModelCall], None],
        generate: Generate,
        context_tokens: Callable[[], int],
    ) -> None:
        self.threads: dict[str, SimulatedThread] = {}
        self.busy_answers = 0
        """The number of next runs that are refused because another one is active, as in a race."""
        self.refused_deletions = 0
        """The number of next deletions of threads that are answered 503."""
        self.ends_at_cancel = False
        """If True, a run ends by itself just before it is cancelled."""
        self._now = now
        self._take_step = take_step
        self._note_call = note_call
        self._generate = generate
        self._context_tokens = context_tokens
        self._numbers = count(1)

    def answer(self, request: Request, path: str) -> Answer | None:
        """Answer one request; None if the connection is to be cut instead."""
        parts = path.strip("/").split("/")[1:]
        if not parts:
            return self._create_thread(request.json_object() or {})
        thread = self.threads.get(parts[0])
        if thread is None:
            return _refusal(404, f"No thread found with id '{parts[0]}'.")
        for run in thread.runs:
            _say(thread, run, self._stored)
        return self._serve_thread(thread, request, parts[1:])

    def _serve_thread(
        self, thread: SimulatedThread, request: Request, parts: list[str]
    ) -> Answer | None:
        match request.method, parts:
            case "DELETE", [] if self.refused_deletions:
                self.refused_deletions -= 1
                return _refusal(503, "The server is overloaded.")
            case "DELETE", []:
                del self.threads[thread.id]
                return json_answer({"id": thread.id, "object": "thread.deleted", "deleted": True})
            case "GET", ["messages"]:
                return json_answer({"object": "list", "data": thread.messages})
            case "POST", ["messages"]:
                return self._add_message(thread, request.json_object() or {})
            case "GET", ["runs"]:
                runs = [_run_object(thread, run) for run in reversed(thread.runs)]
                return json_answer({"object": "list", "data": runs})
            case "POST", ["runs"]:
                return self._create_run(thread, request.json_object() or {})
            case method, ["runs", run_id, *verb]:
                found = next((run for run in thread.runs if run.id == run_id), None)
                if found is not None:
                    return self._serve_run(thread, found, method, verb, request)
        return _refusal(404, "No such thing was found.")

    def _create_thread(self, body: JsonObject) -> Answer:
        thread_id = f"thread_{next(self._numbers):024x}"
        messages = [self._stored(message) for message in body.get("messages") or ()]
        if len(messages) > 32:
            return _refusal(400, "Invalid 'messages': array too long.")
        self.threads[thread_id] = SimulatedThread(id=thread_id, messages=messages)
        return json_answer({"id": thread_id, "object": "thread"})

    def _add_message(self, thread: SimulatedThread, body: JsonObject) -> Answer:
        for run in thread.runs:
            if run.status in {"in_progress", "requires_action"}:
                text = f"Can't add messages to {thread.id} while a run {run.id} is active."
                return _refusal(400, text)
        thread.messages.append(self._stored(body))
        return json_answer(thread.messages[-1])

    def _stored(self, message: JsonObject, run_id: str | None = None) -> JsonObject:
        content = message.get("content")
        if isinstance(content, str):
            text = {"value": content, "annotations": []}
            content = [{"type": "text", "text": text}]
        return {
            "id": f"msg_{next(self._numbers):024x}",
            "object": "thread.message",
            "role": message.get("role"),
            "run_id": run_id,
            "content": content,
        }

    def _create_run(self, thread: SimulatedThread, body: JsonObject) -> Answer | None:
        items = [
            {"role": message["role"], "content": _response_parts(message["content"])}
            for message in thread.messages
        ]
        tools = [
            {"type": "function", **tool["function"]} if tool.get("type") == "function" else tool
            for tool in body.get("tools") or ()
        ]
        asked = {
            "model": body.get("model"),
            "instructions": body.get("instructions"),
            "input": items,
            "tools": tools,
            "background": True,
        }
        if body.get("additional_instructions"):
            asked["additional_instructions"] = body["additional_instructions"]
        run_id = f"run_{next(self._numbers):024x}"
        call = ModelCall(response_id=run_id, body=asked, started_at=self._now())
        refusal = model_wire.refusal_of(asked, context_tokens=self._context_tokens())
        if not body.get("assistant_id"):
            refusal = ApiRefusal(400, "Missing required parameter: 'assistant_id'.")
        if self.busy_answers or any(
            run.status in {"in_progress", "requires_action"} for run in thread.runs
        ):
            self.busy_answers = max(0, self.busy_answers - 1)
            refusal = ApiRefusal(400, f"Thread {thread.id} already has an active run run_1.")
        step = Step() if refusal else self._take_step(asked)
        if step.status != 200:
            refusal = ApiRefusal(step.status, step.message, step.code)
        self._note_call(call)
        if refusal or step.hang_up or step.garbage:
            call.outcome = "refused"
            call.ended.set()
            if refusal:
                answer = json_answer(refusal.body(), refusal.status)
                return Answer(answer.status, answer.body, headers=step.headers)
            return None if step.hang_up else Answer(200, b"{no json")
        run = SimulatedRun(
            id=run_id,
            body=body,
            generation=self._begin(call, step),
            cut_next_look=step.cut_after is not None,
        )
        thread.runs.append(run)
        return json_answer(_run_object(thread, run))

    def _begin(self, call: ModelCall, step: Step) -> ScriptedGeneration:
        generation = ScriptedGeneration(call, step, now=self._now, tokens_per_second=0)
        self._generate(generation)
        return generation

    def _serve_run(
        self,
        thread: SimulatedThread,
        run: SimulatedRun,
        method: str,
        verb: list[str],
        request: Request,
    ) -> Answer | None:
        if (method, verb) == ("GET", []) and run.cut_next_look:
            run.cut_next_look = False
            return None
        if (method, verb) == ("POST", ["cancel"]):
            if self.ends_at_cancel or run.status not in {"in_progress", "requires_action"}:
                return _refusal(400, f"Cannot cancel run with status '{run.status}'.")
            run.cancelled = True
            run.generation.cancel()
        elif (method, verb) == ("POST", ["submit_tool_outputs"]):
            refusal = self._submit(run, (request.json_object() or {}).get("tool_outputs") or ())
            if refusal is not None:
                return refusal
        elif (method, verb) != ("GET", []):
            return _refusal(404, "No such thing was found.")
        return json_answer(_run_object(thread, run))

    def _submit(self, run: SimulatedRun, outputs: Any) -> Answer | None:
        if run.status != "requires_action":
            return _refusal(400, f"Runs in status '{run.status}' do not accept tool outputs.")
        if {given.get("tool_call_id") for given in outputs} != {c["call_id"] for c in run.calls}:
            return _refusal(400, "Expected tool outputs for all of the run's calls.")
        answered = [
            {"type": "function_call_output", "call_id": o["tool_call_id"], "output": o["output"]}
            for o in outputs
        ]
        before = run.generation.call.body
        asked = {**before, "input": [*before["input"], *run.calls, *answered]}
        call = ModelCall(response_id=run.id, body=asked, started_at=self._now())
        self._note_call(call)
        run.generation = self._begin(call, self._take_step(asked))
        return None


def _say(thread: SimulatedThread, run: SimulatedRun, stored: Callable[..., JsonObject]) -> None:
    """Add the output of a run to its thread, once."""
    if run.status not in {"completed", "incomplete"}:
        return
    if any(message["run_id"] == run.id for message in thread.messages):
        return
    for item in run.generation.response["output"]:
        if item["type"] == "message":
            said = {"role": "assistant", "content": item["content"][0]["text"]}
            thread.messages.append(stored(said, run.id))


def _response_parts(content: list[JsonObject]) -> list[JsonObject]:
    return [
        {"type": "input_text", "text": part["text"]["value"]}
        if isinstance(part.get("text"), dict)
        else {"type": "input_image", "image_url": (part.get("image_url") or {}).get("url")}
        if part.get("type") == "image_url"
        else {"type": "input_text", "text": str(part.get("text") or "")}
        for part in content
    ]


def _run_object(thread: SimulatedThread, run: SimulatedRun) -> JsonObject:
    response, status = run.generation.response, run.status
    code = (response.get("error") or {}).get("code") or run.generation.step.error_event
    usage = response.get("usage") or {}
    calls = [
        {
            "id": call["call_id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for call in run.calls
    ]
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}
    counts = {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
    }
    return {
        "id": run.id,
        "object": "thread.run",
        "thread_id": thread.id,
        "status": status,
        "required_action": action if status == "requires_action" else None,
        "last_error": {"code": code, "message": "It failed."} if status == "failed" else None,
        "incomplete_details": response.get("incomplete_details"),
        "usage": counts if usage else None,
    }


def _refusal(status: int, message: str) -> Answer:
    return json_answer(ApiRefusal(status, message).body(), status)
