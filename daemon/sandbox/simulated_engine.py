"""The simulated model without a server: for rehearsals, in which nothing leaves the process."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping

from daemon.domain.messages import JsonObject, ModelRequest, ModelResponse, Usage
from daemon.sandbox import model_answers
from daemon.sandbox.model_wire import CallTool, Output, tokens_of

MODEL = "simulated"


class SimulatedEngine:
    """Implements the port of engines; the same request gets the same answer."""

    can_resume = False
    waits_for_outputs = False

    async def respond(
        self, request: ModelRequest, *, on_started: Callable[[str], Awaitable[None]]
    ) -> ModelResponse:
        """See the port."""
        del on_started
        tools = [
            {"type": "function", "name": tool.name, "parameters": tool.parameters}
            for tool in request.tools
        ]
        outputs = model_answers.answer(request.items, tools, request.instructions)
        name = hashlib.sha256(repr(request.items).encode()).hexdigest()[:12]
        items = tuple(_item(output, f"call_{name}_{at}") for at, output in enumerate(outputs))
        read = tokens_of([*request.items, request.instructions, *tools])
        usage = Usage(input_tokens=read, output_tokens=tokens_of(list(items)))
        return ModelResponse(id="", items=items, usage=usage)

    async def resume(self, response_id: str, *, starting_after: int = 0) -> ModelResponse:
        """See the port; it keeps no response."""
        raise NotImplementedError

    async def cancel(self, response_id: str) -> bool:
        """See the port."""
        del response_id
        return True

    async def warm_up(self) -> None:
        """See the port."""

    async def list_models(self) -> Mapping[str, str]:
        """See the port."""
        return {MODEL: ""}

    def notice(self, response_id: str) -> None:
        """See the port."""


def _item(output: Output, call_id: str) -> JsonObject:
    if isinstance(output, CallTool):
        named: JsonObject = {"name": output.name, "arguments": output.arguments}
        return {"type": "function_call", "call_id": call_id, **named}
    part = {"type": "output_text", "text": output.text, "annotations": []}
    return {"type": "message", "role": "assistant", "content": [part]}
