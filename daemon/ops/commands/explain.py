"""`recado explain`: what happened to one message."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

import click

from daemon.domain.limits import MICROS
from daemon.domain.messages import JsonObject
from daemon.domain.redaction import Redactor
from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.handover import AGENT_WROTE
from daemon.domain.versions import SHOWN_DIGITS
from daemon.ledger.views.traces import MessageTrace, trace_of_message
from daemon.ops.commands.place import AS_JSON, CommandFailure, Place, note, print_json, takes_place

SHOWN_CHARACTERS = 200
"""Of a tool's arguments and output, and of a text."""

BAR_WIDTH = 40
"""Characters that stand for a turn's whole time."""

_WORDS = ("body", "caption", "title", "description", "address", "file_name", "emoji", "vcard")


@dataclass(frozen=True, slots=True)
class _Line:
    """One event at a time (Unix seconds)."""

    at: float
    text: str


def timeline(trace: MessageTrace, *, zone: tzinfo | None, reveal: bool) -> str:
    """Write a trace line by line, in the order of time.

    ``zone`` is that of the times (None: this machine's). Without ``reveal`` numbers are shortened;
    `without_words` removes the texts.
    """
    lines = sorted(_lines(trace), key=lambda line: line.at)
    asked = [message for message in trace.messages if message["id"] == trace.message_id]
    first = asked or trace.messages or [{"received_at": lines[0].at if lines else 0.0}]
    start = first[0]["received_at"]
    text = [_title(trace), f"{_zone_name(start, zone)}; offsets from the arrival", ""]
    text += [
        f"{_moment(line.at, zone)}  {_offset(line.at - start):>12}  {line.text}" for line in lines
    ]
    text += ["", *_stages(trace), _ending(trace)]
    if trace.opted_out_at:
        since = _moment(trace.opted_out_at, zone)
        text.append(f"the contact has opted out of unrequested messages since {since}")
    if reveal:
        return "\n".join(text)
    redactor = Redactor()
    # Times are not masked: a date and an hour may look like a number.
    end = 3 + len(lines)
    head, body, tail = text[:3], text[3:end], text[end:]
    cut = len(_moment(start, zone)) + 2
    body = [f"{line[:cut]}{redactor.text(line[cut:])}" for line in body]
    return "\n".join([*map(redactor.text, head), *body, *map(redactor.text, tail)])


def without_words(trace: MessageTrace) -> MessageTrace:
    """Replace texts by their lengths."""
    messages = [
        message | {"author_name": "", "content": _bare(message["content"])}
        for message in trace.messages
    ]
    tool_calls = [
        call
        | {"arguments": _bare_arguments(call["arguments"]), "output": _bare_output(call["output"])}
        for call in trace.tool_calls
    ]
    outbox = [row | {"body": _length(row["body"])} for row in trace.outbox]
    return replace(trace, messages=messages, tool_calls=tool_calls, outbox=outbox)


def _bare(content: JsonObject) -> JsonObject:
    bare: JsonObject = {"type": content["type"]}
    for key, value in content.items():
        if key in _WORDS and value:
            bare[key] = _length(value)
        elif key in {"medium", "mime_type", "size_bytes", "seconds", "target"}:
            bare[key] = value
    return bare


def _bare_arguments(arguments: str) -> str:
    """The names of the arguments; their values may quote the customer."""
    try:
        named = json.loads(arguments)
    except ValueError:
        return _length(arguments)
    if not isinstance(named, dict):
        return _length(arguments)
    bare = {
        name: _length(value) if isinstance(value, str) else "…" for name, value in named.items()
    }
    return json.dumps(bare, ensure_ascii=False)


def _bare_output(output: str) -> str:
    """The output of a tool, if it is an error; of all else the length."""
    try:
        value = json.loads(output)
    except ValueError:
        value = None
    return output if isinstance(value, dict) and set(value) == {"error"} else _length(output)


def _length(text: str) -> str:
    return f"[{len(text)} characters]"


# -- what happened -------------------------------------------------------------------------------


def _lines(trace: MessageTrace) -> Iterator[_Line]:
    for event in trace.events:
        kept = "" if event["body_kept"] else ", raw body deleted"
        name = f" ({event['event']})" if event["event"] else ""
        yield _Line(event["received_at"], f"event {event['id']}{name} stored{kept}")
        if event["unreadable"]:
            yield _Line(event["received_at"], f"  unreadable in it: {event['unreadable']}")
    for message in trace.messages:
        yield from _message_lines(trace, message)
    if trace.turn is not None:
        yield from _turn_lines(trace.turn)
    for run in trace.runs:
        yield from _run_lines(run)
    for call in trace.tool_calls:
        yield from _tool_lines(call)
    for row in trace.outbox:
        yield from _send_lines(row)
    if trace.turn is not None and trace.turn["closed_at"]:
        # After the last send, which is of the same moment.
        yield _Line(trace.turn["closed_at"], f"turn ended: {_outcome(trace.turn)}")
    for entry in trace.audit:
        change = ", ".join(entry[name] for name in ("before", "after") if entry[name])
        who = f" by {entry['actor']}" if entry["actor"] else ""
        what = f"operator{who}: {entry['action']} {entry['subject']}, {change}"
        yield _Line(entry["at"], what)


def _message_lines(trace: MessageTrace, message: JsonObject) -> Iterator[_Line]:
    name = f"message {message['id']}"
    author = f" of {message['author_name']}" if message["author_name"] else ""
    own = ", from our own number" if message["from_me"] else ""
    asked = "  <- asked for" if message["id"] == trace.message_id else ""
    if message["sent_at"]:
        yield _Line(message["sent_at"], f"{name} sent{author}, by WhatsApp's clock")
    yield _Line(message["received_at"], f"{name} arrived: {_says(message)}{own}{asked}")
    if message["duplicates"]:
        text = f"  received {message['duplicates']} more times, without effect"
        yield _Line(message["received_at"], text)
    if message["edited_at"]:
        yield _Line(message["edited_at"], f"{name} edited by its author")
    if message["deleted_at"]:
        yield _Line(message["deleted_at"], f"{name} deleted by its author")
    if message["state"] == WITH_AGENT:
        yield _Line(message["received_at"], f"{name} waits for a person: {message['reason']}")
    if message["reason"] == AGENT_WROTE and message["agent_wrote_at"]:
        yield _Line(message["agent_wrote_at"], f"an agent wrote: {name} is handled by a person")


def _says(message: JsonObject) -> str:
    content = message["content"]
    words = " ".join(str(content[key]) for key in _WORDS if content.get(key))
    kind = content.get("medium") or message["kind"]
    return f"{kind} {_short(words)}".strip()


def _turn_lines(turn: JsonObject) -> Iterator[_Line]:
    yield _Line(turn["opened_at"], f"window closed: {turn['request_id']} opened")
    if turn["concluded_at"]:
        yield _Line(turn["concluded_at"], "answer decided, in the outbox")


def _run_lines(run: JsonObject) -> Iterator[_Line]:
    yield _Line(run["started_at"], f"run {run['id']} began")
    for call in run["responses"]:
        again = f", asked {call['calls']} times" if call["calls"] > 1 else ""
        response = f" ({call['response_id']})" if call["response_id"] else ""
        yield _Line(call["started_at"], f"  model call, round {call['round']}{response}{again}")
        if call["ended_at"]:
            took = f"{call['seconds']:.3f} s"
            yield _Line(call["ended_at"], f"  model call {call['state']} in {took}{_yield(call)}")
            if call.get("validation"):
                yield _Line(call["ended_at"], f"  validation: {_verdicts(call)}")
    if run["ended_at"]:
        yield _Line(run["ended_at"], f"run {run['id']} {run['state']}")


def _verdicts(call: JsonObject) -> str:
    verdicts = ", ".join(f"{validator} {verdict}" for validator, verdict in call["validation"])
    if any(verdict == "flag" for _, verdict in call["validation"]):
        verdicts = f"{verdicts}; sent anyway, a person should check it"
    return f"{verdicts}; the model was asked again" if call["asked_again"] else verdicts


def _yield(call: JsonObject) -> str:
    usage = call["usage"]
    parts = []
    if usage:
        tokens = (usage.get("input_tokens", 0), usage.get("output_tokens", 0))
        parts.append("{} tokens in, {} out".format(*tokens))
    if call["incomplete"]:
        parts.append(f"incomplete: {call['incomplete']}")
    if call["error"]:
        parts.append(f"error: {call['error']}")
    return f": {', '.join(parts)}" if parts else ""


def _tool_lines(call: JsonObject) -> Iterator[_Line]:
    effects = ", with effects" if call["effects"] else ""
    yield _Line(call["started_at"], f"  tool {call['tool']}({_short(call['arguments'])}){effects}")
    if call["ended_at"]:
        took = f"{call['seconds']:.3f} s"
        text = f"  tool {call['tool']} {call['state']} in {took}: {_short(call['output'])}"
        yield _Line(call["ended_at"], text)
        for source in call["sources"]:
            where = f"{source['name']} ({source['path']}), {source['score']:.2f}"
            yield _Line(call["ended_at"], f"    source: {where}")


def _send_lines(row: JsonObject) -> Iterator[_Line]:
    name = f"send {row['id']}"
    yield _Line(row["created_at"], f"{name} put into the outbox: {_short(row['body'])}")
    if row["attempted_at"]:
        yield _Line(row["attempted_at"], f"{name} attempted, try {row['attempts']}")
    for failure in row["failures"]:
        text = f"{name} taken as {failure['message_id']}, but not delivered: {failure['error']}"
        yield _Line(failure["failed_at"], text)
    if row["sent_at"] and row["message_id"] and row["status"] != "failed":
        status = f", {row['status']}" if row["status"] else ""
        yield _Line(row["sent_at"], f"{name} sent as {row['message_id']}{status}")
        for what, at in (("delivered", row["delivered_at"]), ("read", row["read_at"])):
            if at:
                yield _Line(at, f"{name} {what}, by WhatsApp's clock")
        if row["charged_as"]:
            price = row["charged_micros"] / MICROS
            yield _Line(row["sent_at"], f"{name} charged as {row['charged_as']}: {price:g}")
    elif row["error"] or row["state"] not in {"pending", "sending"}:
        at = row["attempted_at"] or row["created_at"]
        error = f": {row['error']}" if row["error"] else ""
        yield _Line(at, f"{name} {row['state']}{error}")


# -- where the time went -------------------------------------------------------------------------


def _stages(trace: MessageTrace) -> list[str]:
    """The stages of the turn on one scale, each with its seconds."""
    stages = sorted(trace.stages, key=lambda stage: stage["at"])
    if len(stages) < 2:
        return []
    start, end = stages[0]["at"], stages[-1]["at"]
    total = max(end - start, 0.001)
    drawn = ["stages of the turn:"]
    for stage, following in zip(stages, [*stages[1:], stages[-1]], strict=True):
        seconds = following["at"] - stage["at"]
        left = round((stage["at"] - start) / total * BAR_WIDTH)
        right = max(left, round((following["at"] - start) / total * BAR_WIDTH))
        bar = f"{' ' * left}{'█' * (right - left) or '▏'}"
        detail = f"  {stage['detail']}" if stage["detail"] else ""
        drawn.append(f"  {stage['stage']:<21}{seconds:9.3f} s  {bar:<{BAR_WIDTH + 1}}{detail}")
    return [*(line.rstrip() for line in drawn), ""]


# -- the rest ------------------------------------------------------------------------------------


def _title(trace: MessageTrace) -> str:
    channel = f" of number {trace.channel}" if trace.channel else ""
    return f"message {trace.message_id} in chat {trace.chat}{channel}"


def _ending(trace: MessageTrace) -> str:
    """The current state, in a line or two."""
    states = [
        f"message {m['id']}: {m['state']}" + (f" ({m['reason']})" if m["reason"] else "")
        for m in trace.messages
    ]
    if trace.turn is None:
        states.append("no turn")
    else:
        turn = trace.turn
        superseded = f", superseded {turn['superseded']} times" if turn["superseded"] else ""
        attempts = f"{turn['attempts']} attempt{'' if turn['attempts'] == 1 else 's'}"
        made = (
            f", version {turn['version'][:SHOWN_DIGITS]} ({turn['model']})"
            if turn["version"]
            else ""
        )
        states.append(f"{turn['request_id']}: {_outcome(turn)}, {attempts}{superseded}{made}")
    if trace.candidate is not None:
        one = trace.candidate
        states.append(
            f"candidate {one['version'][:SHOWN_DIGITS]} ({one['model']}), not sent,"
            f" {one['seconds']:.1f} s: {_short(one['text']) or 'no answer'}"
        )
    return "\n".join(states)


def _outcome(turn: JsonObject) -> str:
    reason = f" ({turn['reason']})" if turn["reason"] else ""
    return f"{turn['outcome'] or turn['state']}{reason}"


def _short(text: Any) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"


def _moment(at: float, zone: tzinfo | None) -> str:
    local = datetime.fromtimestamp(at, UTC).astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03}"


def _zone_name(at: float, zone: tzinfo | None) -> str:
    local = datetime.fromtimestamp(at, UTC).astimezone(zone)
    return f"times in {zone or local.tzname()} (UTC{local:%z})"


def _offset(seconds: float) -> str:
    return f"{seconds:+,.3f} s"


EXAMPLE = """\b
Example:
  recado explain 3EB0C767D09712345678
  recado explain 3EB0C767D09712345678 --json | jq .turn
"""


@click.command(name="explain", epilog=EXAMPLE)
@click.argument("message_id")
@AS_JSON
@click.option("--reveal", is_flag=True, help="Show phone numbers and what was written.")
@takes_place
def explain_command(place: Place, *, message_id: str, as_json: bool, reveal: bool) -> None:
    """Show what happened to one message: arrival, turn, model and tool calls, sends.

    MESSAGE_ID is WhatsApp's id, of a received message or of one that Recado sent; both show the
    same turn. Offsets count from the arrival of the message (of the turn's first one for a message
    that Recado sent). Phone numbers are shortened and texts left out unless --reveal is given.
    """
    with place.reading() as connection:
        trace = trace_of_message(connection, message_id)
    if trace is None:
        raise CommandFailure(f"no message {message_id} is known")
    if reveal:
        note(place, "reveal", message_id, after="explain")
    else:
        trace = without_words(trace)
    if as_json:
        rows = asdict(trace) if reveal else Redactor().value(asdict(trace))
        print_json(rows)
    else:
        click.echo(timeline(trace, zone=place.zone, reveal=reveal))
