"""The story of one turn as rows of a timeline: what happened, when, and how long it took.

Pure: the ledger's rows come in as the desk gives them, and the page's words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from daemon.domain.messages import JsonObject
from daemon.domain.transitions.handover import WITH_AGENT
from daemon.http.dashboard.wording import Wording

MICROS = 1_000_000
SHOWN_CHARACTERS = 20_000
"""Of the arguments or the output of a tool."""

TONES = {
    "answered": "ok",
    "sent": "ok",
    "completed": "ok",
    "finished": "ok",
    "handed_off": "wait",
    WITH_AGENT: "wait",
    "expired": "wait",
    "unknown": "wait",
    "superseded": "wait",
    "abandoned": "wait",
    "dead": "bad",
    "failed": "bad",
}
"""How good a state or outcome is; the others are neither good nor bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row of the timeline."""

    id: str
    kind: str
    """``message``, ``window``, ``run``, ``model``, ``tool``, ``send``, ``end`` or ``action``."""
    title: str
    at: float
    until: float
    """When it ended; `at` for what took no time or is not over."""
    state: str = ""
    tone: str = ""
    notes: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    """Names and texts that are shown when the row is opened."""
    left: float = 0.0
    width: float = 0.0
    """Of its bar, in percent of the whole turn."""


def tell(story: JsonObject, w: Wording) -> list[Step]:
    """Put a turn's rows into the order of time, each with its place in the whole."""
    steps = sorted(_steps(story, w), key=lambda step: step.at)
    begin = min(step.at for step in steps)
    whole = max(max(step.until for step in steps) - begin, 0.001)
    return [_placed(step, begin, whole) for step in steps]


def _placed(step: Step, begin: float, whole: float) -> Step:
    left = min(100 * (step.at - begin) / whole, 99.0)
    width = min(max(100 * (step.until - step.at) / whole, 1.0), 100 - left)
    names = {name: getattr(step, name) for name in Step.__dataclass_fields__}
    return Step(**{**names, "left": round(left, 2), "width": round(width, 2)})


def _steps(story: JsonObject, w: Wording) -> Iterator[Step]:
    turn, messages = story["turn"], story["messages"]
    for message in messages:
        yield from _message(message, w)
    came = [message["received_at"] for message in messages]
    if came and turn["opened_at"] >= min(came):
        waited = turn["opened_at"] - min(came)
        yield Step(
            id="window",
            kind="window",
            title=w.t("Waited until they had finished"),
            at=min(came),
            until=turn["opened_at"],
            notes=(
                w.t("{count} messages", count=len(messages)) if len(came) > 1 else w.t("1 message"),
                w.span(waited),
            ),
        )
    for number, run in enumerate(story["runs"], 1):
        yield from _run(run, number, len(story["runs"]), w)
    for call in story["tool_calls"]:
        yield _tool(call, w)
    for row in story["outbox"]:
        yield _send(row, w)
    for number, entry in enumerate(story["audit"]):
        yield Step(
            id=f"deed-{number}",
            kind="deed",
            title=w.t("By an operator: {deed}", action=entry["action"]),
            at=entry["at"],
            until=entry["at"],
            notes=tuple(
                entry[name] for name in ("actor", "address", "before", "after") if entry[name]
            ),
        )
    yield _end(turn, w)


def _message(message: JsonObject, w: Wording) -> Iterator[Step]:
    at = message["received_at"]
    notes = []
    if message["duplicates"]:
        notes.append(w.t("came again {count} times", count=message["duplicates"]))
    if message["state"] not in {"answered", "in_turn"}:
        notes.append(w.t(message["state"]))
    title = w.t("A message came: {kind}", kind=w.t(message["kind"]))
    yield Step(
        id=f"in-{message['id']}",
        kind="message",
        title=title,
        at=at,
        until=at,
        notes=tuple(notes),
    )
    for name, words in (
        ("edited_at", "Edited by its author"),
        ("deleted_at", "Deleted by its author"),
    ):
        if message[name]:
            yield Step(
                id=f"{name}-{message['id']}",
                kind="message",
                title=w.t(words),
                at=message[name],
                until=message[name],
            )


def _run(run: JsonObject, number: int, count: int, w: Wording) -> Iterator[Step]:
    if count > 1 or run["state"] != "completed":
        yield Step(
            id=f"run-{run['id']}",
            kind="run",
            title=w.t("Run {number}", number=number),
            at=run["started_at"],
            until=run["ended_at"] or run["started_at"],
            state=run["state"],
            tone=TONES.get(run["state"], "busy" if run["state"] == "running" else ""),
        )
    for call in run["responses"]:
        yield _model(call, run["id"], w)


def _model(call: JsonObject, run_id: int, w: Wording) -> Step:
    usage: dict[str, Any] = call["usage"]
    notes = []
    if call["ended_at"]:
        notes.append(w.span(call["ended_at"] - call["started_at"]))
    if usage:
        told, said = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
        notes.append(w.t("{told} → {said} tokens", told=w.figure(told), said=w.figure(said)))
    if usage.get("cached_tokens"):
        notes.append(w.t("{count} cached", count=w.figure(usage["cached_tokens"])))
    charge = call.get("charge")
    if charge and charge["micros"]:
        notes.append(w.money(charge["micros"] / MICROS))
    if call["calls"] > 1:
        notes.append(w.t("asked {count} times", count=call["calls"]))
    if call["incomplete"]:
        notes.append(w.t("cut short: {reason}", reason=call["incomplete"]))
    verdicts = [f"{validator}: {verdict}" for validator, verdict in call["validation"]]
    if any(verdict == "flag" for _, verdict in call["validation"]):
        notes.append(w.t("doubtful: please check"))
    if call["asked_again"]:
        notes.append(w.t("sent back to the model"))
    details = [(w.t("Validation"), "\n".join(verdicts))] if verdicts else []
    if call["error"]:
        details.append((w.t("Error"), call["error"]))
    return Step(
        id=f"model-{run_id}-{call['round']}",
        kind="model",
        title=w.t("Model, round {number}", number=call["round"] + 1),
        at=call["started_at"],
        until=call["ended_at"] or call["started_at"],
        state=call["state"],
        tone=TONES.get(call["state"], "busy"),
        notes=tuple(notes),
        details=tuple(details),
    )


def _tool(call: JsonObject, w: Wording) -> Step:
    notes = []
    if call["ended_at"]:
        notes.append(w.span(call["ended_at"] - call["started_at"]))
    if call["effects"]:
        notes.append(w.t("has effects"))
    details = [(w.t("Arguments"), _cut(call["arguments"]))]
    if call["output"]:
        details.append((w.t("Result"), _cut(call["output"])))
    return Step(
        id=f"tool-{call['id']}",
        kind="tool",
        title=call["tool"],
        at=call["started_at"],
        until=call["ended_at"] or call["started_at"],
        state=call["state"],
        tone=TONES.get(call["state"], "busy"),
        notes=tuple(notes),
        details=tuple(details),
    )


def _send(row: JsonObject, w: Wording) -> Step:
    notes = []
    if row["sent_at"]:
        notes.append(w.span(row["sent_at"] - row["created_at"]))
    if row["attempts"] > 1:
        notes.append(w.t("tried {count} times", count=row["attempts"]))
    if row["status"] in {"delivered", "read", "played"}:
        notes.append(w.t(row["status"]))
    details = [(w.t("Words"), _cut(row["body"]))] if row["body"] else []
    if row["error"]:
        details.append((w.t("Error"), row["error"]))
    return Step(
        id=f"send-{row['id']}",
        kind="send",
        title=w.t("Said to the customer"),
        at=row["created_at"],
        until=row["sent_at"] or row["attempted_at"] or row["created_at"],
        state=row["state"],
        tone=TONES.get(row["state"], "busy" if row["state"] in {"pending", "sending"} else ""),
        notes=tuple(notes),
        details=tuple(details),
    )


def _end(turn: JsonObject, w: Wording) -> Step:
    """How it ended; the moment of the answer's decision while it has not."""
    at = turn["closed_at"] or turn["concluded_at"] or turn["opened_at"]
    notes = [w.t("{count} attempts", count=turn["attempts"])] if turn["attempts"] > 1 else []
    if turn["superseded"]:
        notes.append(w.t("begun anew {count} times for news", count=turn["superseded"]))
    outcome = turn["outcome"] or turn["state"]
    return Step(
        id="end",
        kind="end",
        title=w.t("Ended") if turn["closed_at"] else w.t("Under way"),
        at=at,
        until=at,
        state=outcome,
        tone=TONES.get(outcome, "busy" if not turn["closed_at"] else ""),
        notes=tuple(notes),
        details=((w.t("Reason"), turn["reason"]),) if turn["reason"] else (),
    )


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
