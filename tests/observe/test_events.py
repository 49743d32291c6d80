"""The vocabulary of the log, and whether the daemon keeps to it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import pytest

from daemon.observability import events
from daemon.observability.events import (
    ALL,
    CONTEXT_FIELDS,
    DASHBOARD,
    MEDIA,
    PLAIN,
    TURN_ENDED,
    EventKind,
)
from daemon.observability.metrics import MESSAGE_KINDS, TURN_OUTCOMES

ROOT = Path(__file__).parents[2]
WITH_SPANISH_NAMES = {
    *("document", "location", "live_location", "contact", "contact_list", "reply"),
    *("interactive", "poll", "order", "short"),
}
"""Of WhatsApp's types, those that are not the same word in both languages."""


def test_no_two_kinds_share_a_name_or_an_id() -> None:
    assert len({kind.name for kind in ALL}) == len(ALL)
    assert len({kind.message_id for kind in ALL}) == len(ALL)
    assert all(re.fullmatch("[0-9a-f]{32}", kind.message_id) for kind in ALL)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_both_languages_have_the_same_entries(kind: EventKind) -> None:
    """A line has the same fields in Spanish and English; a plain line has its own words."""
    spanish, english = (
        sorted(name for _, name, _, _ in Formatter().parse(text) if name)
        for text in (kind.es, kind.en)
    )
    assert spanish == english
    assert bool(kind.en) != (kind in PLAIN.values())


@pytest.mark.parametrize("kind", sorted(DASHBOARD, key=str), ids=lambda kind: kind.name)
def test_a_line_of_the_dashboard_reads_in_the_other_language(kind: EventKind) -> None:
    """A customer's words are left alone, whatever they are."""
    fields = dict.fromkeys(kind.fields, "No answer for a: b\n(x)")
    fields |= {"name": "Ana: Sin respuesta", "kind": "live_location"}
    spanish, english = kind.line("es", fields), kind.line("en", fields)
    assert kind.translated(spanish, "en") == english
    assert kind.translated(english, "es") == spanish
    assert kind.translated(spanish, "es") == spanish
    assert kind.translated("of an earlier version", "es") == "of an earlier version"


def test_the_dashboard_shows_the_conversation_and_no_noise() -> None:
    shown = {kind.name for kind in DASHBOARD}
    assert {"message", "response", "voice", "image", "an agent writes"} <= shown
    assert not shown & {"typing", "recording", "tool started", "unexpected error", "error"}


def test_the_catalog_explains_every_kind_in_both_languages() -> None:
    text = (ROOT / "systemd" / "recado.catalog").read_text("utf-8")
    entries = re.findall(
        r"^-- ([0-9a-f]{32})(?: (es))?\nSubject: Recado: (.+)\nDefined-By: Recado\n\n(?=\S)",
        text,
        re.MULTILINE,
    )
    wanted = {(kind.message_id, language, kind.name) for kind in ALL for language in ("", "es")}
    assert set(entries) == wanted
    assert len(entries) == len(wanted) == text.count("\n-- ")


@cache
def calls() -> list[tuple[str, EventKind, set[str]]]:
    """Give every call that `_calls` finds."""
    return list(_calls())


def _calls() -> Iterator[tuple[str, EventKind, set[str]]]:
    """Find every ``log.event(KIND, field=…)`` of the daemon whose kind is written out."""
    for path in sorted((ROOT / "daemon").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "event":
                named = node.args[0] if node.args else None
                kind = getattr(events, named.id, None) if isinstance(named, ast.Name) else None
                if isinstance(kind, EventKind):
                    fields = {keyword.arg for keyword in node.keywords if keyword.arg}
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", kind, fields


def test_events_are_logged_with_the_fields_they_declare() -> None:
    found = calls()
    wrong = [
        (where, kind.name, fields - kind.fields - CONTEXT_FIELDS)
        for where, kind, fields in found
        if not fields <= kind.fields | CONTEXT_FIELDS
    ]
    assert len(found) > 15
    assert wrong == []


def test_each_field_of_a_line_is_passed_to_it() -> None:
    """No call leaves out a field that the line for people shows."""
    lacking = [
        (where, kind.name, missing)
        for where, kind, fields in calls()
        if (missing := _shown(kind) - fields - {"who", "turn"})
    ]
    assert lacking == []


def _shown(kind: EventKind) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(kind.en) if name}


TURN = {"who": "Laura", "name": "Laura", "turn": "turn_1", "seconds": 1.5, "tools": 0}
TURN |= {"tokens_in": 900, "tokens_out": 95}


def test_the_outcome_of_a_turn_is_shown_in_words() -> None:
    ended = {**TURN, "outcome": "answered", "messages": 1, "rounds": 2, "cost": 0.0}
    assert TURN_ENDED.line("es", ended) == (
        "Laura: turno turn_1: respondido; 1.5 s, 1 mensaje, 2 rondas, 0 funciones, 900 + 95 tokens"
    )
    dear = {**TURN, "outcome": "handed_off", "messages": 3, "rounds": 1, "cost": 0.000021}
    assert TURN_ENDED.line("en", dear) == (
        "Laura: turn turn_1: left to a person; 1.5 s, 3 messages, 1 round, 0 tools,"
        " 900 + 95 tokens, cost 0.000021"
    )


@pytest.mark.parametrize("outcome", [*TURN_OUTCOMES, "interrupted", "crashed"])
def test_every_outcome_has_its_words_in_spanish(outcome: str) -> None:
    line = TURN_ENDED.line("es", {**TURN, "outcome": outcome})
    assert outcome not in line
    assert "turno turn_1: ;" not in line


@pytest.mark.parametrize("kind", sorted({*MESSAGE_KINDS} & WITH_SPANISH_NAMES))
def test_received_types_have_spanish_names(kind: str) -> None:
    assert MEDIA.line("es", {"name": "Laura", "kind": kind}) != f"Laura: [Recibido: {kind}]"


def test_an_unknown_type_is_shown_as_it_is() -> None:
    assert MEDIA.line("es", {"name": "L", "kind": "hologram"}) == "L: [Recibido: hologram]"
    assert (
        MEDIA.line("en", {"name": "L", "kind": "live_location"}) == "L: [Received: live location]"
    )
