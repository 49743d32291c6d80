"""A message without the parts that were refused: what is left out, and what is said instead."""

from dataclasses import replace
from typing import Any

import pytest

from daemon.domain.messages import ChatKey
from daemon.domain.records import OutboxRow
from daemon.domain.rendering.outgoing import plainer

LAURA = "573001234567"
BUTTONS = {"buttons": [{"id": "si", "title": "Sí"}, {"id": "no", "title": "No"}]}
ROWS = {
    "label": "Ver",
    "rows": [
        {"id": "1", "title": "Doble", "description": "2 personas", "section": ""},
        {"id": "2", "title": "Suite", "description": "", "section": ""},
    ],
    "header": "Cuartos",
    "footer": "Gracias",
}
ROW = OutboxRow(
    id=1,
    key=ChatKey("C", f"{LAURA}@s.whatsapp.net"),
    turn_id=1,
    body="Sí hay",
    quoted="",
    state="sending",
    attempts=1,
    created_at=0,
    attempted_at=0,
)
NOBODY: frozenset[str] = frozenset()


def row(**fields: Any) -> OutboxRow:
    return replace(ROW, **fields)


@pytest.mark.parametrize(
    ("message", "named", "body", "quoted", "kind", "left_out"),
    [
        (row(quoted="m-1"), NOBODY, "Sí hay", "", "text", ["quoted"]),
        (
            row(body=f"@{LAURA} Sí hay", quoted="m-1", payload={"mentions": [LAURA]}),
            {"mentions"},
            "Sí hay",
            "m-1",
            "text",
            ["mentions"],
        ),
        (
            row(body=f"@{LAURA} Sí hay", quoted="m-1", payload={"mentions": [f"{LAURA}@lid"]}),
            {"preview of something else"},
            "Sí hay",
            "",
            "text",
            ["mentions", "quoted"],
        ),
        (
            row(kind="buttons", body="¿Confirma?", payload=BUTTONS),
            NOBODY,
            "¿Confirma?\n\n1. Sí\n2. No",
            "",
            "text",
            ["buttons"],
        ),
        (
            row(kind="list", body="¿Cuál?", quoted="m-1", payload=ROWS),
            {"buttons"},
            "Cuartos\n\n¿Cuál?\n\n1. Doble: 2 personas\n2. Suite\n\nGracias",
            "m-1",
            "text",
            ["buttons"],
        ),
        (
            row(kind="poll", body="¿Día?", payload={"options": ["Sábado", "Domingo"]}),
            NOBODY,
            "¿Día?\n\n1. Sábado\n2. Domingo",
            "",
            "text",
            ["buttons"],
        ),
        (row(kind="voice", quoted="m-1"), {"quoted"}, "Sí hay", "", "voice", ["quoted"]),
    ],
)
def test_refused_parts_are_left_out(
    message: OutboxRow, named: Any, body: str, quoted: str, kind: str, left_out: list[str]
) -> None:
    part = plainer(message, frozenset(named), shows_previews=False)
    assert part is not None
    assert (part.body, part.quoted, part.kind) == (body, quoted, kind)
    assert part.payload["without"] == left_out
    assert not {"mentions", "buttons", "rows", "options"} & set(part.payload)


def test_a_preview_is_a_part_only_where_it_is_shown() -> None:
    assert plainer(ROW, NOBODY, shows_previews=False) is None
    part = plainer(ROW, NOBODY, shows_previews=True)
    assert part is not None
    assert part.payload == {"without": ["link_preview"]}


def test_it_is_done_once() -> None:
    again = row(quoted="m-1", payload={"without": ["mentions"]})
    assert plainer(again, frozenset({"quoted"}), shows_previews=True) is None
