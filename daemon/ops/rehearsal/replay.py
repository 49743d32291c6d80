"""Stored conversations against a candidate: each turn again, with its past and recorded tools."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import trio

from daemon.domain.messages import ChatKey, FunctionCall
from daemon.domain.progress import Progress
from daemon.errors import AssistantError
from daemon.ledger.recordings import RecordedToolCall, RecordedTurn, begin_thread
from daemon.ops.rehearsal.judge import AnswerPreference, Judge
from daemon.ops.rehearsal.play import TURN_SECONDS, Tries
from daemon.ops.rehearsal.stage import Rehearsal, RehearsalOptions, open_rehearsal
from daemon.settings import Settings
from daemon.tools import builtin_tools
from daemon.tools.tool import Tool, ToolContext

NOT_RECORDED = '{"error": "this call was not made when the conversation was recorded"}'

ON_OWN_STORE = frozenset(tool.name for tool in builtin_tools.ALL)
"""Tools that work in a rehearsal, on its own store."""


@dataclass(slots=True)
class ComparedTurn:
    """A turn as it was, and as the candidate answers it."""

    recording: RecordedTurn
    answers: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    """Names of the tools that the candidate called, in order."""
    not_recorded: tuple[str, ...] = ()
    """Those among them whose result is not known."""
    fault: str = ""
    """Why there is no answer."""
    preference: AnswerPreference | None = None
    """The judge's; None if nothing has changed, or no judge was asked."""
    cost: float = 0.0
    seconds: float = 0.0

    @property
    def reason(self) -> str:
        """The judge's, or why there is no answer."""
        return self.fault or (self.preference.reason if self.preference else "")

    @property
    def verdict(self) -> str:
        """``same``, ``better``, ``worse``, ``changed`` or ``failed``."""
        if self.fault:
            return "failed"
        if _plain(self.answers) == _plain(self.recording.answers):
            return "same"
        return self.preference.verdict if self.preference else "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All turns that were played again."""

    turns: Sequence[ComparedTurn]
    left_out: int
    """Turns with a picture, a file or the like, which are not played."""
    version: str
    agreement: str
    judge_cost: float
    measured: tuple[int, int] = (0, 0)
    """See `Judge.measured`."""


class _Recorded:
    """What tools gave in each chat when it was recorded."""

    def __init__(self) -> None:
        self._left: dict[str, list[RecordedToolCall]] = {}
        self.made: dict[str, list[str]] = {}
        self.missing: dict[str, list[str]] = {}

    def expect(self, chat: str, calls: Sequence[RecordedToolCall]) -> None:
        self._left[chat], self.made[chat], self.missing[chat] = list(calls), [], []

    def __call__(self, tool: Tool, call: FunctionCall, context: ToolContext) -> str | None:
        """See `daemon.tools.toolbox.Instead`: the result of the same call, else of the next one."""
        chat = context.key.chat
        left = self._left.get(chat, [])
        self.made.setdefault(chat, []).append(tool.name)
        fitting = [one for one in left if one.tool == tool.name]
        same = [one for one in fitting if one.arguments == call.arguments]
        if found := (same or fitting)[:1]:
            left.remove(found[0])
            return found[0].output
        if tool.name in ON_OWN_STORE:
            return None
        self.missing.setdefault(chat, []).append(tool.name)
        return NOT_RECORDED


async def replay(
    settings: Settings,
    terms: RehearsalOptions,
    recordings: Sequence[RecordedTurn],
    tries: Tries,
    progress: Progress,
    *,
    judged: bool = True,
) -> Comparison:
    """Play recorded turns against the settings of a candidate, and compare the answers.

    Raises what `open_rehearsal` raises.
    """
    recorded, rng = _Recorded(), Random(terms.seed)  # noqa: S311 - repeatable on purpose
    turns = [ComparedTurn(recording) for recording in recordings if recording.says]
    swapped = [rng.random() < 0.5 for _ in turns]  # a judge may like the first answer better
    limit, done = trio.CapacityLimiter(tries.at_once), 0
    async with open_rehearsal(settings, replace(terms, instead=recorded)) as rehearsal:
        judge = Judge(rehearsal.services.model.engine)

        async def one(turn: ComparedTurn, key: ChatKey, swap: bool) -> None:  # noqa: FBT001
            nonlocal done
            async with limit:
                await _play_again(turn, key, rehearsal, recorded)
                if judged and turn.verdict == "changed":
                    turn.preference = await _preference(turn, judge, swap=swap)
            done += 1
            progress(done, len(turns), turn.recording.request_id)

        async with trio.open_nursery() as nursery:
            for turn, swap in zip(turns, swapped, strict=True):
                name = f"replay of {turn.recording.request_id}"
                nursery.start_soon(one, turn, rehearsal.new_chat(), swap, name=name)
        return Comparison(
            turns=turns,
            left_out=len(recordings) - len(turns),
            version=rehearsal.services.version.digest,
            agreement=await judge.agreement() if judged else "",
            judge_cost=judge.cost(rehearsal.services.config.rules.budget.price),
            measured=judge.measured,
        )


async def _play_again(
    turn: ComparedTurn, key: ChatKey, rehearsal: Rehearsal, recorded: _Recorded
) -> None:
    recording, store = turn.recording, rehearsal.services.store
    recorded.expect(key.chat, recording.calls)
    now = rehearsal.services.telemetry.now()
    begin = partial(begin_thread, key=key, name=recording.name, items=recording.past, now=now)
    await store.database.write(begin)
    began = time.perf_counter()
    result = await rehearsal.say(key, recording.says, name=recording.name, seconds=TURN_SECONDS)
    turn.seconds = time.perf_counter() - began
    turn.answers = result.answers
    turn.calls = tuple(recorded.made[key.chat])
    turn.not_recorded = tuple(recorded.missing[key.chat])
    turn.cost = await rehearsal.cost(key)
    if result.outcome != "answered":
        turn.fault = result.reason or result.outcome or f"no answer in {TURN_SECONDS:g} s"


async def _preference(turn: ComparedTurn, judge: Judge, *, swap: bool) -> AnswerPreference | None:
    before, after = "\n".join(turn.recording.answers), "\n".join(turn.answers)
    question = "\n".join(turn.recording.says)
    try:
        return await judge.prefers(question, before, after, swap=swap)
    except AssistantError:
        return None


def _plain(texts: Sequence[str]) -> str:
    return " ".join(" ".join(texts).split())
