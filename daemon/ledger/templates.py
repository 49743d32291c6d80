"""The templates of our numbers, as their gateways last listed them."""

from collections.abc import Sequence

import msgspec

from daemon.domain.rendering.templates import Template
from daemon.ledger.drivers.port import Connection, Role, reading, writing

_write = msgspec.json.Encoder()
_read = msgspec.json.Decoder(Template)


def templates_of(connection: Connection, number: str) -> tuple[Template, ...]:
    """All templates of a number, by name and language."""
    rows = connection.execute(
        "SELECT template FROM templates WHERE channel = ? ORDER BY name, language", (number,)
    )
    return tuple(_read.decode(template) for (template,) in rows)


def replace_templates(
    connection: Connection, number: str, templates: Sequence[Template], *, now: float
) -> bool:
    """Keep what the gateway lists, in place of what it listed before; True if that differs.

    ``now``: Unix seconds.
    """
    before = templates_of(connection, number)
    listed = {(template.name, template.language): template for template in templates}
    connection.execute("DELETE FROM templates WHERE channel = ?", (number,))
    connection.executemany(
        "INSERT INTO templates (channel, name, language, template, synced_at)"
        " VALUES (?, ?, ?, ?, ?)",
        [(number, *key, _write.encode(one).decode(), now) for key, one in listed.items()],
    )
    return set(before) != set(listed.values())


class Templates(Role):
    """What may be sent when nothing else may. Any task may read; the number's watch replaces."""

    of_number = reading(templates_of)

    replace = writing(replace_templates)
