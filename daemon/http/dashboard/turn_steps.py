"""One turn as the rows of a timeline: what happened, when, and how long it took. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from daemon.domain.limits import MICROS
from daemon.domain.messages import JsonObject
from daemon.domain.states import WITH_AGENT
from daemon.domain.versions import SHOWN_DIGITS
from daemon.http.dashboard.shell import Wording

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
"""The tone of a state or outcome; the others have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One row of the timeline."""

    id: str
    kind: str
    """``message``, ``window``, ``run``, ``model``, ``tool``, ``send``, ``end`` or ``action``."""
    title: str
    at: float
    until: float = 0.0
    """When it ended; 0 for what took no time or is not over."""
    state: str = ""
    tone: str = ""
    notes: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    """Names and texts that are shown when the row is opened."""
    left: float = 0.0
    width: float = 0.0
    """Of its bar, in percent of the whole turn."""


def steps_of(trace: JsonObject, w: Wording) -> list[Step]:
    """Put a turn's rows into the order of time, each with its place in the whole."""
    steps = sorted(_steps(trace, w), key=lambda step: step.at)
    begin = min(step.at for step in steps)
    whole = max(max(max(step.at, step.until) for step in steps) - begin, 0.001)
    return [_placed(step, begin, whole) for step in steps]


def _placed(step: Step, begin: float, whole: float) -> Step:
    left = min(100 * (step.at - begin) / whole, 99.0)
    took = max(0.0, step.until - step.at)
    width = min(max(100 * took / whole, 1.0), 100 - left)
    return replace(step, left=round(left, 2), width=round(width, 2))


def _steps(trace: JsonObject, w: Wording) -> Iterator[Step]:
    turn, messages = trace["turn"], trace["messages"]
    for message in messages:
        yield from _message(message, w)
    received = [message["received_at"] for message in messages]
    if received and turn["opened_at"] >= min(received):
        count = (
            w.t("1 message") if len(received) == 1 else w.t("{count} messages", count=len(received))
        )
        yield Step(
            id="window",
            kind="window",
            title=w.t("Waited until the customer had finished writing"),
            at=min(received),
            until=turn["opened_at"],
            notes=(count, w.span(turn["opened_at"] - min(received))),
        )
    for number, run in enumerate(trace["runs"], 1):
        yield from _run(run, number, len(trace["runs"]), w)
    for call in trace["tool_calls"]:
        yield _tool(call, w)
    for row in trace["outbox"]:
        yield _send(row, w)
    for number, entry in enumerate(trace["audit"]):
        yield Step(
            id=f"action-{number}",
            kind="action",
            title=w.t(
                "Operator: {action}",
                action=w.t("audit: " + entry["action"]).removeprefix("audit: "),
            ),
            at=entry["at"],
            notes=tuple(
                audited(entry[name], w)
                for name in ("actor", "address", "before", "after")
                if entry[name]
            ),
        )
    if trace["candidate"]:
        yield _candidate(trace["candidate"], w)
    yield _end(turn, w)


def audited(text: str, w: Wording) -> str:
    """A detail of the audit, as the reader says it."""
    if text == "token admin":
        return w.t("the admin token")
    if found := re.fullmatch(r"paused until (\d+)", text):
        return w.t("paused until {time}", time=w.moment(float(found[1])))
    if found := re.fullmatch(r"(\d{1,9}) added, (\d{1,9}) removed", text):
        return w.t("{added} added, {removed} removed", added=found[1], removed=found[2])
    return text.removeprefix("account ")


def _candidate(row: JsonObject, w: Wording) -> Step:
    return Step(
        id="candidate",
        kind="model",
        title=w.t("Candidate, not sent"),
        at=row["at"],
        notes=(row["version"][:SHOWN_DIGITS], row["model"], w.span(row["seconds"])),
        details=((w.t("Text"), row["text"]),) if row["text"] else (),
    )


def _message(message: JsonObject, w: Wording) -> Iterator[Step]:
    notes = []
    if message["duplicates"]:
        notes.append(w.t("received {count} more times", count=message["duplicates"]))
    if message["state"] not in {"answered", "in_turn"}:
        notes.append(w.t(message["state"]))
    yield Step(
        id=f"in-{message['id']}",
        kind="message",
        title=w.t("Message received: {kind}", kind=w.t(message["kind"])),
        at=message["received_at"],
        notes=tuple(notes),
    )
    changes = {"edited_at": w.t("Edited by its author"), "deleted_at": w.t("Deleted by its author")}
    for name, title in changes.items():
        if message[name]:
            yield Step(id=f"{name}-{message['id']}", kind="message", title=title, at=message[name])


def _run(run: JsonObject, number: int, count: int, w: Wording) -> Iterator[Step]:
    if count > 1 or run["state"] != "completed":
        yield Step(
            id=f"run-{run['id']}",
            kind="run",
            title=w.t("Run {number}", number=number),
            at=run["started_at"],
            until=run["ended_at"] or 0,
            state=run["state"],
            tone=TONES.get(run["state"], "busy" if run["state"] == "running" else ""),
        )
    for call in run["responses"]:
        yield _model(call, run["id"], w)


def _model(call: JsonObject, run_id: int, w: Wording) -> Step:
    usage: dict[str, Any] = call["usage"]
    charge = call.get("charge")
    notes = []
    if call["ended_at"]:
        notes.append(w.span(call["ended_at"] - call["started_at"]))
    if usage:
        sent, got = (w.figure(usage.get(f"{name}_tokens", 0)) for name in ("input", "output"))
        notes.append(w.t("{input} → {output} tokens", input=sent, output=got))
    if usage.get("cached_tokens"):
        notes.append(w.t("{count} cached", count=w.figure(usage["cached_tokens"])))
    if charge and charge["micros"]:
        notes.append(w.money(charge["micros"] / MICROS))
    if call["calls"] > 1:
        notes.append(w.t("requested {count} times", count=call["calls"]))
    if call["incomplete"]:
        notes.append(w.t("incomplete: {reason}", reason=call["incomplete"]))
    if any(verdict == "flag" for _, verdict in call["validation"]):
        notes.append(w.t("doubtful: please check"))
    if call["asked_again"]:
        notes.append(w.t("sent back to the model"))
    verdicts = "\n".join(f"{validator}: {verdict}" for validator, verdict in call["validation"])
    return Step(
        id=f"model-{run_id}-{call['round']}",
        kind="model",
        title=w.t("Model, round {number}", number=call["round"] + 1),
        at=call["started_at"],
        until=call["ended_at"] or 0,
        state=call["state"],
        tone=TONES.get(call["state"], "busy"),
        notes=tuple(notes),
        details=_details(
            (w.t("Validation"), verdicts), (w.t("Error"), w.reason(call["error"] or ""))
        ),
    )


def _tool(call: JsonObject, w: Wording) -> Step:
    notes = [w.span(call["ended_at"] - call["started_at"])] if call["ended_at"] else []
    if call["effects"]:
        notes.append(w.t("has effects"))
    sources = "\n".join(f"{source['name']} ({source['path']})" for source in call["sources"])
    return Step(
        id=f"tool-{call['id']}",
        kind="tool",
        title=call["tool"],
        at=call["started_at"],
        until=call["ended_at"] or 0,
        state=call["state"],
        tone=TONES.get(call["state"], "busy"),
        notes=tuple(notes),
        details=_details(
            (w.t("Sources"), sources),
            (w.t("Arguments"), call["arguments"]),
            (w.t("Result"), call["output"]),
        ),
    )


def _send(row: JsonObject, w: Wording) -> Step:
    notes = []
    if row["sent_at"]:
        notes.append(w.span(row["sent_at"] - row["created_at"]))
    if row["attempts"] > 1:
        notes.append(w.t("tried {count} times", count=row["attempts"]))
    if row["status"] in {"delivered", "read", "played"}:
        notes.append(w.t(row["status"]))
    return Step(
        id=f"send-{row['id']}",
        kind="send",
        title=w.t("Message to the customer"),
        at=row["created_at"],
        until=row["sent_at"] or row["attempted_at"] or 0,
        state=row["state"],
        tone=TONES.get(row["state"], "busy" if row["state"] in {"pending", "sending"} else ""),
        notes=tuple(notes),
        details=_details((w.t("Text"), row["body"]), (w.t("Error"), row["error"])),
    )


def _end(turn: JsonObject, w: Wording) -> Step:
    """The end of a turn; while it has none, the moment of its answer."""
    notes = [w.t("{count} attempts", count=turn["attempts"])] if turn["attempts"] > 1 else []
    if turn["superseded"]:
        notes.append(w.t("restarted {count} times for new messages", count=turn["superseded"]))
    if turn["version"]:
        name = turn["version"][:SHOWN_DIGITS]
        notes.append(w.t("version {version}, {model}", version=name, model=turn["model"]))
    outcome = turn["outcome"] or turn["state"]
    return Step(
        id="end",
        kind="end",
        title=w.t("Ended") if turn["closed_at"] else w.t("In progress"),
        at=turn["closed_at"] or turn["concluded_at"] or turn["opened_at"],
        state=outcome,
        tone=TONES.get(outcome, "busy" if not turn["closed_at"] else ""),
        notes=tuple(notes),
        details=_details((w.t("Reason"), w.reason(turn["reason"]))),
    )


def _details(*pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """The pairs that have a text, cut to `SHOWN_CHARACTERS`."""
    return tuple(
        (name, text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")
        for name, text in pairs
        if text
    )
