"""The run of a turn: call the model, call its tools, until it answers.

Every step is in the ledger before and after it happens, and the ledger is read first: a run that
a crash or an outage has cut goes on where it was, without asking or doing anything twice.
"""

from dataclasses import dataclass, field

import trio

from daemon.chats.calls import call_tools, known_output
from daemon.chats.dependencies import Dependencies
from daemon.chats.run_progress import Progress
from daemon.errors import AssistantError, ModelTemporary, ResponseGone
from daemon.ledger import RecordedRound, Run, Turn
from daemon.model import JsonObject, ModelRequest, ModelResponse, Usage

CANCEL_SECONDS = 1.0
"""How long giving a running response back to the server may hold up what comes next."""

LAST_ROUND_NOTE = (
    "[No more tool calls are possible for this answer. Answer the customer now with what you"
    " have, and say plainly what you could not find out.]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came out of a run."""

    text: str
    items: tuple[JsonObject, ...]
    """Everything the model and the tools produced, fit to go into the thread."""
    usage: Usage = field(default_factory=Usage)
    incomplete: str = ""


async def run_model(
    turn: Turn, request: ModelRequest, progress: Progress, needs: Dependencies
) -> Answer:
    """Run the model for a turn until it answers, at most so many rounds of tools.

    Called by the task of the turn's chat, inside its time limit; may be cancelled anywhere.
    Raises AssistantError if the model cannot be asked; the rounds that succeeded are kept.
    """
    run = await needs.store.runs.begin(turn, now=needs.now())
    progress.effects = any(call.effects for call in run.calls)
    produced: list[JsonObject] = []
    usage = Usage()
    limit = needs.rules.max_tool_rounds
    response = ModelResponse(id="", items=())
    for number in range(limit + 1):
        asked = _with(request, produced, last=number == limit)
        response = await _ask(run, number, asked, needs)
        usage += response.usage
        if number == limit:
            # No tools were offered: a call made all the same is not carried out.
            produced += [item for item in response.items if item.get("type") != "function_call"]
            break
        produced += response.items
        if not response.calls:
            break
        outputs = await call_tools(turn, run, number, response.calls, progress, needs)
        produced += [
            {"type": "function_call_output", "call_id": call.call_id, "output": output}
            for call, output in zip(response.calls, outputs, strict=True)
        ]
    return Answer(
        text=response.text, items=tuple(produced), usage=usage, incomplete=response.incomplete
    )


async def done_so_far(turn: Turn, needs: Dependencies) -> list[JsonObject]:
    """What the run of a turn that will not be answered has done: items for the thread.

    A booking that was made stays known to the model, although an agent or a fault ended the turn.
    """
    run = await needs.store.runs.begin(turn, now=needs.now())
    items: list[JsonObject] = []
    for recorded in run.rounds:
        if recorded.response is None:
            break
        items += recorded.response.items
        for call in recorded.response.calls:
            output = known_output(turn, run, recorded.round, call)
            if output is not None:
                items.append(
                    {"type": "function_call_output", "call_id": call.call_id, "output": output}
                )
    return items


def _with(request: ModelRequest, produced: list[JsonObject], *, last: bool) -> ModelRequest:
    """The request of one round: the burst and what came of it; the last one without tools."""
    items = (*request.items, *produced)
    if last:
        items = (*items, {"role": "developer", "content": LAST_ROUND_NOTE})
    return ModelRequest(
        instructions=request.instructions,
        items=items,
        tools=() if last else request.tools,
        contact_hash=request.contact_hash,
    )


async def _ask(run: Run, number: int, request: ModelRequest, needs: Dependencies) -> ModelResponse:
    """One round's response: from the ledger, else from the server, else anew."""
    recorded = next((r for r in run.rounds if r.round == number), None)
    if recorded is not None and recorded.response is not None:
        return recorded.response
    runs = needs.store.runs
    started = trio.current_time()
    try:
        response = None
        if recorded is not None and recorded.response_id:
            response = await _harvest(recorded, needs)
        if response is None:
            await runs.round_started(run, number, now=needs.now())

            async def named(response_id: str) -> None:
                await runs.round_named(run, number, response_id)

            response = await needs.engine.respond(request, on_started=named)
    except AssistantError as error:
        temporary = isinstance(error, ModelTemporary)
        needs.metrics.count_upstream("model", "response", "temporary" if temporary else "rejected")
        await runs.round_failed(run, number, str(error), lost=not temporary, now=needs.now())
        raise
    needs.metrics.count_upstream("model", "response", "ok")
    needs.metrics.run.observe(trio.current_time() - started)
    await runs.round_completed(run, number, response, now=needs.now())
    return response


async def _harvest(recorded: RecordedRound, needs: Dependencies) -> ModelResponse | None:
    """Fetch a response that an earlier process asked for; None if the server has lost it."""
    try:
        response = await needs.engine.resume(recorded.response_id, starting_after=0)
    except ResponseGone:
        needs.metrics.recoveries.labels("asked_again").inc()
        needs.log.info("response is gone, asking again", symbol="♻", response=recorded.response_id)
        return None
    needs.metrics.recoveries.labels("harvested").inc()
    needs.log.info("response harvested", symbol="♻", response=recorded.response_id)
    return response


async def give_up(turn: Turn, needs: Dependencies) -> None:
    """Tell the server that the response it is working on is of no use any more.

    For a run that was cancelled for good (superseded, taken over, too slow), in this process or
    before it. A run that a stop of the daemon interrupts is left running, to be harvested.
    """
    response_id = await needs.store.runs.abandon_response(turn.id, now=needs.now())
    if not response_id:
        return
    with trio.move_on_after(CANCEL_SECONDS):
        stopped = await needs.engine.cancel(response_id)
        needs.log.info("response cancelled", turn=turn.request_id, stopped=stopped)
