"""The tool calls of one round: in parallel, each written down before and after.

The ledger decides what a call of a repeated run does: one that ended is not made again, one with
effects whose end nobody saw is not repeated but told to the model as unknown, unless its tool is
idempotent.
"""

import msgspec
import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.turn.run_progress import Progress
from daemon.conversation.turn.tool_actions import CallConversation
from daemon.domain.messages import FunctionCall
from daemon.domain.records import RecordedCall, Run, Turn
from daemon.ledger.runs import call_key
from daemon.observability.events import FUNCTION_ENDED, FUNCTION_FAILED, FUNCTION_STARTED
from daemon.observability.tracing import exemplar, span
from daemon.tools.tool import ToolContext

UNKNOWN_OUTCOME = msgspec.json.encode(
    {
        "error": "outcome unknown: this call was started and interrupted. It may have taken"
        " effect. Do not repeat it; check its result with another tool, or tell the customer that"
        " a person will confirm."
    }
).decode()


async def call_tools(
    turn: Turn,
    run: Run,
    number: int,
    calls: tuple[FunctionCall, ...],
    progress: Progress,
    deps: Dependencies,
) -> list[str]:
    """Make the calls of one round at the same time; gives their outputs in the calls' order.

    Called by the task of the turn's chat. Cancelled, it leaves each call in the ledger as it is.
    """
    outputs = [""] * len(calls)
    first = _first_of_each_deed(turn, calls, deps)

    async def one(place: int, call: FunctionCall) -> None:
        outputs[place] = await _call(turn, run, number, call, progress, deps)

    async with trio.open_nursery() as nursery:
        for place, call in enumerate(calls):
            if first[place] == place:
                nursery.start_soon(one, place, call, name=f"tool {call.name}")
    return [outputs[place] for place in first]


def _first_of_each_deed(
    turn: Turn, calls: tuple[FunctionCall, ...], deps: Dependencies
) -> list[int]:
    """For each call the place of the call that is made for it.

    Itself, unless an earlier one does the very same thing with effects: booking a room twice in
    one breath is a slip of the model, not a wish of the customer.
    """
    places: dict[str, int] = {}
    return [
        places.setdefault(call_key(turn.id, call), place)
        if deps.toolbox.has_effects(call)
        else place
        for place, call in enumerate(calls)
    ]


async def _call(
    turn: Turn,
    run: Run,
    number: int,
    call: FunctionCall,
    progress: Progress,
    deps: Dependencies,
) -> str:
    earlier = _earlier(turn, run, number, call)
    if earlier is not None and earlier.output is not None:
        return earlier.output
    key = call_key(turn.id, call)
    if key in progress.deeds:
        return progress.deeds[key]
    effects = deps.toolbox.has_effects(call)
    if earlier is not None and earlier.effects and not deps.toolbox.is_repeatable(call):
        deps.log.warning("tool call of unknown outcome, not repeated", tool=call.name)
        await deps.store.runs.call_ended(earlier.id, UNKNOWN_OUTCOME, failed=True, now=deps.now())
        return UNKNOWN_OUTCOME
    progress.effects = progress.effects or effects
    row = await deps.store.runs.call_started(run, number, call, effects=effects, now=deps.now())
    started = trio.current_time()
    deps.log.event(FUNCTION_STARTED, tool=call.name, call=call.call_id)
    conversation = CallConversation(turn, key, progress, deps)
    context = ToolContext(
        key=turn.key,
        contact_name=turn.contact_name,
        language=deps.rules.language,
        idempotency_key=key,
        recent_messages=deps.store.threads.recent_lines,
        conversation=conversation,
    )
    known = call.name if deps.toolbox.is_enabled(call.name) else "unknown"
    try:
        with span("tool call", tool=known, effects=effects) as work:
            output, failed = await deps.toolbox.call(call, context)
            work.failed = failed
    finally:
        conversation.close()
    if effects:
        progress.deeds[key] = output
    seconds = trio.current_time() - started
    deps.metrics.tool.observe(seconds, exemplar())
    await deps.store.runs.call_ended(row, output, failed=failed, now=deps.now())
    ended = FUNCTION_FAILED if failed else FUNCTION_ENDED
    deps.log.event(ended, tool=call.name, call=call.call_id, seconds=round(seconds, 3))
    return output


def known_output(turn: Turn, run: Run, number: int, call: FunctionCall) -> str | None:
    """What the model is told of a call, as far as the ledger knows; None if it never started."""
    earlier = _earlier(turn, run, number, call)
    if earlier is None:
        return None
    return UNKNOWN_OUTCOME if earlier.output is None else earlier.output


def _earlier(turn: Turn, run: Run, number: int, call: FunctionCall) -> RecordedCall | None:
    """The ledger's row for this very call, or for the same deed in an earlier run of the turn.

    A call without effects is only itself again in the same place: another run may want fresh
    data.
    """
    for recorded in reversed(run.calls):
        if (recorded.run_id, recorded.round, recorded.call_id) == (run.id, number, call.call_id):
            return recorded
    key = call_key(turn.id, call)
    return next((r for r in reversed(run.calls) if r.effects and r.key == key), None)
