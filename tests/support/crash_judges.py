"""The judges of the crash harness: pure functions over messages, answers, tool calls and the store.

Customers write references such as ``c03-m0017``; the simulated model answers each burst with
``Recibido: …`` and ``Listo: …``, each naming the references of the burst in order. So every
message, every repetition and every change of order can be seen on the customer's side.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

REFERENCE = re.compile(r"c\d+-m\d+")
FIRST_PART, SECOND_PART = "Recibido: ", "Listo: "


@dataclass(frozen=True, slots=True)
class Fault:
    """A promise broken in one chat."""

    chat: str
    what: str


@dataclass(frozen=True, slots=True)
class StoreRows:
    """The rows of the store that the judges need after the end."""

    messages: Sequence[tuple[str, str, str]]
    """Chat, id and state of each customer message."""
    open_outbox: Sequence[tuple[str, str]]
    """Chat and state of each outbox row that is neither sent nor dropped."""
    living_turns: Sequence[str]
    """The chats with a turn without an outcome."""
    calls: Sequence[tuple[str, str, str]]
    """Chat, state and arguments of each tool call."""
    user_items: Sequence[tuple[str, str]]
    """Chat and text of each burst in a thread."""
    sent_ids: Sequence[str] = ()
    """WhatsApp's ids of what was sent."""
    ended_turns: Sequence[str] = ()
    """The names of the turns with an outcome."""
    reminders: Sequence[tuple[str, str]] = ()
    """Number and state of each reminder."""


def references(text: str) -> list[str]:
    """The references in a text, in order."""
    return REFERENCE.findall(text)


def judge_answers(
    written: Mapping[str, Sequence[str]],
    heard: Mapping[str, Sequence[str]],
    *,
    notices: frozenset[str] = frozenset(),
) -> list[Fault]:
    """Each message answered once, in order, both parts together; nothing else but ``notices``."""
    faults = []
    for chat, expected in written.items():
        said = [text for text in heard.get(chat, ()) if text not in notices]
        for part in (FIRST_PART, SECOND_PART):
            named = [ref for text in said if text.startswith(part) for ref in references(text)]
            faults += _judge_part(chat, part, expected, named)
        faults += _judge_pairs(chat, said)
    strangers = [chat for chat in heard if chat not in written]
    return faults + [Fault(chat, "answered, but never wrote") for chat in strangers]


def _judge_part(chat: str, part: str, expected: Sequence[str], named: Sequence[str]) -> list[Fault]:
    counts = Counter(named)
    missing = [ref for ref in expected if not counts[ref]]
    twice = [ref for ref, count in counts.items() if count > 1]
    foreign = sorted(set(named) - set(expected))
    faults = [Fault(chat, f"{part}never said of {ref}") for ref in missing]
    faults += [Fault(chat, f"{part}said {counts[ref]} times of {ref}") for ref in twice]
    faults += [Fault(chat, f"{part}said of {ref}, which is not of this chat") for ref in foreign]
    if not faults and list(named) != list(expected):
        faults.append(Fault(chat, f"{part}said out of order: {' '.join(named)}"))
    return faults


def _judge_pairs(chat: str, said: Sequence[str]) -> list[Fault]:
    """The second part of an answer follows its first part, with nothing in between."""
    faults = []
    for number, text in enumerate(said):
        before = said[number - 1] if number else ""
        if text.startswith(SECOND_PART):
            if references(before) != references(text) or not before.startswith(FIRST_PART):
                faults.append(Fault(chat, f"{text!r} does not follow its first part"))
        elif not text.startswith(FIRST_PART):
            faults.append(Fault(chat, f"unexpected words: {text!r}"))
    return faults


def judge_reminders(asked: Iterable[str], said: Iterable[str]) -> list[Fault]:
    """Each reminder is said once. Both name references."""
    counts = Counter(ref for text in said for ref in references(text))
    expected = set(asked)
    faults = [Fault("", f"the reminder of {ref} was never said") for ref in expected - set(counts)]
    faults += [
        Fault("", f"the reminder of {ref} was not asked for") for ref in set(counts) - expected
    ]
    return faults + [
        Fault("", f"the reminder of {ref} was said {count} times")
        for ref, count in counts.items()
        if count > 1
    ]


def judge_webhooks(
    taken: Iterable[tuple[str, str, str, str]], rows: StoreRows, unverified: Sequence[str]
) -> list[Fault]:
    """Another system was told of each message, turn and reminder, at least once, and under one id.

    ``taken``: id, type, name of what it is about (WhatsApp's id of the message, the turn, number
    and state of the reminder, or nothing) and body of each request.
    """
    names: dict[tuple[str, str], set[str]] = {}
    bodies: dict[str, set[str]] = {}
    for webhook_id, kind, message_id, body in taken:
        bodies.setdefault(webhook_id, set()).add(body)
        if message_id:
            names.setdefault((kind, message_id), set()).add(webhook_id)
    stored = {("message.received", row[1]) for row in rows.messages}
    stored |= {("turn.ended", name) for name in rows.ended_turns}
    for number, state in rows.reminders:
        stored |= {("reminder.changed", f"{number} {one}") for one in ("waiting", state)}
    kinds = {"message.received", "turn.ended", "reminder.changed"}
    told = {name for name in names if name[0] in kinds}
    faults = [Fault("", f"{' '.join(name)} was never told") for name in stored - told]
    faults += [Fault("", f"{' '.join(name)} was told and is not stored") for name in told - stored]
    # An echo may have another id than the answer to its send.
    sent = {one for name, ids in names.items() if name[0] == "message.sent" for one in ids}
    if len(sent) != len(rows.sent_ids):
        faults.append(Fault("", f"{len(rows.sent_ids)} messages were sent, {len(sent)} told"))
    faults += [
        Fault("", f"{' '.join(name)} was told under {len(ids)} ids")
        for name, ids in names.items()
        if len(ids) > 1
    ]
    faults += [
        Fault("", f"webhook {webhook_id} had {len(found)} bodies")
        for webhook_id, found in bodies.items()
        if len(found) > 1
    ]
    return faults + [Fault("", f"webhook {one} is not signed") for one in unverified]


def judge_acknowledged(acknowledged: Iterable[str], stored: Iterable[str]) -> list[Fault]:
    """A message whose webhook got its 200 is in the store. True at every instant."""
    lost = set(acknowledged) - set(stored)
    return [Fault("", f"{message_id} was acknowledged and is not stored") for message_id in lost]


def judge_store(rows: StoreRows, acknowledged: Iterable[str]) -> list[Fault]:
    """Every message has its outcome, nothing waits, and the thread has each message once."""
    faults = judge_acknowledged(acknowledged, [row[1] for row in rows.messages])
    faults += [
        Fault(chat, f"message {message_id} is {state}")
        for chat, message_id, state in rows.messages
        if state != "answered"
    ]
    faults += [Fault(chat, f"an outbox row is {state}") for chat, state in rows.open_outbox]
    faults += [Fault(chat, "a turn has no outcome") for chat in rows.living_turns]
    told = Counter((chat, ref) for chat, text in rows.user_items for ref in references(text))
    return faults + [
        Fault(chat, f"{ref} is {count} times in the thread")
        for (chat, ref), count in told.items()
        if count > 1
    ]


def judge_effects(
    lines: Iterable[str], calls: Iterable[tuple[str, str, str]], asked: Iterable[str]
) -> list[Fault]:
    """Each booking at most once; exactly once where the ledger has the tool as finished.

    ``lines`` of the bookings file, ``calls`` as in `StoreRows`, ``asked`` the references that
    customers wanted booked.
    """
    booked = Counter(ref for line in lines for ref in references(line))
    faults = [Fault("", f"{ref} booked {n} times") for ref, n in booked.items() if n > 1]
    known = list(calls)
    faults += [
        Fault(chat, f"{ref} is finished in the ledger and was never booked")
        for chat, state, arguments in known
        for ref in references(arguments)
        if state == "finished" and not booked[ref]
    ]
    recorded = Counter(ref for _, _, arguments in known for ref in references(arguments))
    faults += [
        Fault("", f"{ref} was booked without a row in the ledger")
        for ref in booked
        if not recorded[ref]
    ]
    faults += [
        Fault(chat, "a tool call has no outcome") for chat, state, _ in known if state == "started"
    ]
    return faults + [
        Fault("", f"{ref} was to be booked and the tool never called")
        for ref in asked
        if not recorded[ref]
    ]
