"""A candidate in shadow: it answers what was answered already, and nothing of it is sent.

It runs after the live answer has left, in a task of its own that no turn waits for. No tool is run:
it gets the results that the live turn got from the same calls, and of any other call that there is
none. So it can neither send nor change anything; its answer is a row, and its cost counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import trio

from daemon.conversation.live_config import TriedConfig
from daemon.conversation.services import ChatServices
from daemon.conversation.turn.side_calls import side_call
from daemon.domain.limits import MICROS, Charge, day_of, expected_use, use_of
from daemon.domain.messages import FunctionCall, JsonObject, ModelRequest, ModelResponse
from daemon.domain.records import Turn
from daemon.ledger.candidates import CandidateAnswer

MOST_TRIALS = 2
"""At once, of a number; what comes meanwhile is not tried."""

NOT_RUN = '{"error": "no result: this call was not made"}'
"""The output of a call that the live turn has not made."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a candidate is to answer."""

    turn: Turn
    candidate: TriedConfig
    request: ModelRequest
    """That of the live turn."""
    items: Sequence[JsonObject]
    """What the live run has produced: its calls of tools, and their outputs."""


async def try_candidate(trial: Trial, services: ChatServices) -> None:
    """Let the candidate answer, and keep its answer. Raises StoreUnavailable.

    Left out if the model server is in trouble, or the budget does not allow it.
    """
    if services.model.state.fault:
        return
    telemetry, rules, budget = services.telemetry, services.config.rules, trial.candidate.budget
    began, micros = trio.current_time(), 0
    outputs = recorded_outputs(trial.items)
    request = msgspec.structs.replace(
        trial.request,
        instructions=trial.candidate.instructions,
        model=trial.candidate.model,
        may_act=False,
    )
    response: ModelResponse | None = None
    calls: list[str] = []
    for number in range(rules.max_tool_rounds + 1):
        last = number == rules.max_tool_rounds
        asked = msgspec.structs.replace(request, tools=() if last else request.tools)
        day = day_of(telemetry.now(), rules.zone)
        wanted = Charge(day, expected_use(asked, budget))
        if await services.store.usage.refusal(trial.turn.key, wanted, budget):
            return
        response = await side_call(
            trial.turn.key, asked, services, failed="no answer of the candidate"
        )
        if response is None:
            break
        charge = Charge(day, use_of(response.usage, budget.price))
        await services.store.usage.charge(trial.turn.key, charge)
        telemetry.metrics.count_tokens(response.usage)
        telemetry.metrics.cost.inc(charge.use.micros / MICROS)
        micros += charge.use.micros
        calls += [call.name for call in response.calls]
        if last or not response.calls:
            break
        given = [output_item(call, outputs) for call in response.calls]
        request = msgspec.structs.replace(request, items=(*request.items, *response.items, *given))
    await services.store.candidates.keep(
        trial.turn.id,
        CandidateAnswer(
            text=response.text if response else "",
            tools=" ".join(calls),
            micros=micros,
            seconds=trio.current_time() - began,
        ),
        version=services.version_now(trial.candidate.version),
        instructions=trial.candidate.instructions,
        now=telemetry.now(),
    )


def recorded_outputs(items: Sequence[JsonObject]) -> dict[tuple[str, str], str]:
    """The outputs of a run's calls, by the tool and its arguments."""
    outputs = {
        str(item.get("call_id")): str(item.get("output", ""))
        for item in items
        if item.get("type") == "function_call_output"
    }
    calls = (item for item in items if item.get("type") == "function_call")
    return {
        _name_of(str(call["name"]), str(call.get("arguments", ""))): outputs[str(call["call_id"])]
        for call in calls
        if str(call.get("call_id")) in outputs
    }


def output_item(call: FunctionCall, outputs: dict[tuple[str, str], str]) -> JsonObject:
    """What a call of the candidate gets, without being carried out."""
    output = outputs.get(_name_of(call.name, call.arguments), NOT_RUN)
    return {"type": "function_call_output", "call_id": call.call_id, "output": output}


def _name_of(tool: str, arguments: str) -> tuple[str, str]:
    """A call, whatever the order and spacing of its arguments."""
    try:
        return tool, msgspec.json.encode(msgspec.json.decode(arguments), order="sorted").decode()
    except msgspec.DecodeError:
        return tool, arguments
