"""Cases played: each several times, several at once, within a budget."""

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import msgspec
import trio

from daemon.domain.messages import ChatKey, FunctionCall, JsonObject
from daemon.domain.progress import Progress, unwatched
from daemon.errors import AssistantError
from daemon.ops.rehearsal.cases import Case, CaseTurn, LocatedCase, checker, texts
from daemon.ops.rehearsal.checks import PlayedTurn, ToolCall, failures
from daemon.ops.rehearsal.customers import Persona, Script, TurnSource, without_goal
from daemon.ops.rehearsal.judge import Judge
from daemon.ops.rehearsal.sandbox import OpenSandbox, open_sandbox_rehearsal
from daemon.ops.rehearsal.stage import HELD, Rehearsal, RehearsalOptions, open_rehearsal
from daemon.settings import Settings
from daemon.tools import builtin_tools
from daemon.tools.tool import Tool, ToolContext

TURN_SECONDS = 180.0
"""For the answer to one burst."""

TOO_LITTLE = 1e-6
"""A limit of costs that allows nothing; 0 would be none."""

NOT_MOCKED = '{"error": "this tool gives nothing in a rehearsal"}'


@dataclass(slots=True)
class Play:
    """One conversation as it went."""

    found: LocatedCase
    attempt: int
    turns: list[PlayedTurn] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    cost: float = 0.0

    @property
    def passed(self) -> bool:
        """True if all that must hold does."""
        return not self.failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """How the cases are played."""

    times: int = 1
    at_once: int = 4
    """Conversations at the same time."""
    by_model: bool = False
    """Customers are played by the model, not by their scripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """All plays, in the order of the cases."""

    plays: Sequence[Play]
    version: str
    """What the answers were made with."""
    agreement: str
    """How far the judge agrees with people, in words; empty if none was asked."""
    judge_cost: float


class Mocks:
    """What tools give in the chats of a rehearsal, and a record of their calls."""

    def __init__(self) -> None:
        self._given: dict[str, dict[str, list[object]]] = {}
        self._calls: dict[str, list[ToolCall]] = defaultdict(list)
        self.missing: dict[str, list[str]] = defaultdict(list)
        """By chat: the tools that were called and for which its case has nothing."""

    def expect(self, chat: str, case: Case) -> None:
        """The tools give in this chat what the case says."""
        self._given[chat] = {
            name: list(value) if isinstance(value, list) else [value]
            for name, value in case.tools.items()
        }

    def taken(self, chat: str) -> list[ToolCall]:
        """The calls in a chat since this was last asked."""
        return self._calls.pop(chat, [])

    def __call__(self, tool: Tool, call: FunctionCall, context: ToolContext) -> str | None:
        """See `daemon.tools.toolbox.Instead`. Built-in tools work, on the rehearsal's own store."""
        chat = context.key.chat
        given = self._given.get(chat, {}).get(tool.name)
        output: str | None = None
        if given:
            value = given.pop(0) if len(given) > 1 else given[0]
            output = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        elif tool not in builtin_tools.ALL:
            self.missing[chat].append(tool.name)
            output = NOT_MOCKED
        self._calls[chat].append(ToolCall(tool.name, call.arguments, output or ""))
        return output


async def play_cases(
    settings: Settings,
    terms: RehearsalOptions,
    cases: Sequence[LocatedCase],
    order: Tries,
    progress: Progress = unwatched,
    open_sandbox: OpenSandbox | None = None,
) -> Played:
    """Play each case so often: cases without a gateway, then customers with the whole daemon.

    Raises what `open_rehearsal` and `open_sandbox_rehearsal` raise.
    """
    mocks = Mocks()
    terms = replace(terms, instead=mocks)
    plays = [Play(found, attempt) for found in cases for attempt in range(1, order.times + 1)]
    group = _Group(mocks, terms.seed, order, progress, total=len(plays))
    exact = [play for play in plays if play.found.customer is None]
    if exact:
        async with open_rehearsal(settings, terms) as rehearsal:
            await group.play(exact, rehearsal)
    if len(exact) < len(plays):
        if open_sandbox is None:
            raise RuntimeError("customers are played in the sandbox alone")
        others = [play for play in plays if play.found.customer is not None]
        if terms.cost:
            terms = replace(
                terms, cost=max(terms.cost - sum(play.cost for play in exact), TOO_LITTLE)
            )
        async with open_sandbox_rehearsal(settings, terms, open_sandbox) as rehearsal:
            await group.play(others, rehearsal)
    return Played(
        plays=plays,
        version=group.version,
        agreement=group.agreement,
        judge_cost=group.judge_cost,
    )


class _Group:
    """Plays that share a rehearsal, and what they have come to."""

    def __init__(
        self, mocks: Mocks, seed: int, order: Tries, progress: Progress, *, total: int
    ) -> None:
        self.version = self.agreement = ""
        self.judge_cost = 0.0
        self._mocks, self._seed, self._order = mocks, seed, order
        self._progress, self._total, self._done = progress, total, 0

    async def play(self, plays: Sequence[Play], rehearsal: Rehearsal) -> None:
        limit = trio.CapacityLimiter(self._order.at_once)
        judge = Judge(rehearsal.services.model.engine)

        async def one(play: Play, key: ChatKey) -> None:
            async with limit:
                source = self._source(play, judge)
                await _play(play, key, rehearsal, self._mocks, judge, source)
            self._done += 1
            self._progress(self._done, self._total, play.found.case.name)

        async with trio.open_nursery() as nursery:
            for play in plays:
                name = f"case {play.found.case.name} {play.attempt}"
                nursery.start_soon(one, play, rehearsal.new_chat(), name=name)
        self.version = rehearsal.services.version.digest
        parts = [part for play in plays for part in (play.found.case, *play.found.case.turn)]
        if any(part.judge for part in parts) and not self.agreement:
            self.agreement = await judge.agreement()
        self.judge_cost += judge.cost(rehearsal.services.config.rules.budget.price)

    def _source(self, play: Play, judge: Judge) -> TurnSource:
        """Who writes the customer's messages."""
        customer = play.found.customer
        if customer is None:
            return Script(play.found.case.turn)
        rng = Random(f"{self._seed} {customer.name} {play.attempt}")  # noqa: S311 - repeatable
        return Persona(customer, rng, judge if self._order.by_model else None)


async def _play(
    play: Play, key: ChatKey, rehearsal: Rehearsal, mocks: Mocks, judge: Judge, writer: TurnSource
) -> None:
    case = play.found.case if not writer.leaves else without_goal(play.found.case)
    mocks.expect(key.chat, case)
    number = 0
    while turn := await _next(play, writer):
        number += 1
        played = PlayedTurn(says=list(map(str, turn.burst)))
        play.turns.append(played)
        began = time.perf_counter()
        result = await rehearsal.say(key, turn.burst, name=case.customer, seconds=TURN_SECONDS)
        played.seconds = time.perf_counter() - began
        played.answers = list(result.answers)
        played.calls, played.tokens = mocks.taken(key.chat), result.tokens
        played.outcome, played.reason = result.outcome, result.reason
        if result.outcome not in {"answered", HELD}:
            why = result.reason or result.outcome or f"no answer in {TURN_SECONDS:g} s"
            play.failures.append(f"turn {number}: {why}")
            break
        found = failures(turn, [played])
        found += await _judged(play, judge, texts(turn.judge), turn.check)
        play.failures += [f"turn {number}: {what}" for what in found]
    play.failures += failures(case, play.turns)
    play.failures += await _judged(play, judge, texts(case.judge), case.check)
    play.failures += [
        f"{name} was called, and the case says nothing of what it gives"
        for name in dict.fromkeys(mocks.missing.pop(key.chat, []))
    ]
    play.cost = await rehearsal.cost(key)


async def _next(play: Play, writer: TurnSource) -> CaseTurn | None:
    """The next burst; None at the end, or if the model that plays the customer is away."""
    try:
        return await writer.next(transcript(play.turns))
    except AssistantError as error:
        play.failures.append(f"no customer: {error}")
        return None


async def _judged(play: Play, judge: Judge, sentences: list[str], check: str) -> list[str]:
    """What a function of the operator's and a judge have to say against a conversation."""
    lines, found = transcript(play.turns), []
    if check:
        try:
            found += [str(fault) for fault in [checker(play.found, check)(lines)] if fault]
        except Exception as error:  # noqa: BLE001 - a function of the operator's
            found.append(f"{check}: {type(error).__name__}: {error}")
    for sentence in sentences:
        try:
            verdict = await judge.holds(sentence, lines)
        except AssistantError as error:
            found.append(f"no judge: {error}")
        else:
            found += [] if verdict.holds else [f"judge: {sentence}: {verdict.reason}"]
    return found


def transcript(turns: Sequence[PlayedTurn]) -> list[JsonObject]:
    """The conversation, a line each: ``who`` is customer, tool or assistant."""
    lines: list[JsonObject] = []
    for turn in turns:
        lines += [{"who": "customer", "text": text} for text in turn.says]
        lines += [
            {"who": "tool", "text": f"{call.tool}({call.arguments})" + _gave(call)}
            for call in turn.calls
        ]
        lines += [{"who": "assistant", "text": text} for text in turn.answers]
    return lines


def _gave(call: ToolCall) -> str:
    return f" -> {call.output}" if call.output else ""


def pass_at(plays: Sequence[Play], k: int) -> float:
    """The share of cases in which ``k`` tries would all succeed (pass^k), from all their tries.

    Estimated as in tau-bench (https://arxiv.org/abs/2406.12045): of ``n`` tries with ``c``
    successes the share of the choices of ``k`` in which all are successes.
    """
    tries: dict[str, list[bool]] = defaultdict(list)
    for play in plays:
        tries[play.found.case.name].append(play.passed)
    shares = [
        math.comb(sum(passed), k) / math.comb(len(passed), k)
        for passed in tries.values()
        if len(passed) >= k
    ]
    return sum(shares) / len(shares) if shares else 0.0
