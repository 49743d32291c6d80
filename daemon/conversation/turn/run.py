"""The run of a turn: call the model, call its tools, until it answers.

Every step is in the ledger before and after it happens, and the ledger is read first: a run that
a crash or an outage has cut goes on where it was, without asking or doing anything twice.
"""

from dataclasses import dataclass, field

import trio

from daemon.conversation.deps import Dependencies
from daemon.conversation.turn.interim import spoken_items
from daemon.conversation.turn.review import Review
from daemon.conversation.turn.run_progress import Progress
from daemon.conversation.turn.tool_calls import call_tools, known_output
from daemon.domain.limits import MICROS, Charge, day_of, expected_use, use_of
from daemon.domain.messages import JsonObject, ModelRequest, ModelResponse, Usage
from daemon.domain.records import RecordedRound, Run, Turn, Validation
from daemon.errors import AssistantError, BudgetSpent, ModelRejected, ModelTemporary, ResponseGone
from daemon.observability.tracing import Span, exemplar, span, stage

CANCEL_SECONDS = 1.0
"""How long giving a running response back to the server may hold up what comes next."""

LAST_ROUND_NOTE = (
    "[No more tool calls are possible for this answer. RunAnswer the customer now with what you"
    " have, and say plainly what you could not find out.]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAnswer:
    """What came out of a run."""

    text: str
    """What is to be said; empty if nothing that the model wrote is fit for it."""
    items: tuple[JsonObject, ...]
    """Everything the model and the tools produced, fit to go into the thread."""
    usage: Usage = field(default_factory=Usage)
    first_usage: Usage = field(default_factory=Usage)
    """That of the first round, whose input was the request and nothing else."""
    validation: Validation | None = None
    """The round that the text is from, and what the validators said of it."""


async def run_model(
    turn: Turn, request: ModelRequest, progress: Progress, deps: Dependencies, *, attempt: int
) -> RunAnswer:
    """Run the model for a turn until it answers, at most so many rounds of tools.

    ``attempt`` counts the beginnings of the work on the turn. Called by the task of the turn's
    chat, inside its time limit; may be cancelled anywhere. Raises AssistantError if the model
    cannot be asked; the rounds that succeeded are kept. Raises BudgetSpent if the day does not
    allow it.
    """
    limit = deps.rules.max_tool_rounds
    first = _with(request, [], last=limit == 0)
    now, budget = deps.now(), deps.rules.budget
    run, refused = await deps.store.runs.start(
        turn, attempt=attempt, wanted=_expected(first, now, deps), budget=budget, now=now
    )
    progress.effects = turn.effects or any(call.effects for call in run.calls)
    if refused:
        raise BudgetSpent(refused)
    produced: list[JsonObject] = []
    spoken: set[str] = set()
    usage, first_usage = Usage(), None
    review = Review(turn, run, request, deps)
    for number in range(limit + 1):
        asked = _with(request, review.shown(produced), last=number == limit)
        try:
            response = await _ask(run, number, asked, deps)
        except (BudgetSpent, ModelRejected):
            if not review.asked_again:
                raise
            review.give_in()
            produced += review.final_items(ModelResponse(id="", items=()))
            break
        usage += response.usage
        first_usage = first_usage or response.usage
        if number == limit or not response.calls:
            # In the last round no tools were offered: a call all the same is not carried out.
            stage("validation")
            if await review.sends_back(number, produced, response, last=number == limit):
                continue
            produced += review.final_items(response)
            break
        stage("function_calling", f"{len(response.calls)} calls")
        with progress.clock_stopped(deps.rules.longest_tool_seconds):
            outputs = await call_tools(turn, run, number, response.calls, progress, deps)
        stage("post_tools_completed")
        produced += await spoken_items(turn, response.calls, spoken, deps)
        produced += response.items
        produced += [
            {"type": "function_call_output", "call_id": call.call_id, "output": output}
            for call, output in zip(response.calls, outputs, strict=True)
        ]
    return RunAnswer(
        text=review.text,
        items=tuple(produced),
        usage=usage,
        first_usage=first_usage or Usage(),
        validation=review.validation,
    )


async def done_so_far(turn: Turn, deps: Dependencies) -> list[JsonObject]:
    """What the run of a turn that will not be answered has done: items for the thread.

    A booking that was made stays known to the model, although an agent or a fault ended the turn.
    """
    run = await deps.store.runs.begin(turn, now=deps.now())
    items: list[JsonObject] = []
    spoken: set[str] = set()
    for recorded in run.rounds:
        if recorded.response is None:
            break
        if recorded.note:
            continue  # an answer that was sent back has never been said
        items += await spoken_items(turn, recorded.response.calls, spoken, deps)
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
        compact_at=request.compact_at,
    )


async def _ask(run: Run, number: int, request: ModelRequest, deps: Dependencies) -> ModelResponse:
    """One round's response: from the ledger, else from the server, else anew."""
    recorded = next((r for r in run.rounds if r.round == number), None)
    if recorded is not None and recorded.response is not None:
        return recorded.response
    stage("openai_start", f"round {number}")
    with span("model call", round=number) as work:
        return await _ask_anew(run, number, recorded, request, deps, work)


async def _ask_anew(
    run: Run,
    number: int,
    recorded: RecordedRound | None,
    request: ModelRequest,
    deps: Dependencies,
    work: Span,
) -> ModelResponse:
    """One round's response from the server; ``work`` is told what it used up."""
    runs = deps.store.runs
    started = trio.current_time()
    try:
        response = None
        if recorded is not None and recorded.response_id:
            response = await _harvest(recorded, deps)
        if response is None:
            if number > 0 or not run.is_asked:
                await _reserve(run, number, request, deps)

            async def named(response_id: str) -> None:
                await runs.round_named(run, number, response_id, now=deps.now())

            response = await deps.engine.respond(request, on_started=named)
    except AssistantError as error:
        temporary = isinstance(error, ModelTemporary)
        deps.metrics.count_upstream("model", "response", "temporary" if temporary else "rejected")
        await runs.round_failed(run, number, str(error), lost=not temporary, now=deps.now())
        if isinstance(error, ResponseGone):  # somebody has cancelled it at the server
            raise ModelTemporary(str(error)) from error
        raise
    deps.metrics.count_upstream("model", "response", "ok")
    deps.metrics.run.observe(trio.current_time() - started, exemplar())
    now = deps.now()
    charge = Charge(day_of(now, deps.rules.zone), use_of(response.usage, deps.rules.budget.price))
    waits = deps.engine.waits_for_outputs and bool(response.calls)
    await runs.round_completed(run, number, response, charge=charge, waits=waits, now=now)
    if response.left_out:
        deps.log.warning("the model's answer had items left out", types=response.left_out)
    deps.metrics.count_tokens(response.usage)
    deps.metrics.cost.inc(charge.use.micros / MICROS)
    work.attributes.update(
        input_tokens=response.usage.input_tokens,
        cached_tokens=response.usage.cached_tokens,
        output_tokens=response.usage.output_tokens,
        reasoning_tokens=response.usage.reasoning_tokens,
        cost=charge.use.micros / MICROS,
    )
    return response


async def _reserve(run: Run, number: int, request: ModelRequest, deps: Dependencies) -> None:
    """Note that the model is about to be asked. Raises BudgetSpent if the day does not allow it."""
    now, budget = deps.now(), deps.rules.budget
    wanted = _expected(request, now, deps)
    refused = await deps.store.runs.round_started(
        run, number, wanted=wanted, budget=budget, now=now
    )
    if refused:
        raise BudgetSpent(refused)


def _expected(request: ModelRequest, now: float, deps: Dependencies) -> Charge:
    return Charge(day_of(now, deps.rules.zone), expected_use(request, deps.rules.budget))


async def _harvest(recorded: RecordedRound, deps: Dependencies) -> ModelResponse | None:
    """Fetch a response that an earlier process asked for; None if the server has lost it."""
    try:
        response = await deps.engine.resume(recorded.response_id, starting_after=0)
    except ResponseGone:
        deps.metrics.recoveries.labels("asked_again").inc()
        deps.log.info("response is gone, asking again", symbol="♻", response=recorded.response_id)
        return None
    deps.metrics.recoveries.labels("harvested").inc()
    deps.log.info("response harvested", symbol="♻", response=recorded.response_id)
    return response


async def give_up(turn: Turn, deps: Dependencies) -> None:
    """Tell the server that the response it is working on is of no use any more.

    For a run that was cancelled for good (superseded, taken over, too slow), in this process or
    before it. A run that a stop of the daemon interrupts is left running, to be harvested.
    """
    response_id = await deps.store.runs.abandon_response(turn.id, now=deps.now())
    if not response_id:
        return
    with trio.move_on_after(CANCEL_SECONDS):
        stopped = await deps.engine.cancel(response_id)
        if stopped:
            await deps.store.orphans.released(response_id)
        deps.log.info("response cancelled", turn=turn.request_id, stopped=stopped)
