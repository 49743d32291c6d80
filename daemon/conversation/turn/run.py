"""The run of a turn: call the model, call its tools, until it answers.

Every step is in the ledger before and after it happens, and the ledger is read first: a run that
a crash or an outage has cut goes on where it was, without asking or doing anything twice.
"""

from dataclasses import dataclass, field

import msgspec
import trio

from daemon.conversation.services import ChatServices
from daemon.conversation.turn.answer import Review
from daemon.conversation.turn.interim import Progress, interim_items
from daemon.conversation.turn.tool_calls import call_tools, known_output
from daemon.domain.limits import MICROS, Charge, day_of, expected_use, use_of
from daemon.domain.messages import FunctionCall, JsonObject, ModelRequest, ModelResponse, Usage
from daemon.domain.records import RecordedRound, Run, Turn, Validation
from daemon.errors import AssistantError, BudgetSpent, ModelRejected, ModelTemporary, ResponseGone
from daemon.observability.tracing import Span, exemplar, span, stage

CANCEL_SECONDS = 1.0
"""How long giving a running response back to the server may hold up what comes next."""

LAST_ROUND_NOTE = (
    "[No more tool calls are possible for this answer. Answer the customer now with what you"
    " have, and say plainly what you could not find out.]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAnswer:
    """The result of a run."""

    text: str
    """The text to send; empty if nothing that the model wrote is fit for it."""
    items: tuple[JsonObject, ...]
    """Everything the model and the tools produced, fit to go into the thread."""
    usage: Usage = field(default_factory=Usage)
    first_usage: Usage = field(default_factory=Usage)
    """That of the first round, whose input was the request and nothing else."""
    validation: Validation | None = None
    """The round that the text is from, and the rulings on it."""


async def run_model(
    turn: Turn, request: ModelRequest, progress: Progress, services: ChatServices, *, attempt: int
) -> RunAnswer:
    """Run the model for a turn until it answers, at most so many rounds of tools.

    ``attempt`` counts the beginnings of the work on the turn. Called by the task of the turn's
    chat, inside its time limit; may be cancelled anywhere. Raises AssistantError if the model
    cannot be asked; the rounds that succeeded are kept. Raises BudgetSpent if the day does not
    allow it.
    """
    rules, now = services.config.rules, services.telemetry.now()
    limit, interim = rules.max_tool_rounds, services.store.interim
    first = _with(request, [], last=limit == 0)
    wanted = _expected(first, now, services)
    run, refused = await services.store.runs.start(
        turn,
        attempt=attempt,
        version=services.version,
        instructions=rules.instructions,
        wanted=wanted,
        budget=rules.budget,
        now=now,
    )
    progress.effects = turn.effects or any(call.effects for call in run.calls)
    if refused:
        raise BudgetSpent(refused)
    produced: list[JsonObject] = []
    spoken: set[str] = set()
    usage, first_usage = Usage(), None
    review = Review(turn, run, request, services)
    for number in range(limit + 1):
        asked = _with(request, review.shown(produced), last=number == limit)
        try:
            response = await _respond(run, number, asked, services)
        except (BudgetSpent, ModelRejected):
            if not review.asked_again:
                raise
            review.settle_first()
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
        with progress.clock_stopped(rules.longest_tool_seconds):
            outputs = await call_tools(turn, run, number, response.calls, progress, services)
        stage("post_tools_completed")
        produced += await interim_items(turn, response.calls, spoken, interim)
        produced += response.items
        produced += [
            _output_item(call, output) for call, output in zip(response.calls, outputs, strict=True)
        ]
    return RunAnswer(
        text=review.text,
        items=tuple(produced),
        usage=usage,
        first_usage=first_usage or Usage(),
        validation=review.validation,
    )


async def done_so_far(turn: Turn, services: ChatServices) -> list[JsonObject]:
    """Thread items of what the run of an unanswered turn has done.

    A booking that was made stays known to the model, although an agent or a fault ended the turn.
    """
    run = await services.store.runs.begin(turn, now=services.telemetry.now())
    items: list[JsonObject] = []
    spoken: set[str] = set()
    for recorded in run.rounds:
        response = recorded.response
        if response is None:
            break
        if recorded.note:
            continue  # a rejected answer was never sent
        items += await interim_items(turn, response.calls, spoken, services.store.interim)
        items += response.items
        outputs = ((call, known_output(turn, run, recorded.round, call)) for call in response.calls)
        items += [_output_item(call, output) for call, output in outputs if output is not None]
    return items


def _output_item(call: FunctionCall, output: str) -> JsonObject:
    return {"type": "function_call_output", "call_id": call.call_id, "output": output}


def _with(request: ModelRequest, produced: list[JsonObject], *, last: bool) -> ModelRequest:
    """The request of one round: the burst and what came of it; the last one without tools."""
    items = (*request.items, *produced)
    if last:
        items = (*items, {"role": "developer", "content": LAST_ROUND_NOTE})
    return msgspec.structs.replace(request, items=items, tools=() if last else request.tools)


async def _respond(
    run: Run, number: int, request: ModelRequest, services: ChatServices
) -> ModelResponse:
    """One round's response: from the ledger, else from the server, else again."""
    recorded = next((r for r in run.rounds if r.round == number), None)
    if recorded is not None and recorded.response is not None:
        return recorded.response
    runs, telemetry = services.store.runs, services.telemetry
    started = trio.current_time()
    stage("openai_start", f"round {number}")
    with span("model call", round=number) as work:
        try:
            response = await _fetch_earlier(recorded, services)
            if response is None:
                response = await _ask(run, number, request, services)
        except AssistantError as error:
            temporary = isinstance(error, ModelTemporary)
            telemetry.metrics.count_upstream(
                "model", "response", "temporary" if temporary else "rejected"
            )
            await runs.round_failed(
                run, number, str(error), lost=not temporary, now=telemetry.now()
            )
            if isinstance(error, ResponseGone):  # it was cancelled at the server
                raise ModelTemporary(str(error)) from error
            raise
        telemetry.metrics.count_upstream("model", "response", "ok")
        telemetry.metrics.run.observe(trio.current_time() - started, exemplar())
        await _keep(run, number, response, services, work)
    return response


async def _fetch_earlier(
    recorded: RecordedRound | None, services: ChatServices
) -> ModelResponse | None:
    """Fetch a response that an earlier process asked for; None if the server has none."""
    if recorded is None or not recorded.response_id:
        return None
    log, recoveries = services.telemetry.log, services.telemetry.metrics.recoveries
    try:
        response = await services.model.engine.resume(recorded.response_id, starting_after=0)
    except ResponseGone:
        recoveries.labels("asked_again").inc()
        log.info("response is gone, asking again", symbol="♻", response=recorded.response_id)
        return None
    recoveries.labels("harvested").inc()
    log.info("response harvested", symbol="♻", response=recorded.response_id)
    return response


async def _ask(
    run: Run, number: int, request: ModelRequest, services: ChatServices
) -> ModelResponse:
    """Ask the model again. Raises BudgetSpent if the day does not allow it."""
    runs, now = services.store.runs, services.telemetry.now
    if number > 0 or not run.is_asked:  # the write that started the run has reserved the first
        at = now()
        refused = await runs.round_started(
            run,
            number,
            wanted=_expected(request, at, services),
            budget=services.config.rules.budget,
            now=at,
        )
        if refused:
            raise BudgetSpent(refused)

    async def named(response_id: str) -> None:
        await runs.round_named(run, number, response_id, now=now())

    return await services.model.engine.respond(request, on_started=named)


async def _keep(
    run: Run, number: int, response: ModelResponse, services: ChatServices, work: Span
) -> None:
    """Store a response and its cost; ``work`` gets that, too."""
    rules, telemetry = services.config.rules, services.telemetry
    metrics, now = telemetry.metrics, telemetry.now()
    charge = Charge(day_of(now, rules.zone), use_of(response.usage, rules.budget.price))
    waits = services.model.engine.waits_for_outputs and bool(response.calls)
    await services.store.runs.round_completed(
        run, number, response, charge=charge, waits=waits, now=now
    )
    if response.left_out:
        telemetry.log.warning("the model's answer had items left out", types=response.left_out)
    metrics.count_tokens(response.usage)
    metrics.cost.inc(charge.use.micros / MICROS)
    work.attributes.update(
        input_tokens=response.usage.input_tokens,
        cached_tokens=response.usage.cached_tokens,
        output_tokens=response.usage.output_tokens,
        reasoning_tokens=response.usage.reasoning_tokens,
        cost=charge.use.micros / MICROS,
    )


def _expected(request: ModelRequest, now: float, services: ChatServices) -> Charge:
    rules = services.config.rules
    return Charge(day_of(now, rules.zone), expected_use(request, rules.budget))


async def give_up(turn: Turn, services: ChatServices) -> None:
    """Cancel a response at the server that is no longer needed.

    For a run that was cancelled for good (superseded, taken over, too slow), in this process or
    before it. A run that a stop of the daemon interrupts is left running, to be harvested.
    """
    telemetry = services.telemetry
    response_id = await services.store.runs.abandon_response(turn.id, now=telemetry.now())
    if not response_id:
        return
    with trio.move_on_after(CANCEL_SECONDS):
        stopped = await services.model.engine.cancel(response_id)
        if stopped:
            await services.store.orphans.released(response_id)
        telemetry.log.info("response cancelled", turn=turn.request_id, stopped=stopped)
